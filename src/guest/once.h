// Runs a loader once, whoever calls first.
#pragma once

#include <atomic>
#include <mutex>

namespace tessera::guest {

// A driver may call back into us while it is being loaded (its constructors look functions up): that thread
// gets `fallback`, others wait.
template <typename Table, typename Load>
const Table& load_once(std::atomic<const Table*>& ready, const Table& fallback, Load load) {
  static std::mutex* const mutex = new std::mutex;
  static thread_local bool loading = false;
  if (loading) return fallback;
  std::lock_guard lock(*mutex);
  if (const Table* table = ready.load(std::memory_order_acquire)) return *table;
  loading = true;
  const Table* table = load();
  loading = false;
  ready.store(table, std::memory_order_release);
  return *table;
}

}  // namespace tessera::guest

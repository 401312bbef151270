#include "cuda/context_values.h"

#include <atomic>
#include <map>
#include <mutex>
#include <unordered_map>
#include <utility>

namespace tessera::cuda {
namespace {

struct Entry {
  void* value = nullptr;
  StorageDestructor destructor = nullptr;
};
using Entries = std::map<void*, Entry>;

struct Storage {
  std::mutex mutex;
  std::unordered_map<uint64_t, Entries> contexts;
  std::atomic<uint64_t> changes{1};  // every change makes all that threads remember worthless
};

// Never destroyed: the runtime's exit handlers use it.
Storage& storage() {
  static auto* made = new Storage();
  return *made;
}

// What this thread read last.
struct LastRead {
  uint64_t changes = 0, context = 0;
  void* key = nullptr;
  void* value = nullptr;
};
thread_local LastRead last_read;

}  // namespace

bool put_context_value(uint64_t context, void* key, void* value, StorageDestructor destructor) {
  std::lock_guard lock(storage().mutex);
  auto [entries, is_first] = storage().contexts.try_emplace(context);
  entries->second[key] = {value, destructor};
  ++storage().changes;
  return is_first;
}

CUresult remove_context_value(uint64_t context, void* key) {
  std::lock_guard lock(storage().mutex);
  auto entries = storage().contexts.find(context);
  if (entries == storage().contexts.end() || entries->second.erase(key) == 0)
    return CUDA_ERROR_INVALID_HANDLE;
  ++storage().changes;
  return CUDA_SUCCESS;
}

CUresult get_context_value(uint64_t context, void* key, void** value) {
  LastRead& last = last_read;
  const uint64_t changes = storage().changes.load(std::memory_order_acquire);
  if (last.changes != changes || last.context != context || last.key != key) {
    std::lock_guard lock(storage().mutex);
    auto entries = storage().contexts.find(context);
    if (entries == storage().contexts.end()) return CUDA_ERROR_INVALID_HANDLE;
    auto entry = entries->second.find(key);
    if (entry == entries->second.end()) return CUDA_ERROR_INVALID_HANDLE;
    last = {storage().changes.load(std::memory_order_relaxed), context, key, entry->second.value};
  }
  *value = last.value;
  return CUDA_SUCCESS;
}

void destroy_context_values(uint64_t context, CUcontext handle) {
  Entries entries;
  {
    std::lock_guard lock(storage().mutex);
    auto found = storage().contexts.find(context);
    if (found == storage().contexts.end()) return;
    entries = std::move(found->second);
    storage().contexts.erase(found);
    ++storage().changes;
  }
  // Outside the lock: destructors call back into the driver.
  for (const auto& [key, entry] : entries) {
    if (entry.destructor != nullptr) entry.destructor(handle, key, entry.value);
  }
}

}  // namespace tessera::cuda

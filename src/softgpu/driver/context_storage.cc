#include "softgpu/driver/context_storage.h"

#include <atomic>
#include <map>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

#include "softgpu/driver/context.h"

namespace tessera::softgpu {
namespace {

struct Entry {
  void* value = nullptr;
  StorageDestructor destructor = nullptr;
};
using Entries = std::map<void*, Entry>;

struct Storage {
  std::mutex mutex;
  std::unordered_map<uint64_t, Entries> contexts;  // by context id
  std::atomic<uint64_t> changes{1};                // every change makes all that threads remember worthless
};

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

void destroy_values(uint64_t context, CUcontext handle) {
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

}  // namespace

CUresult put_context_value(Context& context, void* key, void* value, StorageDestructor destructor) {
  bool first = false;
  {
    std::lock_guard lock(storage().mutex);
    auto [entries, made] = storage().contexts.try_emplace(context.id());
    entries->second[key] = {value, destructor};
    first = made;
    ++storage().changes;
  }
  if (first) {
    context.at_teardown([id = context.id(), handle = context.handle()] { destroy_values(id, handle); });
  }
  return CUDA_SUCCESS;
}

CUresult remove_context_value(Context& context, void* key) {
  std::lock_guard lock(storage().mutex);
  auto entries = storage().contexts.find(context.id());
  if (entries == storage().contexts.end() || entries->second.erase(key) == 0)
    return CUDA_ERROR_INVALID_HANDLE;
  ++storage().changes;
  return CUDA_SUCCESS;
}

CUresult get_context_value(Context& context, void* key, void** value) {
  LastRead& last = last_read;
  const uint64_t changes = storage().changes.load(std::memory_order_acquire);
  if (last.changes != changes || last.context != context.id() || last.key != key) {
    std::lock_guard lock(storage().mutex);
    auto entries = storage().contexts.find(context.id());
    if (entries == storage().contexts.end()) return CUDA_ERROR_INVALID_HANDLE;
    auto entry = entries->second.find(key);
    if (entry == entries->second.end()) return CUDA_ERROR_INVALID_HANDLE;
    last = {storage().changes.load(std::memory_order_relaxed), context.id(), key, entry->second.value};
  }
  *value = last.value;
  return CUDA_SUCCESS;
}

}  // namespace tessera::softgpu

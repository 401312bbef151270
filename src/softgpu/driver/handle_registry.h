// Living objects by handle. A handle is a number that is never used again, so a stale one is found out and a
// made-up one leads nowhere; no handle is ever followed as a pointer.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <unordered_map>
#include <vector>

namespace tessera::softgpu {

// One sequence for all kinds: a CUkernel is never mistaken for a CUfunction. Small numbers have meanings of
// their own (CU_STREAM_LEGACY), and steps of 16 look like the pointers that programs expect.
inline uintptr_t next_handle() {
  static std::atomic<uintptr_t> next{0x10000};
  return next.fetch_add(16, std::memory_order_relaxed);
}

template <typename Object>
class HandleRegistry {
 public:
  void add(uintptr_t handle, std::shared_ptr<Object> object) {
    std::lock_guard lock(mutex_);
    objects_.emplace(handle, std::move(object));
  }
  std::shared_ptr<Object> find(const void* handle) const {
    std::shared_lock lock(mutex_);
    auto found = objects_.find(reinterpret_cast<uintptr_t>(handle));
    return found == objects_.end() ? nullptr : found->second;
  }
  std::shared_ptr<Object> remove(const void* handle) {
    std::lock_guard lock(mutex_);
    auto found = objects_.find(reinterpret_cast<uintptr_t>(handle));
    if (found == objects_.end()) return nullptr;
    auto object = std::move(found->second);
    objects_.erase(found);
    return object;
  }
  std::vector<std::shared_ptr<Object>> all() const {
    std::vector<std::shared_ptr<Object>> found;
    std::shared_lock lock(mutex_);
    for (const auto& [handle, object] : objects_) found.push_back(object);
    return found;
  }
  template <typename Predicate>
  std::vector<std::shared_ptr<Object>> remove_if(Predicate&& matches) {
    std::vector<std::shared_ptr<Object>> removed;  // destroyed by the caller, outside the lock
    std::lock_guard lock(mutex_);
    for (auto it = objects_.begin(); it != objects_.end();) {
      if (matches(*it->second)) {
        removed.push_back(std::move(it->second));
        it = objects_.erase(it);
      } else {
        ++it;
      }
    }
    return removed;
  }

 private:
  mutable std::shared_mutex mutex_;
  std::unordered_map<uintptr_t, std::shared_ptr<Object>> objects_;
};

// The registry of one kind of object; never destroyed.
template <typename Object>
HandleRegistry<Object>& live() {
  static auto* registry = new HandleRegistry<Object>();
  return *registry;
}

}  // namespace tessera::softgpu

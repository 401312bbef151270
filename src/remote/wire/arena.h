// Memory for the decoded fields of one message: bounded, given back all at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <type_traits>
#include <vector>

namespace tessera::remote {

class Arena {
 public:
  static constexpr uint64_t kLimitBytes = 64 << 20;
  static constexpr size_t kAlignment = 128;

  // `count` zeroed elements, or null beyond the limit. Never null for 0 elements.
  template <typename T>
  T* array(uint64_t count) {
    static_assert(std::is_trivially_copyable_v<T> && alignof(T) <= kAlignment);
    constexpr size_t kElement = sizeof(T);  // NOLINT(bugprone-sizeof-expression): handles are pointers
    if (count > kLimitBytes / kElement) return nullptr;
    return static_cast<T*>(zeroed(count * kElement));
  }

  void clear();

 private:
  struct Free {
    void operator()(void* memory) const { free(memory); }
  };
  using Memory = std::unique_ptr<void, Free>;

  void* zeroed(uint64_t bytes);

  std::vector<Memory> large_;
  Memory small_;  // kept from message to message
  size_t small_used_ = 0;
  uint64_t total_ = 0;
};

}  // namespace tessera::remote

// Writes the fields of a message.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

#include "common/bytes.h"
#include "remote/wire/message.h"

namespace tessera::remote {

class Writer {
 public:
  explicit Writer(std::vector<std::byte>& bytes) : bytes_(bytes) {}

  void raw(const void* data, size_t bytes) {
    const size_t at = bytes_.size();
    bytes_.resize(at + padded(bytes));
    if (bytes > 0) memcpy(bytes_.data() + at, data, bytes);
  }
  template <typename T>
  void value(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    raw(&value, sizeof value);  // NOLINT(bugprone-sizeof-expression): handles are pointers
  }
  void count(uint64_t count) { value(count); }
  // An array with the number of its elements, or null.
  template <typename T>
  void array(const T* elements, uint64_t number) {
    static_assert(std::is_trivially_copyable_v<T>);
    count(elements == nullptr ? kAbsent : number);
    if (elements != nullptr) raw(elements, number * sizeof(T));  // NOLINT(bugprone-sizeof-expression)
  }
  template <typename T>
  void structure(const T* structure) {
    array(structure, 1);
  }
  void text(const char* text) { array(text, text == nullptr ? 0 : strlen(text) + 1); }

  size_t size() const { return bytes_.size(); }

 private:
  std::vector<std::byte>& bytes_;
};

}  // namespace tessera::remote

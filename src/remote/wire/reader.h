// Reads the fields of a message that nobody vouches for. After the first that does not fit all are empty, and
// `whole` says so.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "common/bytes.h"
#include "remote/wire/arena.h"
#include "remote/wire/message.h"

namespace tessera::remote {

class Reader {
 public:
  // What arrays become is in `arena` and lives as long.
  Reader(ByteSpan bytes, Arena& arena) : bytes_(bytes), arena_(arena) {}

  void begin(ByteSpan bytes) {
    bytes_ = bytes;
    failed_ = false;
  }

  template <typename T>
  T value() {
    static_assert(std::is_trivially_copyable_v<T>);
    T value{};
    const ByteSpan field = take(sizeof(T));
    if (!field.empty()) memcpy(&value, field.data(), sizeof(T));
    return value;
  }
  template <typename T>
  T* array(uint64_t* count) {
    *count = value<uint64_t>();
    if (*count == kAbsent) {
      *count = 0;
      return nullptr;
    }
    constexpr size_t kElement = sizeof(T);  // NOLINT(bugprone-sizeof-expression): handles are pointers
    if (*count > bytes_.size() / kElement) return fail<T>(count);
    const ByteSpan field = take(*count * kElement);
    T* elements = failed_ ? nullptr : arena_.array<T>(*count);
    if (elements == nullptr) return fail<T>(count);
    if (!field.empty()) memcpy(elements, field.data(), field.size());
    return elements;
  }
  template <typename T>
  T* structure() {
    uint64_t count = 0;
    T* found = array<T>(&count);
    if (found != nullptr && count != 1) return fail<T>(&count);
    return found;
  }
  // Zero-terminated, or null.
  const char* text() {
    uint64_t count = 0;
    const char* found = array<char>(&count);
    if (found != nullptr && (count == 0 || found[count - 1] != '\0')) return fail<char>(&count);
    return found;
  }
  bool wanted() { return value<uint64_t>() == 1; }
  // The next bytes as they lie, without their padding.
  ByteSpan raw(uint64_t bytes) { return take(bytes); }

  // Whether all of the message has been read and every field was there.
  bool whole() const { return !failed_ && bytes_.empty(); }
  bool failed() const { return failed_; }

 private:
  ByteSpan take(uint64_t bytes) {
    if (failed_ || bytes > bytes_.size() || padded(bytes) > bytes_.size()) {
      failed_ = true;
      return {};
    }
    const ByteSpan field = bytes_.first(bytes);
    bytes_ = bytes_.subspan(padded(bytes));
    return field;
  }
  template <typename T>
  T* fail(uint64_t* count) {
    failed_ = true;
    *count = 0;
    return nullptr;
  }

  ByteSpan bytes_;
  Arena& arena_;
  bool failed_ = false;
};

}  // namespace tessera::remote

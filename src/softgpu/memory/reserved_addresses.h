// Addresses of this process with no memory behind them, until something is mapped there.
#pragma once

#include <cstdint>
#include <utility>

#include "common/status.h"

namespace tessera::softgpu {

class ReservedAddresses {
 public:
  // `size` bytes whose begin is a multiple of `alignment`, a power of two; both are multiples of the page
  // size. At `hint` where that is free and aligned. kResourceExhausted where the process has no room. A
  // forked child does not get them.
  static Result<ReservedAddresses> take(uint64_t size, uint64_t alignment, uint64_t hint = 0);
  ReservedAddresses(ReservedAddresses&& other) noexcept
      : begin_(std::exchange(other.begin_, 0)), size_(std::exchange(other.size_, 0)) {}
  ReservedAddresses& operator=(ReservedAddresses&&) = delete;
  ~ReservedAddresses();

  uint64_t begin() const { return begin_; }
  uint64_t size() const { return size_; }
  uint64_t end() const { return begin_ + size_; }
  bool contains(uint64_t address) const { return address >= begin_ && address - begin_ < size_; }

  // Takes away what is mapped in a part of it. kResourceExhausted where the system has no mapping left, and
  // nothing has changed.
  Status clear(uint64_t begin, uint64_t size) const;

 private:
  ReservedAddresses(uint64_t begin, uint64_t size) : begin_(begin), size_(size) {}

  uint64_t begin_;
  uint64_t size_;
};

}  // namespace tessera::softgpu

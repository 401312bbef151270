// Owned file descriptors.
#pragma once

#include <string>
#include <utility>

#include "common/status.h"

namespace tessera {

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    reset(other.release());
    return *this;
  }
  ~UniqueFd() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1);

 private:
  int fd_ = -1;
};

// The whole of a small file; more than `limit_bytes` is kResourceExhausted. Works on /proc (size unknown
// before).
Result<std::string> read_file(const std::string& path, size_t limit_bytes);

}  // namespace tessera

// What kernels print goes to the standard output of the process that runs them. This takes it there, to be
// sent to the program's own.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>

#include "common/bytes.h"
#include "common/fd.h"

namespace tessera::remote {

class CapturedOutput {
 public:
  // Standard output becomes a file in memory, as a pipe would make a kernel wait that prints more than it
  // holds. `is_captured` false: it stays as it is.
  CapturedOutput();
  // What has been printed since the last call, in pieces.
  void collect(const std::function<void(ByteSpan)>& take);

 private:
  std::mutex lock_;
  UniqueFd file_;
  uint64_t taken_ = 0;
};

}  // namespace tessera::remote

// What kernels print goes to the standard output of the process that runs them, and what their failed
// assertions say to its standard error. This takes it there, to be sent to the program's own.
#pragma once

#include <cstdint>
#include <cstdio>
#include <functional>
#include <mutex>

#include "common/bytes.h"
#include "common/fd.h"

namespace tessera::remote {

class CapturedOutput {
 public:
  // The stream's descriptor becomes a file in memory, as a pipe would make a kernel wait that prints more
  // than it holds.
  CapturedOutput(FILE* stream, int descriptor);
  // What has been printed since the last call, in pieces.
  void collect(const std::function<void(ByteSpan)>& take);

 private:
  FILE* const stream_;
  std::mutex lock_;
  UniqueFd file_;
  uint64_t taken_ = 0;
};

}  // namespace tessera::remote

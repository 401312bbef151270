// The program's functions in the order of a stream.
#pragma once

#include <memory>

#include "cuda/abi.h"
#include "softgpu/driver/context.h"
#include "softgpu/driver/work_thread.h"

namespace tessera::softgpu {

// Calls the program: cuLaunchHostFunc, or cuStreamAddCallback, which is told of errors.
class HostOp : public ThreadOp {
 public:
  HostOp(std::shared_ptr<Context> context, CUhostFn function, void* data);
  HostOp(std::shared_ptr<Context> context, CUstreamCallback callback, CUstream stream, void* data);
  void run() override;

 private:
  const std::shared_ptr<Context> context_;
  const CUhostFn function_ = nullptr;
  const CUstreamCallback callback_ = nullptr;
  const CUstream stream_ = nullptr;
  void* const data_;
};

}  // namespace tessera::softgpu

// A context of the driver below that is the calling thread's for a while.
#pragma once

#include "cuda/driver_table.h"

namespace tessera::vgpu {

// Makes a context current for a while.
class Current {
 public:
  Current(const cuda::DriverTable& driver, CUcontext context)
      : driver_(driver), pushed_(driver.cuCtxPushCurrent_v2(context) == CUDA_SUCCESS) {}
  ~Current() {
    CUcontext popped;
    if (pushed_) (void)driver_.cuCtxPopCurrent_v2(&popped);
  }
  Current(const Current&) = delete;
  Current& operator=(const Current&) = delete;
  bool ok() const { return pushed_; }

 private:
  const cuda::DriverTable& driver_;
  const bool pushed_;
};

}  // namespace tessera::vgpu

#include "softgpu/driver/host_op.h"

#include "softgpu/driver/current.h"
#include "softgpu/driver/device.h"

namespace tessera::softgpu {

HostOp::HostOp(std::shared_ptr<Context> context, CUhostFn function, void* data)
    : ThreadOp(context->device().callbacks()),
      context_(std::move(context)),
      function_(function),
      data_(data) {}

HostOp::HostOp(std::shared_ptr<Context> context, CUstreamCallback callback, CUstream stream, void* data)
    : ThreadOp(context->device().callbacks()),
      context_(std::move(context)),
      callback_(callback),
      stream_(stream),
      data_(data) {}

void HostOp::run() {
  CallbackScope scope;
  const CUresult status = context_->status();
  if (callback_ != nullptr) {
    callback_(stream_, status, data_);
  } else if (status == CUDA_SUCCESS) {
    function_(data_);
  }
}

}  // namespace tessera::softgpu

#include "memory/space/driver_copies.h"

#include <utility>

#include "cuda/result_names.h"

namespace tessera::memory {
namespace {

Status status_of(CUresult result, const char* call) {
  if (result == CUDA_SUCCESS) return {};
  const char* name = cuda::result_name(result);
  return Status::error(Code::kInternal, "%s: %s", call,
                       name != nullptr ? name : "an error that CUDA does not define");
}

}  // namespace

Result<DriverCopies> DriverCopies::of_device(const cuda::DriverTable& driver, CUdevice device) {
  CUcontext context = nullptr;
  TESSERA_RETURN_IF_ERROR(
      status_of(driver.cuDevicePrimaryCtxRetain(&context, device), "cuDevicePrimaryCtxRetain"));
  return DriverCopies(driver, device, context);
}

DriverCopies::DriverCopies(DriverCopies&& other) noexcept
    : driver_(other.driver_), device_(other.device_), context_(std::exchange(other.context_, nullptr)) {}

DriverCopies::~DriverCopies() {
  if (context_ != nullptr) (void)driver_->cuDevicePrimaryCtxRelease_v2(device_);
}

template <typename Call>
Status DriverCopies::in_context(const char* name, Call call) {
  TESSERA_RETURN_IF_ERROR(status_of(driver_->cuCtxPushCurrent_v2(context_), "cuCtxPushCurrent"));
  const CUresult result = call();
  CUcontext popped = nullptr;
  (void)driver_->cuCtxPopCurrent_v2(&popped);
  return status_of(result, name);
}

Status DriverCopies::to_host(std::byte* to, uint64_t from, uint64_t bytes) {
  return in_context("cuMemcpyDtoH", [&] { return driver_->cuMemcpyDtoH_v2(to, from, bytes); });
}

Status DriverCopies::to_device(uint64_t to, const std::byte* from, uint64_t bytes) {
  return in_context("cuMemcpyHtoD", [&] { return driver_->cuMemcpyHtoD_v2(to, from, bytes); });
}

Status DriverCopies::wait_for_device() {
  return in_context("cuCtxSynchronize", [&] { return driver_->cuCtxSynchronize(); });
}

}  // namespace tessera::memory

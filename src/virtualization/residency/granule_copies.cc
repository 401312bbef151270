#include "virtualization/residency/granule_copies.h"

#include "cuda/result_names.h"
#include "virtualization/current_context.h"

namespace tessera::vgpu {

using cuda::status_of;

Status GranuleCopies::begin(size_t number, uint8_t* host) {
  begun_.push_back({addresses_[number], reinterpret_cast<uint64_t>(host), false});
  return {};
}

void GranuleCopies::begin_between_devices(size_t number, uint64_t other) {
  begun_.push_back({addresses_[number], other, true});
}

Status GranuleCopies::wait() {
  CUcontext context = nullptr;
  TESSERA_RETURN_IF_ERROR(status_of(driver_.cuCtxGetCurrent(&context), "cuCtxGetCurrent"));
  const Status copied = helpers_.run(begun_.size(), [&](Helpers::Parts& parts) {
    const Current in(driver_, context);
    return in.ok() ? copy(parts) : Status(Code::kFailedPrecondition, "the process's context is ending");
  });
  begun_.clear();
  return copied;
}

Status GranuleCopies::copy(Helpers::Parts& parts) {
  Status status;
  while (const auto part = parts.next()) {
    if (status.ok()) status = copy(begun_[*part]);
  }
  const Status done =
      status_of(driver_.cuStreamSynchronize(CU_STREAM_PER_THREAD), "copies off a device or back to it");
  return status.ok() ? done : status;
}

Status GranuleCopies::copy(const Copy& copy) {
  const bool out = way_ == Way::kOut;
  if (copy.between_devices) {
    const uint64_t to = out ? copy.other : copy.address, from = out ? copy.address : copy.other;
    return status_of(driver_.cuMemcpyDtoDAsync_v2(to, from, bytes_, CU_STREAM_PER_THREAD),
                     "memory cannot be copied to another device or back");
  }
  auto* const host = reinterpret_cast<void*>(copy.other);
  return out ? status_of(driver_.cuMemcpyDtoHAsync_v2(host, copy.address, bytes_, CU_STREAM_PER_THREAD),
                         "memory cannot be copied off the device")
             : status_of(driver_.cuMemcpyHtoDAsync_v2(copy.address, host, bytes_, CU_STREAM_PER_THREAD),
                         "memory cannot be copied back to the device");
}

}  // namespace tessera::vgpu

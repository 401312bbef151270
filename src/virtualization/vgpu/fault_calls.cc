// Calls that wait for the device, or look at it: where a program hears that a kernel of its has failed.
#include "virtualization/vgpu/calls.h"

namespace tessera::vgpu {
namespace {

using cuda::DriverTable;

template <auto Entry>
struct Watched;
template <typename... Args, CUresult (*DriverTable::*Entry)(Args...)>
struct Watched<Entry> {
  static CUresult call(Args... args) {
    const CUresult result = (lower().*Entry)(args...);
    note_fault(result);
    return result;
  }
};

template <auto... Entries>
void watch(DriverTable& upper, const DriverTable& lower) {
  (replace<Entries, &Watched<Entries>::call>(upper, lower), ...);
}

}  // namespace

// The errors after which cuda.h has the process end to go on using CUDA.
bool is_fault(CUresult result) {
  switch (result) {
    case CUDA_ERROR_ECC_UNCORRECTABLE:
    case CUDA_ERROR_NVLINK_UNCORRECTABLE:
    case CUDA_ERROR_ILLEGAL_ADDRESS:
    case CUDA_ERROR_LAUNCH_TIMEOUT:
    case CUDA_ERROR_ASSERT:
    case CUDA_ERROR_HARDWARE_STACK_ERROR:
    case CUDA_ERROR_ILLEGAL_INSTRUCTION:
    case CUDA_ERROR_MISALIGNED_ADDRESS:
    case CUDA_ERROR_INVALID_ADDRESS_SPACE:
    case CUDA_ERROR_INVALID_PC:
    case CUDA_ERROR_LAUNCH_FAILED:
      return true;
    default:
      return false;
  }
}

void note_fault(CUresult result) {
  if (result == CUDA_SUCCESS || result == CUDA_ERROR_NOT_READY) return;
  active_vgpu->current_counters().errors.fetch_add(1, std::memory_order_relaxed);
  if (!is_fault(result)) return;
  uint64_t none = 0;  // the first one tells more than those that follow from it
  active_vgpu->current_counters().fault.compare_exchange_strong(none, static_cast<uint64_t>(result),
                                                                std::memory_order_relaxed);
}

void install_fault_calls(DriverTable& upper, const DriverTable& lower) {
  watch<&DriverTable::cuCtxSynchronize, &DriverTable::cuCtxSynchronize_v2, &DriverTable::cuStreamSynchronize,
        &DriverTable::cuStreamSynchronize_ptsz, &DriverTable::cuStreamQuery, &DriverTable::cuStreamQuery_ptsz,
        &DriverTable::cuEventSynchronize, &DriverTable::cuEventQuery>(upper, lower);
}

}  // namespace tessera::vgpu

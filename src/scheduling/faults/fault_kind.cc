#include "scheduling/faults/fault_kind.h"

namespace tessera::scheduling {

FaultKind kind_of_cuda_error(int result) {
  switch (result) {
    case 700:  // CUDA_ERROR_ILLEGAL_ADDRESS
    case 702:  // CUDA_ERROR_LAUNCH_TIMEOUT
    case 710:  // CUDA_ERROR_ASSERT
    case 714:  // CUDA_ERROR_HARDWARE_STACK_ERROR
    case 715:  // CUDA_ERROR_ILLEGAL_INSTRUCTION
    case 716:  // CUDA_ERROR_MISALIGNED_ADDRESS
    case 717:  // CUDA_ERROR_INVALID_ADDRESS_SPACE
    case 718:  // CUDA_ERROR_INVALID_PC
    case 719:  // CUDA_ERROR_LAUNCH_FAILED
      return FaultKind::kTenant;
    case 214:  // CUDA_ERROR_ECC_UNCORRECTABLE
    case 220:  // CUDA_ERROR_NVLINK_UNCORRECTABLE
    case 226:  // CUDA_ERROR_CONTAINED
      return FaultKind::kDevice;
    case 46:  // CUDA_ERROR_DEVICE_UNAVAILABLE
      return FaultKind::kDeviceLost;
    default:
      return FaultKind::kTransient;
  }
}

}  // namespace tessera::scheduling

#include "scheduling/faults/fault_kind.h"

namespace tessera::scheduling {

const char* fault_kind_name(FaultKind kind) {
  switch (kind) {
    case FaultKind::kTransient:
      return "transient";
    case FaultKind::kTenant:
      return "tenant";
    case FaultKind::kDevice:
      return "device";
    case FaultKind::kDeviceLost:
      return "lost";
  }
  return "transient";
}

FaultKind kind_of_xid(uint32_t xid) {
  switch (xid) {
    case 8:    // a kernel ran into the watchdog
    case 13:   // graphics engine exception
    case 31:   // MMU fault
    case 43:   // reset channel: the program's own failure
    case 45:   // preemptive cleanup, after an earlier one
    case 68:   // video processor exception
    case 94:   // contained ECC error: it has taken its program, and the page is off-lined
    case 109:  // context switch time-out
      return FaultKind::kTenant;
    case 48:   // double-bit ECC error
    case 62:   // micro-controller halt
    case 64:   // page retirement or row remap failed
    case 74:   // NVLink error
    case 95:   // uncontained ECC error
    case 119:  // GSP RPC time-out
    case 120:  // GSP error
    case 140:  // unrecovered ECC error
      return FaultKind::kDevice;
    case 79:  // has fallen off the bus
      return FaultKind::kDeviceLost;
    default:
      return FaultKind::kTransient;
  }
}

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

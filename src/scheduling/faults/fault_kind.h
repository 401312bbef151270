// What a failure of a GPU or of a program on it says about which of the two.
#pragma once

#include <cstdint>

namespace tessera::scheduling {

enum class FaultKind : uint8_t {
  kTransient,   // may well go away by itself: try again
  kTenant,      // the program did what it may not; another one on the same GPU would not have failed
  kDevice,      // the hardware or its firmware failed: whatever runs there next may be wrong
  kDeviceLost,  // the GPU does not answer any more
};

// See xid.h.
FaultKind kind_of_xid(uint32_t xid);

// By a CUresult of cuda.h, of a call that was in order. CUDA_SUCCESS is no fault: kTransient.
FaultKind kind_of_cuda_error(int result);

}  // namespace tessera::scheduling

// What the generated definitions of NVML's functions stand on.
#pragma once

#include "cuda/nvml/constants.h"

namespace tessera::softgpu {

// Silent: tools ask for everything and print "N/A".
template <typename R>
R not_supported(const char*);
template <>
inline nvmlReturn_t not_supported<nvmlReturn_t>(const char*) {
  return NVML_ERROR_NOT_SUPPORTED;
}

}  // namespace tessera::softgpu

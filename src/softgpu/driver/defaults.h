// What the generated definitions of the driver's functions stand on (driver_defaults.cc).
#pragma once

#include "cuda/abi/result.h"

namespace tessera::softgpu {

// Logs "NAME is not supported by the software GPU", once for each name.
void log_not_supported(const char* name);

template <typename R>
R not_supported(const char* name);
template <>
inline CUresult not_supported<CUresult>(const char* name) {
  log_not_supported(name);
  return CUDA_ERROR_NOT_SUPPORTED;
}

// While one lives, stream 0 means the calling thread's own default stream: the _ptsz and _ptds forms.
class PerThreadDefaultStream {
 public:
  PerThreadDefaultStream();
  ~PerThreadDefaultStream();
  PerThreadDefaultStream(const PerThreadDefaultStream&) = delete;
  PerThreadDefaultStream& operator=(const PerThreadDefaultStream&) = delete;

  static bool active();
};

}  // namespace tessera::softgpu

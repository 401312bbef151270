// Launches as they were before CUDA 4.0: a function keeps the shape of its blocks and its parameters, and
// launches take them from there.
#include <cstring>

#include "cuda/abi.h"
#include "softgpu/driver/entry.h"
#include "softgpu/driver/launch.h"
#include "softgpu/driver/module.h"

using namespace tessera::softgpu;  // NOLINT: the C interface of that namespace

namespace {

constexpr size_t kMaxParameterBytes = 4096;

// Runs `body(KeptLaunch&)`; the function's launches wait meanwhile.
template <typename Body>
CUresult on_kept(CUfunction handle, Body&& body) {
  return guarded([&]() -> CUresult {
    std::shared_ptr<Function> function;
    SOFTGPU_RETURN_IF_ERROR(function_of(handle, &function));
    return function->with_kept_launch(body);
  });
}

CUresult set_parameter(CUfunction handle, int offset, const void* value, size_t bytes) {
  return on_kept(handle, [&](KeptLaunch& kept) -> CUresult {
    const bool inside = offset >= 0 && bytes <= kMaxParameterBytes &&
                        static_cast<size_t>(offset) <= kMaxParameterBytes - bytes;
    if (!inside || (bytes != 0 && value == nullptr)) return CUDA_ERROR_INVALID_VALUE;
    const size_t begin = static_cast<size_t>(offset);
    if (kept.parameters.size() < begin + bytes) kept.parameters.resize(begin + bytes);
    if (bytes != 0) memcpy(kept.parameters.data() + begin, value, bytes);
    return CUDA_SUCCESS;
  });
}

CUresult launch_kept(CUfunction handle, int width, int height, CUstream stream) {
  KeptLaunch kept;
  SOFTGPU_RETURN_IF_ERROR(on_kept(handle, [&](const KeptLaunch& known) {
    kept = known;
    return CUDA_SUCCESS;
  }));
  if (width <= 0 || height <= 0 || kept.block.count() == 0) return CUDA_ERROR_INVALID_VALUE;
  kept.parameters.resize(kept.parameter_bytes);
  size_t bytes = kept.parameters.size();
  void* extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, kept.parameters.data(), CU_LAUNCH_PARAM_BUFFER_SIZE,
                   &bytes, CU_LAUNCH_PARAM_END};
  return cuLaunchKernel(handle, static_cast<unsigned>(width), static_cast<unsigned>(height), 1, kept.block.x,
                        kept.block.y, kept.block.z, kept.shared_bytes, stream, nullptr, extra);
}

}  // namespace

extern "C" {

CUresult cuFuncSetBlockShape(CUfunction hfunc, int x, int y, int z) {
  return on_kept(hfunc, [&](KeptLaunch& kept) -> CUresult {
    if (x <= 0 || y <= 0 || z <= 0) return CUDA_ERROR_INVALID_VALUE;
    kept.block = {static_cast<uint32_t>(x), static_cast<uint32_t>(y), static_cast<uint32_t>(z)};
    return CUDA_SUCCESS;
  });
}

CUresult cuFuncSetSharedSize(CUfunction hfunc, unsigned int bytes) {
  return on_kept(hfunc, [&](KeptLaunch& kept) -> CUresult {
    kept.shared_bytes = bytes;
    return CUDA_SUCCESS;
  });
}

CUresult cuParamSetSize(CUfunction hfunc, unsigned int numbytes) {
  return on_kept(hfunc, [&](KeptLaunch& kept) -> CUresult {
    if (numbytes > kMaxParameterBytes) return CUDA_ERROR_INVALID_VALUE;
    kept.parameter_bytes = numbytes;
    return CUDA_SUCCESS;
  });
}
CUresult cuParamSeti(CUfunction hfunc, int offset, unsigned int value) {
  return set_parameter(hfunc, offset, &value, sizeof(value));
}
CUresult cuParamSetf(CUfunction hfunc, int offset, float value) {
  return set_parameter(hfunc, offset, &value, sizeof(value));
}
CUresult cuParamSetv(CUfunction hfunc, int offset, void* ptr, unsigned int numbytes) {
  return set_parameter(hfunc, offset, ptr, numbytes);
}

CUresult cuLaunch(CUfunction f) { return launch_kept(f, 1, 1, nullptr); }
CUresult cuLaunchGrid(CUfunction f, int grid_width, int grid_height) {
  return launch_kept(f, grid_width, grid_height, nullptr);
}
CUresult cuLaunchGridAsync(CUfunction f, int grid_width, int grid_height, CUstream hStream) {
  return launch_kept(f, grid_width, grid_height, hStream);
}

}  // extern "C"

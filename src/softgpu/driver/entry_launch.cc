// Launching kernels.
#include "cuda/abi.h"
#include "softgpu/driver/entry.h"
#include "softgpu/driver/handle_registry.h"
#include "softgpu/driver/launch.h"
#include "softgpu/driver/library.h"
#include "softgpu/driver/module.h"
#include "softgpu/driver/stream.h"

using namespace tessera::softgpu;  // NOLINT: the C interface of that namespace

namespace {

bool is_kernel(CUfunction handle) { return live<LibraryKernel>().find(handle) != nullptr; }

}  // namespace

extern "C" {

CUresult cuLaunchKernel(CUfunction f, unsigned int gridDimX, unsigned int gridDimY, unsigned int gridDimZ,
                        unsigned int blockDimX, unsigned int blockDimY, unsigned int blockDimZ,
                        unsigned int sharedMemBytes, CUstream hStream, void** kernelParams, void** extra) {
  return guarded([&]() -> CUresult {
    std::shared_ptr<Stream> stream;
    SOFTGPU_RETURN_IF_ERROR(stream_of(hStream, &stream));
    std::shared_ptr<Function> function;
    SOFTGPU_RETURN_IF_ERROR(function_of(f, &function));
    LaunchRequest request;
    request.grid = {gridDimX, gridDimY, gridDimZ};
    request.block = {blockDimX, blockDimY, blockDimZ};
    request.dynamic_shared_bytes = sharedMemBytes;
    request.priority = stream->priority();
    request.by_kernel = is_kernel(f);
    request.parameters = kernelParams;
    request.extra = extra;
    return launch(*function, *stream, request);
  });
}

CUresult cuLaunchKernelEx(const CUlaunchConfig* config, CUfunction f, void** kernelParams, void** extra) {
  return guarded([&]() -> CUresult {
    if (config == nullptr) return CUDA_ERROR_INVALID_VALUE;
    std::shared_ptr<Stream> stream;
    SOFTGPU_RETURN_IF_ERROR(stream_of(config->hStream, &stream));
    std::shared_ptr<Function> function;
    SOFTGPU_RETURN_IF_ERROR(function_of(f, &function));
    LaunchRequest request;
    request.grid = {config->gridDimX, config->gridDimY, config->gridDimZ};
    request.block = {config->blockDimX, config->blockDimY, config->blockDimZ};
    request.dynamic_shared_bytes = config->sharedMemBytes;
    request.priority = stream->priority();
    request.by_kernel = is_kernel(f);
    request.parameters = kernelParams;
    request.extra = extra;
    SOFTGPU_RETURN_IF_ERROR(apply_attributes(config->attrs, config->numAttrs, &request));
    return launch(*function, *stream, request);
  });
}

CUresult cuLaunchCooperativeKernel(CUfunction f, unsigned int gridDimX, unsigned int gridDimY,
                                   unsigned int gridDimZ, unsigned int blockDimX, unsigned int blockDimY,
                                   unsigned int blockDimZ, unsigned int sharedMemBytes, CUstream hStream,
                                   void** kernelParams) {
  CUlaunchAttribute attribute{};
  attribute.id = CU_LAUNCH_ATTRIBUTE_COOPERATIVE;
  attribute.value.cooperative = 1;
  CUlaunchConfig config{};
  config.gridDimX = gridDimX;
  config.gridDimY = gridDimY;
  config.gridDimZ = gridDimZ;
  config.blockDimX = blockDimX;
  config.blockDimY = blockDimY;
  config.blockDimZ = blockDimZ;
  config.sharedMemBytes = sharedMemBytes;
  config.hStream = hStream;
  config.attrs = &attribute;
  config.numAttrs = 1;
  return cuLaunchKernelEx(&config, f, kernelParams, nullptr);
}

}  // extern "C"

// The launch of one cooperative grid on each of several devices, whose blocks may all wait for each other.
#include <algorithm>
#include <mutex>

#include "cuda/abi.h"
#include "softgpu/driver/device.h"
#include "softgpu/driver/entry.h"
#include "softgpu/driver/graph/capture.h"
#include "softgpu/driver/handle_registry.h"
#include "softgpu/driver/launch.h"
#include "softgpu/driver/library.h"
#include "softgpu/driver/module.h"
#include "softgpu/driver/stream.h"

using namespace tessera::softgpu;  // NOLINT: the C interface of that namespace

namespace {

// cuda.h, of cuLaunchCooperativeKernelMultiDevice.
constexpr unsigned kNoSyncBefore = 1, kNoSyncAfter = 2;

struct Part {
  std::shared_ptr<Stream> stream;
  OpRef kernel;
};

bool made_by_program(CUstream stream) {
  return stream != nullptr && stream != CU_STREAM_LEGACY && stream != CU_STREAM_PER_THREAD;
}

// A kernel of a library is the one of the stream's context.
CUresult function_in(Context& context, CUfunction handle, std::shared_ptr<Function>* function) {
  if (const auto kernel = live<LibraryKernel>().find(handle)) return kernel->function(context, function);
  SOFTGPU_RETURN_IF_ERROR(function_of(handle, function));
  return &(*function)->module().context() == &context ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

bool same_shape(const CUDA_LAUNCH_PARAMS& a, const CUDA_LAUNCH_PARAMS& b) {
  return a.gridDimX == b.gridDimX && a.gridDimY == b.gridDimY && a.gridDimZ == b.gridDimZ &&
         a.blockDimX == b.blockDimX && a.blockDimY == b.blockDimY && a.blockDimZ == b.blockDimZ &&
         a.sharedMemBytes == b.sharedMemBytes;
}

// That it is the same code is judged by its name and parameters.
CUresult prepare(const CUDA_LAUNCH_PARAMS& params, Part* part, std::string* name, size_t* parameter_bytes) {
  if (!made_by_program(params.hStream)) return CUDA_ERROR_INVALID_HANDLE;
  SOFTGPU_RETURN_IF_ERROR(stream_of(params.hStream, &part->stream));
  bool captured = false;
  SOFTGPU_RETURN_IF_ERROR(enter_stream(*part->stream, &captured));
  if (captured) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  std::shared_ptr<Function> function;
  SOFTGPU_RETURN_IF_ERROR(function_in(part->stream->context(), params.function, &function));
  LaunchRequest request;
  request.grid = {params.gridDimX, params.gridDimY, params.gridDimZ};
  request.block = {params.blockDimX, params.blockDimY, params.blockDimZ};
  request.dynamic_shared_bytes = params.sharedMemBytes;
  request.priority = part->stream->priority();
  request.parameters = params.kernelParams;
  request.cooperative = true;
  GridLaunch work;
  SOFTGPU_RETURN_IF_ERROR(prepare_launch(*function, request, &work));
  *name = function->name();
  *parameter_bytes = work.launch.parameters.size();
  part->kernel = make_kernel(part->stream->context_ref(), std::move(work), request.priority);
  return CUDA_SUCCESS;
}

bool on_another_device(const Part& part, std::span<const Part> others) {
  return std::none_of(others.begin(), others.end(), [&](const Part& other) {
    return &other.stream->context().device() == &part.stream->context().device();
  });
}

CUresult prepare_all(std::span<const CUDA_LAUNCH_PARAMS> launches, std::vector<Part>* parts) {
  std::string first_name;
  size_t first_bytes = 0;
  for (const CUDA_LAUNCH_PARAMS& params : launches) {
    if (!same_shape(params, launches.front())) return CUDA_ERROR_INVALID_VALUE;
    Part part;
    std::string name;
    size_t bytes = 0;
    SOFTGPU_RETURN_IF_ERROR(prepare(params, &part, &name, &bytes));
    if (parts->empty()) {
      first_name = name;
      first_bytes = bytes;
    }
    if (name != first_name || bytes != first_bytes || !on_another_device(part, *parts))
      return CUDA_ERROR_INVALID_VALUE;
    part.stream->context().flush_output();
    parts->push_back(std::move(part));
  }
  return CUDA_SUCCESS;
}

std::vector<OpRef> mark_all(const std::vector<Part>& parts, std::span<const OpRef> after) {
  std::vector<OpRef> marks;
  for (const Part& part : parts) {
    marks.push_back(std::make_shared<MarkerOp>());
    part.stream->submit(marks.back(), after);
  }
  return marks;
}

// One after the other: two such launches that are in different orders in their streams would wait for each
// other.
void submit_all(const std::vector<Part>& parts, unsigned flags) {
  static std::mutex submitting;
  std::lock_guard lock(submitting);
  std::vector<OpRef> before, kernels;
  if ((flags & kNoSyncBefore) == 0) before = mark_all(parts, {});
  for (const Part& part : parts) {
    part.stream->submit(part.kernel, before);
    kernels.push_back(part.kernel);
  }
  if ((flags & kNoSyncAfter) == 0) mark_all(parts, kernels);
}

}  // namespace

extern "C" {

CUresult cuLaunchCooperativeKernelMultiDevice(CUDA_LAUNCH_PARAMS* launchParamsList, unsigned int numDevices,
                                              unsigned int flags) {
  return initialised([&]() -> CUresult {
    if (launchParamsList == nullptr || numDevices == 0 || numDevices > devices().size() ||
        (flags & ~(kNoSyncBefore | kNoSyncAfter)) != 0)
      return CUDA_ERROR_INVALID_VALUE;
    std::vector<Part> parts;
    SOFTGPU_RETURN_IF_ERROR(prepare_all({launchParamsList, numDevices}, &parts));
    submit_all(parts, flags);
    return CUDA_SUCCESS;
  });
}

}  // extern "C"

#include "softgpu/driver/launch.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "softgpu/device/model.h"
#include "softgpu/device/occupancy.h"
#include "softgpu/driver/compute_engine.h"
#include "softgpu/driver/device.h"
#include "softgpu/driver/event.h"
#include "softgpu/driver/graph/capture.h"
#include "softgpu/driver/graph/work.h"
#include "softgpu/driver/kernel_op.h"

namespace tessera::softgpu {
namespace {

// Limits that all models share (CUDA C++ Programming Guide, "Technical Specifications per Compute
// Capability").
constexpr uint32_t kMaxThreads = 1024;
constexpr exec::Dim3 kMaxBlock{1024, 1024, 64};
constexpr exec::Dim3 kMaxGrid{0x7fffffff, 65535, 65535};

bool within(const exec::Dim3& value, const exec::Dim3& limit) {
  return value.x >= 1 && value.y >= 1 && value.z >= 1 && value.x <= limit.x && value.y <= limit.y &&
         value.z <= limit.z;
}

// cudaErrorInvalidConfiguration. The runtime hands our result to the program as it is, and that is what its
// programs get on hardware; CUresult has no name for the value, and users of the driver API get
// CUDA_ERROR_INVALID_VALUE.
constexpr auto kInvalidConfiguration = static_cast<CUresult>(9);

CUresult check_shape(const LaunchRequest& request, const exec::KernelInfo& info) {
  const CUresult invalid = request.by_kernel ? kInvalidConfiguration : CUDA_ERROR_INVALID_VALUE;
  if (!within(request.grid, kMaxGrid) || !within(request.block, kMaxBlock)) return invalid;
  const uint64_t threads = request.block.count();
  if (threads > kMaxThreads) return invalid;
  if (threads > info.max_threads_per_block) return CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
  const uint32_t* required = info.required_block;
  const bool fixed = required[0] != 0;
  if (fixed && (request.block.x != required[0] || request.block.y != std::max(required[1], 1u) ||
                request.block.z != std::max(required[2], 1u))) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  return CUDA_SUCCESS;
}

CUresult check_shared(const LaunchRequest& request, const exec::KernelInfo& info,
                      const FunctionSettings& settings, const DeviceModel& model) {
  const uint64_t total = uint64_t{info.static_shared_bytes} + request.dynamic_shared_bytes;
  if (total <= model.shared_per_block) return CUDA_SUCCESS;
  const auto allowed =
      static_cast<uint64_t>(settings.max_dynamic_shared_bytes.load(std::memory_order_relaxed));
  const bool opted_in = request.dynamic_shared_bytes <= allowed && total <= model.shared_per_block_optin;
  return opted_in ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

// From cuLaunchKernel's list of pointers, or from the buffer of `extra`.
CUresult gather(const LaunchRequest& request, const exec::KernelInfo& info, std::vector<std::byte>* out) {
  out->assign(info.parameter_bytes, std::byte{0});
  if (request.parameters != nullptr && request.extra != nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (request.extra != nullptr) {
    const void* buffer = nullptr;
    size_t size = 0;
    for (void** item = request.extra; *item != CU_LAUNCH_PARAM_END; item += 2) {
      if (*item == CU_LAUNCH_PARAM_BUFFER_POINTER) {
        buffer = item[1];
      } else if (*item == CU_LAUNCH_PARAM_BUFFER_SIZE) {
        if (item[1] == nullptr) return CUDA_ERROR_INVALID_VALUE;
        size = *static_cast<const size_t*>(item[1]);
      } else {
        return CUDA_ERROR_INVALID_VALUE;
      }
    }
    if (size > out->size() || (size != 0 && buffer == nullptr)) return CUDA_ERROR_INVALID_VALUE;
    if (size != 0) memcpy(out->data(), buffer, size);
    return CUDA_SUCCESS;
  }
  if (!info.parameters.empty() && request.parameters == nullptr) return CUDA_ERROR_INVALID_VALUE;
  for (size_t i = 0; i < info.parameters.size(); ++i) {
    const exec::Parameter& parameter = info.parameters[i];
    if (request.parameters[i] == nullptr) return CUDA_ERROR_INVALID_VALUE;
    memcpy(out->data() + parameter.offset, request.parameters[i], parameter.size);
  }
  return CUDA_SUCCESS;
}

// What the kernel was compiled for or a program has set for it; zeros where neither is.
exec::Dim3 required_cluster(const exec::KernelInfo& info, const FunctionSettings& settings) {
  const uint32_t* compiled = info.required_cluster;
  if (compiled[0] != 0) return {compiled[0], compiled[1], compiled[2]};
  const auto set = [&](size_t i) { return static_cast<uint32_t>(settings.required_cluster[i].load()); };
  return {set(0), set(1), set(2)};
}

bool same(const exec::Dim3& a, const exec::Dim3& b) { return a.x == b.x && a.y == b.y && a.z == b.z; }

std::atomic<uint64_t> next_grid_id{1};

}  // namespace

uint32_t most_cluster_blocks(const exec::KernelInfo& info, const FunctionSettings& settings) {
  const uint32_t most =
      settings.non_portable_cluster.load() != 0 ? exec::kMaxClusterBlocks : kPortableClusterBlocks;
  return info.max_cluster_blocks != 0 ? std::min(most, info.max_cluster_blocks) : most;
}

CUresult set_cluster(Function& function, exec::Dim3 wanted, exec::Launch* work) {
  std::shared_ptr<const exec::Kernel> kernel;
  const CUresult result = function.load(&kernel);
  if (result != CUDA_SUCCESS) return result;
  const exec::KernelInfo& info = kernel->info();
  const exec::Dim3 required = required_cluster(info, function.settings());
  if (wanted.count() == 0) {
    if (!same(wanted, {0, 0, 0})) return CUDA_ERROR_INVALID_VALUE;
    if (info.explicit_cluster && required.count() == 0) return CUDA_ERROR_INVALID_CLUSTER_SIZE;
    wanted = required.count() != 0 ? required : exec::Dim3{};
    work->explicit_cluster = required.count() != 0;
  } else {
    if (required.count() != 0 && !same(wanted, required)) return CUDA_ERROR_INVALID_CLUSTER_SIZE;
    work->explicit_cluster = true;
  }
  const uint64_t blocks = wanted.count();
  const exec::Dim3& grid = work->grid;
  if (blocks > most_cluster_blocks(info, function.settings()) || grid.x % wanted.x != 0 ||
      grid.y % wanted.y != 0 || grid.z % wanted.z != 0)
    return CUDA_ERROR_INVALID_CLUSTER_SIZE;
  if (blocks > 1 && !has_clusters(function.module().context().device().model()))
    return CUDA_ERROR_NOT_SUPPORTED;
  work->cluster = wanted;
  return CUDA_SUCCESS;
}

CUresult check_residency(const exec::Launch& launch, const Device& device) {
  const exec::KernelInfo& info = launch.kernel->info();
  BlockNeeds needs;
  needs.threads = static_cast<uint32_t>(launch.block.count());
  needs.registers_per_thread = info.registers_per_thread;
  needs.static_shared_bytes = info.static_shared_bytes;
  needs.dynamic_shared_bytes = launch.dynamic_shared_bytes;
  const uint64_t most =
      uint64_t{resident_blocks(device.model(), needs)} * static_cast<uint64_t>(device.sm_count());
  return launch.grid.count() <= most ? CUDA_SUCCESS : CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE;
}

namespace {

void describe(Context& context, std::shared_ptr<const exec::Kernel> kernel, const LaunchRequest& request,
              exec::Launch* work) {
  work->kernel = std::move(kernel);
  work->grid = request.grid;
  work->block = request.block;
  work->dynamic_shared_bytes = request.dynamic_shared_bytes;
  work->memory = &context.device().addresses();
  work->services = &context.services();
  work->sm_count = static_cast<uint32_t>(context.device().sm_count());
}

}  // namespace

CUresult prepare_launch(Function& function, const LaunchRequest& request, GridLaunch* grid) {
  Context& context = function.module().context();
  std::shared_ptr<const exec::Kernel> kernel;
  CUresult result = function.load(&kernel);
  if (result != CUDA_SUCCESS) return result;
  const exec::KernelInfo& info = kernel->info();
  result = check_shape(request, info);
  if (result != CUDA_SUCCESS) return result;
  result = check_shared(request, info, function.settings(), context.device().model());
  if (result != CUDA_SUCCESS) return result;
  result = gather(request, info, &grid->launch.parameters);
  if (result != CUDA_SUCCESS) return result;
  describe(context, std::move(kernel), request, &grid->launch);
  result = set_cluster(function, request.cluster, &grid->launch);
  if (result != CUDA_SUCCESS) return result;
  grid->cooperative = request.cooperative;
  if (grid->cooperative) {
    result = check_residency(grid->launch, context.device());
    if (result != CUDA_SUCCESS) return result;
  }
  return context.provide_for(info);
}

CUresult prepare_child(Context& context, std::shared_ptr<const exec::Kernel> kernel,
                       const LaunchRequest& request, GridLaunch* grid) {
  const exec::KernelInfo& info = kernel->info();
  CUresult result = check_shape(request, info);
  if (result != CUDA_SUCCESS) return result;
  result = check_shared(request, info, FunctionSettings(), context.device().model());
  if (result != CUDA_SUCCESS) return result;
  if (info.explicit_cluster) return CUDA_ERROR_NOT_SUPPORTED;
  describe(context, std::move(kernel), request, &grid->launch);
  grid->launch.grid_id = next_grid_id.fetch_add(1, std::memory_order_relaxed);
  return CUDA_SUCCESS;
}

OpRef make_kernel(std::shared_ptr<Context> context, GridLaunch work, int priority) {
  work.launch.grid_id = next_grid_id.fetch_add(1, std::memory_order_relaxed);
  return std::make_shared<KernelOp>(std::move(context), std::move(work), priority);
}

namespace {

CUresult capture_launch(Function& function, Stream& stream, LaunchRequest request) {
  CUDA_KERNEL_NODE_PARAMS params{};
  params.func = function.handle();
  params.gridDimX = request.grid.x;
  params.gridDimY = request.grid.y;
  params.gridDimZ = request.grid.z;
  params.blockDimX = request.block.x;
  params.blockDimY = request.block.y;
  params.blockDimZ = request.block.z;
  params.sharedMemBytes = request.dynamic_shared_bytes;
  // What the stream has, where the launch does not say otherwise.
  CUlaunchAttribute window{CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW, {}, {}};
  window.value.accessPolicyWindow = stream.hints().window;
  if (window.value.accessPolicyWindow.num_bytes != 0) request.hints.insert(request.hints.begin(), window);
  std::shared_ptr<KernelWork> work;
  const CUresult result = KernelWork::create(params, request, &work);
  return result == CUDA_SUCCESS ? capture_work(stream, std::move(work)) : result;
}

}  // namespace

CUresult launch(Function& function, Stream& stream, const LaunchRequest& request) {
  Context& context = stream.context();
  if (&function.module().context() != &context) return CUDA_ERROR_INVALID_HANDLE;
  bool captured = false;
  CUresult result = enter_stream(stream, &captured);
  if (result != CUDA_SUCCESS) return result;
  if (captured)
    return request.events.empty() ? capture_launch(function, stream, request) : CUDA_ERROR_NOT_SUPPORTED;
  std::vector<std::shared_ptr<Event>> events(request.events.size());
  for (size_t i = 0; i < events.size(); ++i) {
    result = event_of(request.events[i], &events[i]);
    if (result != CUDA_SUCCESS) return result;
    if (&events[i]->context() != &context) return CUDA_ERROR_INVALID_HANDLE;
  }
  GridLaunch work;
  result = prepare_launch(function, request, &work);
  if (result != CUDA_SUCCESS) return result;
  context.flush_output();
  context.device().compute().work().await_room();
  stream.submit(make_kernel(stream.context_ref(), std::move(work), request.priority));
  // They may come before the kernel's end, when its blocks have begun or said so; never before that.
  for (const std::shared_ptr<Event>& event : events) event->record(stream);
  return CUDA_SUCCESS;
}

CUresult apply_attributes(const CUlaunchAttribute* attributes, unsigned count, LaunchRequest* request) {
  if (count != 0 && attributes == nullptr) return CUDA_ERROR_INVALID_VALUE;
  for (unsigned i = 0; i < count; ++i) {
    const CUlaunchAttributeValue& value = attributes[i].value;
    switch (attributes[i].id) {
      case CU_LAUNCH_ATTRIBUTE_PRIORITY:
        request->priority = std::clamp(value.priority, kGreatestPriority, 0);
        break;
      case CU_LAUNCH_ATTRIBUTE_COOPERATIVE:
        request->cooperative = value.cooperative != 0;
        break;
      case CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION:
        request->cluster = {value.clusterDim.x, value.clusterDim.y, value.clusterDim.z};
        if (request->cluster.count() == 0) return CUDA_ERROR_INVALID_VALUE;
        break;
      case CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT:
        request->events.push_back(value.programmaticEvent.event);
        break;
      case CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT:
        request->events.push_back(value.launchCompletionEvent.event);
        break;
      case CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE:
        return CUDA_ERROR_NOT_SUPPORTED;
      default:  // hints: caches, waiting, scheduling, overlap with the kernel before
        if (attributes[i].id >= CU_LAUNCH_ATTRIBUTE_MAX) return CUDA_ERROR_INVALID_VALUE;
        if (attributes[i].id != CU_LAUNCH_ATTRIBUTE_IGNORE) request->hints.push_back(attributes[i]);
        break;
    }
  }
  return CUDA_SUCCESS;
}

}  // namespace tessera::softgpu

// Launches of kernels. They are sent without waiting where the driver would not refuse them.
#include "common/log.h"
#include "remote/client/connection.h"
#include "remote/client/contexts.h"
#include "remote/client/functions.h"
#include "remote/client/host_ranges.h"
#include "remote/client/installs.h"
#include "remote/client/launch.h"
#include "remote/client/request.h"
#include "remote/client/servers.h"
#include "remote/rpc.h"

namespace tessera::remote {
namespace {

struct Shape {
  unsigned grid[3];
  unsigned block[3];
  unsigned shared_bytes;
};

// What every driver takes. Anything else is asked: the answer says why not.
bool is_surely_allowed(const ClientFunction& function, const Shape& shape) {
  // The first launch loads the code: there may be no room for it.
  if (!function.has_launched.load(std::memory_order_acquire) || function.limits.has_clusters != 0)
    return false;
  constexpr uint64_t kMostGridX = 0x7fffffff, kMostGrid = 65535;
  const uint64_t threads = uint64_t{shape.block[0]} * shape.block[1] * shape.block[2];
  const bool has_size = shape.grid[0] != 0 && shape.grid[1] != 0 && shape.grid[2] != 0 && threads != 0;
  return has_size && shape.grid[0] <= kMostGridX && shape.grid[1] <= kMostGrid &&
         shape.grid[2] <= kMostGrid && shape.block[0] <= 1024 && shape.block[1] <= 1024 &&
         shape.block[2] <= 64 &&
         (function.limits.max_threads > 0 ? threads <= static_cast<uint64_t>(function.limits.max_threads)
                                          : threads <= 1024) &&
         static_cast<int64_t>(shape.shared_bytes) <= std::max(function.limits.max_dynamic_shared, 0);
}

LaunchFields fields_of(CUfunction function, CUstream stream, const Shape& shape) {
  LaunchFields fields;
  fields.function = reinterpret_cast<uint64_t>(function);
  fields.stream = reinterpret_cast<uint64_t>(stream);
  for (int i = 0; i < 3; ++i) {
    fields.grid[i] = shape.grid[i];
    fields.block[i] = shape.block[i];
  }
  fields.shared_bytes = shape.shared_bytes;
  return fields;
}

CUresult find_launchable(CUfunction function, ClientFunction** found) {
  *found = find_function(function);
  if (*found == nullptr) return session() == nullptr ? CUDA_ERROR_NOT_INITIALIZED : CUDA_ERROR_INVALID_HANDLE;
  if (!(*found)->is_known) {
    LOG_ERROR("remote",
              "the server's driver does not tell how parameters of kernels lie: it is older than CUDA 12.4");
    return CUDA_ERROR_NOT_SUPPORTED;
  }
  return CUDA_SUCCESS;
}

CUresult launch(Op op, bool per_thread, CUfunction function, CUstream stream, const Shape& shape,
                void** parameters, void** extra, const CUlaunchAttribute* attributes = nullptr,
                unsigned attribute_count = 0) {
  ClientFunction* found = nullptr;
  if (const CUresult result = find_launchable(function, &found); result != CUDA_SUCCESS) return result;
  if (are_apart(function, stream)) return CUDA_ERROR_INVALID_HANDLE;
  std::vector<std::byte>& values = this_thread().parameters;
  values.clear();
  if (const CUresult result = gather_parameters(*found, parameters, extra, values); result != CUDA_SUCCESS) {
    return result;
  }
  Session* its = session_of(server_of_handle(function));
  if (its == nullptr) return without_session();
  publish_host_memory(*its, values);
  LaunchFields fields = fields_of(function, stream, shape);
  fields.parameter_bytes = static_cast<uint32_t>(values.size());
  fields.attributes = attribute_count;
  Request request(op, per_thread);
  request.about(fields.function)
      .value(fields)
      .raw(attributes, attribute_count * sizeof *attributes)
      .raw(values.data(), values.size());
  const bool may_queue = Known::healthy() && attribute_count == 0 && op == Op::cuLaunchKernel &&
                         Known::stream(per_thread, stream) && is_surely_allowed(*found, shape);
  if (may_queue) return request.queue();
  const CUresult result = request.run();
  if (result == CUDA_SUCCESS && op == Op::cuLaunchKernel && !found->has_launched.load()) {
    found->limits = request.next_value<LaunchLimits>();
    found->has_launched.store(true, std::memory_order_release);
  }
  return result;
}

template <bool kPerThread>
CUresult launch_kernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                       unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes,
                       CUstream stream, void** parameters, void** extra) {
  return launch(Op::cuLaunchKernel, kPerThread, function, stream,
                {{grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, shared_bytes}, parameters, extra);
}

template <bool kPerThread>
CUresult launch_cooperative(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                            unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes,
                            CUstream stream, void** parameters) {
  return launch(Op::cuLaunchCooperativeKernel, kPerThread, function, stream,
                {{grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, shared_bytes}, parameters, nullptr);
}

Shape shape_of(const CUlaunchConfig& config) {
  return {{config.gridDimX, config.gridDimY, config.gridDimZ},
          {config.blockDimX, config.blockDimY, config.blockDimZ},
          config.sharedMemBytes};
}

template <bool kPerThread>
CUresult launch_ex(const CUlaunchConfig* config, CUfunction function, void** parameters, void** extra) {
  if (config == nullptr || config->numAttrs > kMaxLaunchAttributes ||
      (config->numAttrs != 0 && config->attrs == nullptr)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  const Op op = config->numAttrs == 0 ? Op::cuLaunchKernel : Op::cuLaunchKernelEx;
  return launch(op, kPerThread, function, config->hStream, shape_of(*config), parameters, extra,
                config->attrs, config->numAttrs);
}

// One of several launches that are one call: its fields and parameters, for which memory has been published.
CUresult prepare_launch(const CUDA_LAUNCH_PARAMS& one, LaunchFields& fields, std::vector<std::byte>& values) {
  ClientFunction* found = nullptr;
  if (const CUresult result = find_launchable(one.function, &found); result != CUDA_SUCCESS) return result;
  if (const CUresult result = gather_parameters(*found, one.kernelParams, nullptr, values);
      result != CUDA_SUCCESS)
    return result;
  fields = fields_of(one.function, one.hStream,
                     {{one.gridDimX, one.gridDimY, one.gridDimZ},
                      {one.blockDimX, one.blockDimY, one.blockDimZ},
                      one.sharedMemBytes});
  fields.parameter_bytes = static_cast<uint32_t>(values.size());
  Session* its = session_of(server_of_handle(one.function));
  if (its == nullptr) return without_session();
  publish_host_memory(*its, values);
  return CUDA_SUCCESS;
}

// One launch on each device, each on a stream of its own.
CUresult launch_multi_device(CUDA_LAUNCH_PARAMS* list, unsigned int count, unsigned int flags) {
  if (list == nullptr || count == 0 || count > kMaxLaunches) return CUDA_ERROR_INVALID_VALUE;
  std::vector<LaunchFields> fields(count);
  std::vector<std::vector<std::byte>> values(count);
  for (unsigned i = 0; i < count; ++i) {
    if (are_apart(list[0].function, list[i].function) || are_apart(list[i].function, list[i].hStream))
      return not_over_the_wire("a launch on devices of several servers");
    if (const CUresult result = prepare_launch(list[i], fields[i], values[i]); result != CUDA_SUCCESS)
      return result;
  }
  Request request(Op::cuLaunchCooperativeKernelMultiDevice, false);
  request.about(fields[0].function).value(count).value(flags);
  for (unsigned i = 0; i < count; ++i) request.value(fields[i]).raw(values[i].data(), values[i].size());
  return request.run();
}

CUresult ask_of_clusters(Op op, int* found, CUfunction function, const CUlaunchConfig* config) {
  if (found == nullptr || config == nullptr || config->numAttrs > kMaxLaunchAttributes)
    return CUDA_ERROR_INVALID_VALUE;
  ClientFunction* known = nullptr;
  if (const CUresult result = find_launchable(function, &known); result != CUDA_SUCCESS) return result;
  LaunchFields fields = fields_of(function, config->hStream, shape_of(*config));
  const std::vector<std::byte> nothing(known->info.parameter_bytes());
  fields.parameter_bytes = static_cast<uint32_t>(nothing.size());
  fields.attributes = config->numAttrs;
  Request request(op, false);
  request.about(fields.function).value(fields).raw(config->attrs, config->numAttrs * sizeof *config->attrs);
  const CUresult result = request.raw(nothing.data(), nothing.size()).run();
  if (result == CUDA_SUCCESS) *found = request.next_value<int>();
  return result;
}

CUresult max_potential_cluster_size(int* size, CUfunction function, const CUlaunchConfig* config) {
  return ask_of_clusters(Op::cuOccupancyMaxPotentialClusterSize, size, function, config);
}

CUresult max_active_clusters(int* count, CUfunction function, const CUlaunchConfig* config) {
  return ask_of_clusters(Op::cuOccupancyMaxActiveClusters, count, function, config);
}

// The program's own function says how much shared memory a block takes: so the search is made here.
CUresult max_potential_block_size(int* min_grid, int* block, CUfunction function,
                                  CUoccupancyB2DSize shared_of, size_t shared_bytes, int limit,
                                  unsigned flags) {
  if (min_grid == nullptr || block == nullptr) return CUDA_ERROR_INVALID_VALUE;
  CUdevice device = 0;
  if (const CUresult result = current_device(&device); result != CUDA_SUCCESS) return result;
  int most = 0, sms = 0, warp = 32;
  CUresult result = rpc::cuFuncGetAttribute(false, &most, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, function);
  if (result != CUDA_SUCCESS) return result;
  const RemoteDevice& info = *server_info()->device(device);
  sms = info.attributes[CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT];
  warp = std::max(info.attributes[CU_DEVICE_ATTRIBUTE_WARP_SIZE], 1);
  if (limit > 0) most = std::min(most, limit);
  int best_threads = 0, best_blocks = 0;
  *block = 0;
  // From the largest block down, as cuda.h describes it; the first that reaches the most threads is taken.
  for (int size = most; size > 0; size = (size - 1) / warp * warp) {
    const size_t shared = shared_of != nullptr ? shared_of(size) : shared_bytes;
    int blocks = 0;
    result = rpc::cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(false, &blocks, function, size, shared,
                                                                       flags);
    if (result != CUDA_SUCCESS) return result;
    if (blocks * size > best_threads) {
      best_threads = blocks * size;
      best_blocks = blocks;
      *block = size;
    }
  }
  *min_grid = best_blocks * sms;
  return CUDA_SUCCESS;
}

CUresult max_potential_block_size_plain(int* min_grid, int* block, CUfunction function,
                                        CUoccupancyB2DSize shared_of, size_t shared_bytes, int limit) {
  return max_potential_block_size(min_grid, block, function, shared_of, shared_bytes, limit, 0);
}

template <bool kPerThread>
CUresult graph_launch(CUgraphExec exec, CUstream stream) {
  if (are_apart(exec, stream)) return CUDA_ERROR_INVALID_HANDLE;
  if (Session* its = session_of(server_of_handle(exec))) publish_host_memory(*its, {});
  Request request(Op::cuGraphLaunch, kPerThread);
  request.value(exec).value(stream);
  const bool may_queue = Known::healthy() && Known::stream(kPerThread, stream) && Known::graph_exec(exec);
  return may_queue ? request.queue() : request.run();
}

}  // namespace

void publish_host_memory(Session& session, ByteSpan parameters) {
  if (has_several_servers()) share_named_memory(session, parameters);
  HostMemory& host = session.host();
  if (!host.has_any()) return;
  const unsigned server = session.server();
  for (uint64_t address : host.named_in(parameters)) {
    if (host.watch(address)) (void)Request(Message::kHostWatch, false).to(server).value(address).queue();
  }
  if (!host.watches_any()) return;
  host.publish([server](const Changes& changes) {
    (void)Request(Message::kHostChanges, false)
        .to(server)
        .value(changes.address)
        .value(changes.bytes)
        .value<uint64_t>(changes.encoded.size())
        .queue(changes.encoded);
  });
}

void install_launch_calls(cuda::DriverTable& table) {
  table.cuLaunchKernel = launch_kernel<false>;
  table.cuLaunchKernel_ptsz = launch_kernel<true>;
  table.cuLaunchKernelEx = launch_ex<false>;
  table.cuLaunchKernelEx_ptsz = launch_ex<true>;
  table.cuLaunchCooperativeKernel = launch_cooperative<false>;
  table.cuLaunchCooperativeKernel_ptsz = launch_cooperative<true>;
  table.cuLaunchCooperativeKernelMultiDevice = launch_multi_device;
  table.cuOccupancyMaxPotentialClusterSize = max_potential_cluster_size;
  table.cuOccupancyMaxActiveClusters = max_active_clusters;
  table.cuOccupancyMaxPotentialBlockSize = max_potential_block_size_plain;
  table.cuOccupancyMaxPotentialBlockSizeWithFlags = max_potential_block_size;
  table.cuGraphLaunch = graph_launch<false>;
  table.cuGraphLaunch_ptsz = graph_launch<true>;
}

}  // namespace tessera::remote

// cuOccupancy*: how many blocks fit, and which block size fills an SM best. The calculation is
// device/occupancy.h.
#include <algorithm>

#include "cuda/abi.h"
#include "softgpu/device/model.h"
#include "softgpu/device/occupancy.h"
#include "softgpu/driver/device.h"
#include "softgpu/driver/entry.h"
#include "softgpu/driver/function_attributes.h"
#include "softgpu/driver/launch.h"
#include "softgpu/driver/module.h"

namespace tessera::softgpu {
namespace {

constexpr int kMaxThreadsPerBlock = 1024;

// Runs `body(const DeviceModel&, const FunctionLimits&, sm_count)`.
template <typename Body>
CUresult with_limits(CUfunction handle, Body&& body) noexcept {
  return in_context([&](Context& context) -> CUresult {
    std::shared_ptr<Function> function;
    SOFTGPU_RETURN_IF_ERROR(function_of(handle, &function));
    FunctionLimits limits;
    SOFTGPU_RETURN_IF_ERROR(function_limits(*function, &limits));
    return body(model_of(context.device().config()), limits, context.device().sm_count());
  });
}

bool known_flags(unsigned int flags) { return (flags & ~CU_OCCUPANCY_DISABLE_CACHING_OVERRIDE) == 0; }

CUresult max_active_blocks(int* blocks, CUfunction function, int block_size, size_t dynamic_shared,
                           unsigned int flags) {
  return with_limits(function, [&](const DeviceModel& model, const FunctionLimits& limits, int) {
    if (blocks == nullptr || block_size <= 0 || !known_flags(flags)) return CUDA_ERROR_INVALID_VALUE;
    BlockNeeds needs = limits.needs;
    needs.threads = static_cast<uint32_t>(block_size);
    const bool launchable =
        needs.threads <= limits.max_threads && dynamic_shared <= limits.max_dynamic_shared_bytes;
    needs.dynamic_shared_bytes = launchable ? static_cast<uint32_t>(dynamic_shared) : 0;
    *blocks = launchable ? static_cast<int>(resident_blocks(model, needs)) : 0;
    return CUDA_SUCCESS;
  });
}

CUresult max_potential_block_size(int* grid_size, int* block_size, CUfunction function,
                                  CUoccupancyB2DSize dynamic_of_size, size_t dynamic_shared, int limit,
                                  unsigned int flags) {
  return with_limits(function, [&](const DeviceModel& model, const FunctionLimits& limits, int sm_count) {
    if (grid_size == nullptr || block_size == nullptr || limit < 0 || !known_flags(flags)) {
      return CUDA_ERROR_INVALID_VALUE;
    }
    auto shared = [&](uint32_t threads) -> uint64_t {
      const uint64_t bytes =
          dynamic_of_size != nullptr ? dynamic_of_size(static_cast<int>(threads)) : dynamic_shared;
      // More than may be launched: no block of this size.
      return bytes <= limits.max_dynamic_shared_bytes ? bytes : ~uint64_t{0};
    };
    const uint32_t most = limit == 0 ? kMaxThreadsPerBlock : static_cast<uint32_t>(limit);
    const BlockChoice choice =
        best_block_size(model, limits.needs, std::min(most, limits.max_threads), shared);
    *block_size = static_cast<int>(choice.threads);
    *grid_size = static_cast<int>(choice.blocks_per_sm) * sm_count;
    return CUDA_SUCCESS;
  });
}

// A launch with clusters: runs `body(Function&, request, resident, sm_count)` with the
// blocks that an SM holds at the same time. The launch's cluster may be unset.
template <typename Body>
CUresult with_cluster_launch(CUfunction handle, const CUlaunchConfig* config, Body&& body) noexcept {
  return in_context([&](Context& context) -> CUresult {
    if (config == nullptr) return CUDA_ERROR_INVALID_VALUE;
    std::shared_ptr<Function> function;
    SOFTGPU_RETURN_IF_ERROR(function_of(handle, &function));
    FunctionLimits limits;
    SOFTGPU_RETURN_IF_ERROR(function_limits(*function, &limits));
    const DeviceModel& model = model_of(context.device().config());
    if (!has_clusters(model)) return CUDA_ERROR_NOT_SUPPORTED;
    LaunchRequest request;
    SOFTGPU_RETURN_IF_ERROR(apply_attributes(config->attrs, config->numAttrs, &request));
    request.grid = {config->gridDimX, config->gridDimY, config->gridDimZ};
    const exec::Dim3 block{config->blockDimX, config->blockDimY, config->blockDimZ};
    if (block.count() == 0 || block.count() > limits.max_threads ||
        config->sharedMemBytes > limits.max_dynamic_shared_bytes)
      return CUDA_ERROR_INVALID_VALUE;
    BlockNeeds needs = limits.needs;
    needs.threads = static_cast<uint32_t>(block.count());
    needs.dynamic_shared_bytes = config->sharedMemBytes;
    return body(*function, request, resident_blocks(model, needs), context.device().sm_count());
  });
}

// The largest cluster that may be launched: blocks of it may share an SM.
CUresult max_potential_cluster(int* blocks, CUfunction handle, const CUlaunchConfig* config) {
  return with_cluster_launch(
      handle, config, [&](Function& function, const LaunchRequest&, uint32_t resident, int) -> CUresult {
        if (blocks == nullptr) return CUDA_ERROR_INVALID_VALUE;
        std::shared_ptr<const exec::Kernel> kernel;
        SOFTGPU_RETURN_IF_ERROR(function.load(&kernel));
        *blocks =
            resident == 0 ? 0 : static_cast<int>(most_cluster_blocks(kernel->info(), function.settings()));
        return CUDA_SUCCESS;
      });
}

// Clusters whose blocks find room at the same time, on all SMs together. At least one: a cluster with more
// blocks than there is room for takes turns.
CUresult max_active_clusters(int* clusters, CUfunction handle, const CUlaunchConfig* config) {
  return with_cluster_launch(
      handle, config,
      [&](Function& function, const LaunchRequest& request, uint32_t resident, int sm_count) -> CUresult {
        if (clusters == nullptr) return CUDA_ERROR_INVALID_VALUE;
        exec::Launch launch;
        launch.grid = request.grid;
        SOFTGPU_RETURN_IF_ERROR(set_cluster(function, request.cluster, &launch));
        const uint64_t room = uint64_t{resident} * static_cast<uint64_t>(sm_count);
        const uint64_t whole = room / launch.cluster.count();
        *clusters = static_cast<int>(resident == 0 ? 0 : std::max<uint64_t>(whole, 1));
        return CUDA_SUCCESS;
      });
}

}  // namespace
}  // namespace tessera::softgpu

using namespace tessera::softgpu;  // NOLINT(google-build-using-namespace): the definitions below are C
                                   // functions

extern "C" {

CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int* numBlocks, CUfunction func, int blockSize,
                                                     size_t dynamicSMemSize) {
  return max_active_blocks(numBlocks, func, blockSize, dynamicSMemSize, CU_OCCUPANCY_DEFAULT);
}

CUresult cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* numBlocks, CUfunction func, int blockSize,
                                                              size_t dynamicSMemSize, unsigned int flags) {
  return max_active_blocks(numBlocks, func, blockSize, dynamicSMemSize, flags);
}

CUresult cuOccupancyMaxPotentialBlockSize(int* minGridSize, int* blockSize, CUfunction func,
                                          CUoccupancyB2DSize blockSizeToDynamicSMemSize,
                                          size_t dynamicSMemSize, int blockSizeLimit) {
  return max_potential_block_size(minGridSize, blockSize, func, blockSizeToDynamicSMemSize, dynamicSMemSize,
                                  blockSizeLimit, CU_OCCUPANCY_DEFAULT);
}

CUresult cuOccupancyMaxPotentialBlockSizeWithFlags(int* minGridSize, int* blockSize, CUfunction func,
                                                   CUoccupancyB2DSize blockSizeToDynamicSMemSize,
                                                   size_t dynamicSMemSize, int blockSizeLimit,
                                                   unsigned int flags) {
  return max_potential_block_size(minGridSize, blockSize, func, blockSizeToDynamicSMemSize, dynamicSMemSize,
                                  blockSizeLimit, flags);
}

CUresult cuOccupancyAvailableDynamicSMemPerBlock(size_t* dynamicSmemSize, CUfunction func, int numBlocks,
                                                 int blockSize) {
  return with_limits(func, [&](const DeviceModel& model, const FunctionLimits& limits, int) {
    if (dynamicSmemSize == nullptr || numBlocks <= 0 || blockSize <= 0 || blockSize > kMaxThreadsPerBlock) {
      return CUDA_ERROR_INVALID_VALUE;
    }
    BlockNeeds needs = limits.needs;
    needs.threads = static_cast<uint32_t>(blockSize);
    *dynamicSmemSize = available_dynamic_shared(model, needs, static_cast<uint32_t>(numBlocks));
    return CUDA_SUCCESS;
  });
}

CUresult cuOccupancyMaxPotentialClusterSize(int* clusterSize, CUfunction func, const CUlaunchConfig* config) {
  return max_potential_cluster(clusterSize, func, config);
}

CUresult cuOccupancyMaxActiveClusters(int* numClusters, CUfunction func, const CUlaunchConfig* config) {
  return max_active_clusters(numClusters, func, config);
}

}  // extern "C"

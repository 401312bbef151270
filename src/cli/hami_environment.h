// HAMi's environment variables, obeyed by `tessera run` where its own options do not say otherwise. See
// tessera(1).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cli/compute_options.h"
#include "common/status.h"

namespace tessera::cli {

struct HamiSettings {
  std::vector<uint64_t> memory_bytes;  // of each GPU; empty: no limit
  // Of each GPU, in percent; 0: not said, or no limit. Empty: of none.
  std::vector<uint32_t> share_percent;
  bool share_is_ceiling = false;  // GPU_CORE_UTILIZATION_POLICY=force
  std::optional<scheduling::PriorityClass> priority;
  std::string log_level;  // for TESSERA_LOG; empty: not said
};

// The value of a variable; empty where it is not set.
using Environment = std::function<std::string(const std::string& name)>;

// CUDA_DEVICE_MEMORY_LIMIT, CUDA_DEVICE_SM_LIMIT (each with _0, _1, … for single GPUs, which go before the
// general one), GPU_CORE_UTILIZATION_POLICY, CUDA_TASK_PRIORITY and LIBCUDA_LOG_LEVEL, for a slice of
// `gpu_count` GPUs. A value that cannot be is kInvalidArgument, with the variable's name in the message.
Result<HamiSettings> read_hami_environment(const Environment& environment, size_t gpu_count);

// What `tessera run` asks for: its own options where they say something, else HAMi's. One for all GPUs, or
// one for each.
std::vector<ComputeOptions> with_hami_compute(const ComputeOptions& own, const HamiSettings& settings);

}  // namespace tessera::cli

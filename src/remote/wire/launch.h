// Launches on the wire, and what both sides know of a function.
#pragma once

#include <cstdint>
#include <vector>

namespace tessera::remote {

// Followed by the attributes (CUlaunchAttribute) and the parameters as they lie in the kernel's parameter
// space.
struct LaunchFields {
  uint64_t function = 0;
  uint64_t stream = 0;
  uint32_t grid[3] = {};
  uint32_t block[3] = {};
  uint32_t shared_bytes = 0;
  uint32_t parameter_bytes = 0;
  uint32_t attributes = 0;  // how many
  uint32_t reserved = 0;
};
static_assert(sizeof(LaunchFields) == 56);

inline constexpr uint32_t kMaxParameterBytes = 32764;  // since CUDA 12.1; 4096 before
inline constexpr uint32_t kMaxParameters = 4096;
inline constexpr uint32_t kMaxLaunchAttributes = 64;
inline constexpr uint32_t kMaxLaunches =
    16;  // on several devices by one call: what a message holds in any case

struct FunctionParameter {
  uint32_t offset = 0;
  uint32_t bytes = 0;
};

// What launches of a function may ask for: told with the answer to its first, which has loaded it.
struct LaunchLimits {
  int32_t max_threads = 0;         // per block
  int32_t max_dynamic_shared = 0;  // bytes
  int32_t has_clusters = 0;        // it is compiled for clusters of blocks
  int32_t reserved = 0;
};

// Told with the handle of a function.
struct FunctionInfo {
  std::vector<FunctionParameter> parameters;

  uint32_t parameter_bytes() const {
    return parameters.empty() ? 0 : parameters.back().offset + parameters.back().bytes;
  }
};

}  // namespace tessera::remote

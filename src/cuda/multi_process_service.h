// NVIDIA's Multi-Process Service as its clients and their environment show it (CUDA MPS documentation,
// "Environment Variables"): kernels of several processes run on a device at once, and each process may be
// kept to a portion of the SMs, which the driver reads when it starts.
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <string>

namespace tessera::cuda {

inline constexpr const char* kMpsPipeDirectory = "CUDA_MPS_PIPE_DIRECTORY";
inline constexpr const char* kMpsDefaultPipeDirectory = "/tmp/nvidia-mps";
// Percent of a device's SMs that the process may use, above 0 and at most 100.
inline constexpr const char* kMpsActiveThreadPercentage = "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE";
// 0: normal, 1: below normal.
inline constexpr const char* kMpsClientPriority = "CUDA_MPS_CLIENT_PRIORITY";

// Where a control daemon of this process's environment would listen.
inline std::string mps_control_path() {
  const char* directory = getenv(kMpsPipeDirectory);
  return std::string(directory != nullptr && *directory != '\0' ? directory : kMpsDefaultPipeDirectory) +
         "/control";
}

// Whether it is there. One that was killed leaves it behind: then the driver says that it cannot connect.
inline bool mps_is_offered() { return access(mps_control_path().c_str(), F_OK) == 0; }

}  // namespace tessera::cuda

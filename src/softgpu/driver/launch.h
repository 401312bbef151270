// Launching kernels: what a program may ask for, and the parameters it passes.
#pragma once

#include <memory>
#include <vector>

#include "cuda/abi.h"
#include "softgpu/driver/kernel_op.h"
#include "softgpu/driver/module.h"
#include "softgpu/driver/stream.h"

namespace tessera::softgpu {

struct LaunchRequest {
  exec::Dim3 grid, block;
  exec::Dim3 cluster{0, 0, 0};  // in blocks; 0: what the kernel says
  uint32_t dynamic_shared_bytes = 0;
  int priority = 0;
  std::vector<CUevent> events;           // recorded behind it
  std::vector<CUlaunchAttribute> hints;  // that change nothing, for a node of a graph to remember
  void** parameters = nullptr;           // one pointer for each
  void** extra = nullptr;                // or all of them in one buffer
  bool by_kernel = false;                // launched by a CUkernel, as the CUDA runtime does
  bool cooperative = false;              // all blocks run at the same time and may wait for each other
};

// Blocks of a cluster that every device with clusters can run (cuda.h,
// CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED), and that this kernel may have.
constexpr uint32_t kPortableClusterBlocks = 8;
uint32_t most_cluster_blocks(const exec::KernelInfo& info, const FunctionSettings& settings);

// Checks the request against the kernel and the device, and gathers what running it takes: all but a number
// for the grid.
CUresult prepare_launch(Function& function, const LaunchRequest& request, GridLaunch* work);
// Makes it a launch of clusters of that many blocks; {0, 0, 0} for what the kernel says, single blocks where
// it says nothing. CUDA_ERROR_INVALID_CLUSTER_SIZE where the kernel, the grid or the device does not allow
// it.
CUresult set_cluster(Function& function, exec::Dim3 wanted, exec::Launch* work);
// The same for a kernel that a kernel launches, without its parameters.
CUresult prepare_child(Context& context, std::shared_ptr<const exec::Kernel> kernel,
                       const LaunchRequest& request, GridLaunch* work);
// Blocks of a cooperative launch wait for each other, so all of them must be resident at once:
// CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE where the device has not the room.
CUresult check_residency(const exec::Launch& launch, const Device& device);
// The operation of one launch.
OpRef make_kernel(std::shared_ptr<Context> context, GridLaunch work, int priority);
// Prepares the request and submits it. Returns before it runs.
CUresult launch(Function& function, Stream& stream, const LaunchRequest& request);

// What the attributes of cuLaunchKernelEx mean here. CUDA_ERROR_NOT_SUPPORTED for those that would change
// results.
CUresult apply_attributes(const CUlaunchAttribute* attributes, unsigned count, LaunchRequest* request);

}  // namespace tessera::softgpu

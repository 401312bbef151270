// The barrier of a cluster's blocks.
#pragma once

#include "softgpu/exec/op.h"
#include "softgpu/exec/warp.h"

namespace tessera::softgpu::exec {

// Completes the phase where all threads of the cluster have arrived or exited.
void open_complete_cluster_barrier(ClusterState& cluster);

namespace control {

const Op* cluster_arrive(Warp&, const Op*, std::byte* frame, uint32_t mask);
const Op* cluster_wait(Warp&, const Op*, std::byte* frame, uint32_t mask);

}  // namespace control
}  // namespace tessera::softgpu::exec

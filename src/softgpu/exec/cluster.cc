#include "softgpu/exec/cluster.h"

#include <bit>

#include "softgpu/exec/scheduler.h"

namespace tessera::softgpu::exec {
namespace {

void release_waiting(BlockState& block) {
  for (WarpState& warp : block.warps) {
    for (Group& group : warp.groups) {
      if (group.state != GroupState::kAtClusterBarrier) continue;
      group.state = GroupState::kRunnable;
      ++group.pc;
      ++block.progress;
    }
  }
}

}  // namespace

void open_complete_cluster_barrier(ClusterState& cluster) {
  if (cluster.arrived == 0 || cluster.arrived < cluster.threads - cluster.exited) return;
  cluster.arrived = 0;
  cluster.phase ^= 1;
  for (BlockState* block : cluster.blocks) release_waiting(*block);
}

namespace control {

// A thread remembers the phase it arrived in, so that it can tell whether that one is over.
const Op* cluster_arrive(Warp& core, const Op* op, std::byte*, uint32_t mask) {
  WarpState& warp = *core.state;
  ClusterState& cluster = *warp.block->cluster;
  warp.cluster_phases = cluster.phase != 0 ? warp.cluster_phases | mask : warp.cluster_phases & ~mask;
  cluster.arrived += static_cast<uint32_t>(std::popcount(mask));
  running_group(warp).pc = op_index(warp, running_group(warp).frame, op + 1);
  open_complete_cluster_barrier(cluster);
  return reschedule(core);
}

const Op* cluster_wait(Warp& core, const Op* op, std::byte*, uint32_t mask) {
  WarpState& warp = *core.state;
  const uint32_t of_this_phase = warp.block->cluster->phase != 0 ? warp.cluster_phases : ~warp.cluster_phases;
  const uint32_t waiting = mask & of_this_phase;
  if (waiting == 0) return op + 1;
  Group& group = split_running(warp, waiting, op + 1);
  group.pc = op_index(warp, group.frame, op);
  group.state = GroupState::kAtClusterBarrier;
  return reschedule(core);
}

}  // namespace control
}  // namespace tessera::softgpu::exec

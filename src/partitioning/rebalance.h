// Which slices should move to another GPU: those that nobody uses just now, where what they gain exceeds what
// the move costs. Pure; scheduling/balance says where a slice would fare better, the planner whether it can
// be there.
//
// A slice may want a whole GPU, or its ceiling of one. What it gets is its promised share, or an even part
// where more is wanted of the GPU than it has. A GPU that nothing new may be placed on gives nothing.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "partitioning/planner.h"
#include "scheduling/balance/balancer.h"

namespace tessera::partitioning {

struct SlicePart {
  uint32_t gpu = 0;
  Part part;  // as it is
  ComputeSpec compute;
  bool movable = false;
};

// A slice without processes has nothing to copy; whoever starts in it next may wait for the change.
inline constexpr scheduling::MoveTerms kEmptySliceMoves = {.bytes_per_second = 1e18};

struct Rebalance {
  struct Move {
    size_t part;  // of those given
    uint32_t to;
    IndexSet sms;         // its own there; none: in time
    double gain_seconds;  // of GPU time within the horizon, the cost taken off
    double cost_seconds;
    std::string reason;
  };
  std::vector<Move> moves;                      // each part once at most
  std::vector<std::string> stays;               // why, for each part that was given; empty where it moves
  std::vector<double> load_before, load_after;  // of each GPU: what its slices may want, in whole GPUs
};

// `gpus` without parts: they are those given.
Rebalance plan_moves(std::vector<GpuState> gpus, std::span<const SlicePart> parts,
                     const scheduling::MoveTerms& terms = kEmptySliceMoves);

}  // namespace tessera::partitioning

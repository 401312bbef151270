// Which lanes of a warp run next, and where they meet again.
//
// Lanes at the same op of the same frame form a group. The group in the deepest frame runs first, and there
// the one furthest back, up to the place of the next one: so diverged lanes meet at the earliest op they
// share. A group that spins on something another lane must do (back-edges with atomics or volatile loads, and
// no end) yields until the others have had their turn.
#pragma once

#include <atomic>
#include <cstdint>

#include "softgpu/exec/warp.h"

namespace tessera::softgpu::exec {

enum class WarpOutcome : uint8_t {
  kFinished,
  kBlocked,    // all groups wait, for a barrier or for each other
  kTurnEnded,  // used its back-edges
  kStopped,    // the stop flag
  kFaulted,
};

// Taken backward branches between looks at the stop flag, and looks per turn of a warp.
constexpr int32_t kBackEdgesPerLook = 128;
constexpr int kLooksPerTurn = 16;

WarpOutcome run_warp(WarpState& warp, const std::atomic<bool>& stop);

// The running group.
inline Group& running_group(WarpState& warp) { return warp.groups[warp.core.running]; }
inline uint32_t op_index(const WarpState& warp, uint32_t frame, const Op* op) {
  return static_cast<uint32_t>(op - warp.frames[frame].function->ops.data());
}
// Takes `mask` out of the running group for something else; the rest goes on at `rest_at`. Returns a group of
// exactly `mask`, which is then the running one.
Group& split_running(WarpState& warp, uint32_t mask, const Op* rest_at);
void remove_group(WarpState& warp, size_t index);
// Leaves the interpreter's loop because groups changed.
const Op* reschedule(Warp& warp);
// Lanes whose partners at a .sync instruction have all arrived or exited go on.
void release_syncs(WarpState& warp);

}  // namespace tessera::softgpu::exec

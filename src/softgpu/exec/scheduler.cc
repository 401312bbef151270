#include "softgpu/exec/scheduler.h"

#include <algorithm>

#include "softgpu/exec/handlers/runtime.h"

namespace tessera::softgpu::exec {
namespace {

// Joins groups that stand at the same place.
void merge(WarpState& warp) {
  auto& groups = warp.groups;
  for (size_t i = 0; i < groups.size(); ++i) {
    if (groups[i].state != GroupState::kRunnable) continue;
    for (size_t k = i + 1; k < groups.size();) {
      const bool same = groups[k].state == GroupState::kRunnable && groups[k].pc == groups[i].pc &&
                        groups[k].frame == groups[i].frame;
      if (!same) {
        ++k;
        continue;
      }
      groups[i].mask |= groups[k].mask;
      groups[i].yielded = groups[i].yielded && groups[k].yielded;
      remove_group(warp, k);
    }
  }
}

bool runs_before(const WarpState& warp, const Group& a, const Group& b) {
  if (a.yielded != b.yielded) return b.yielded;
  const uint32_t a_depth = warp.frames[a.frame].depth;
  const uint32_t b_depth = warp.frames[b.frame].depth;
  if (a_depth != b_depth) return a_depth > b_depth;
  return a.frame != b.frame ? a.frame < b.frame : a.pc < b.pc;
}

// Chooses the running group; false where none can run. `limit` is the op at which the next group of its frame
// waits.
bool choose(WarpState& warp, uint32_t* limit) {
  if (warp.groups.size() > 1) merge(warp);
  size_t best = warp.groups.size();
  bool all_yielded = true;
  for (size_t i = 0; i < warp.groups.size(); ++i) {
    if (warp.groups[i].state != GroupState::kRunnable) continue;
    all_yielded = all_yielded && warp.groups[i].yielded;
    if (best == warp.groups.size() || runs_before(warp, warp.groups[i], warp.groups[best])) best = i;
  }
  if (best == warp.groups.size()) return false;
  if (all_yielded) {
    for (Group& group : warp.groups) group.yielded = false;
  }
  const Group& chosen = warp.groups[best];
  *limit = ~0u;
  for (const Group& group : warp.groups) {
    if (group.state == GroupState::kRunnable && group.frame == chosen.frame && group.pc > chosen.pc)
      *limit = std::min(*limit, group.pc);
  }
  warp.core.running = static_cast<uint32_t>(best);
  return true;
}

// Runs the chosen group until it meets another, or an op says that groups changed.
void run_group(WarpState& warp, uint32_t limit_pc) {
  Warp& core = warp.core;
  const Group& group = running_group(warp);
  const Frame& frame_state = warp.frames[group.frame];
  const Op* const code = frame_state.function->ops.data();
  const Op* const limit = limit_pc == ~0u ? kLeave : code + limit_pc;
  std::byte* const frame = warp.pool.get() + frame_state.base;
  const uint32_t mask = group.mask;
  const Op* op = code + group.pc;
  core.local_base = frame_state.local_base;
  core.event = Event::kNone;
  uint64_t count = 0;
  while (op < limit) {
    op = op->run(core, op, frame, mask);
    ++count;
  }
  warp.instructions += count;
  if (op != kLeave) running_group(warp).pc = static_cast<uint32_t>(op - code);
}

}  // namespace

void remove_group(WarpState& warp, size_t index) {
  warp.groups[index] = warp.groups.back();
  warp.groups.pop_back();
}

Group& split_running(WarpState& warp, uint32_t mask, const Op* rest_at) {
  Group rest = running_group(warp);
  rest.mask &= ~mask;
  running_group(warp).mask = mask;
  if (rest.mask != 0) {
    rest.pc = op_index(warp, rest.frame, rest_at);
    warp.groups.push_back(rest);
  }
  return running_group(warp);
}

const Op* reschedule(Warp& core) {
  core.event = Event::kReschedule;
  return kLeave;
}

void note_progress(Warp& core) { ++core.state->block->progress; }

const Op* wait_at_sync(Warp& core, const Op* op, uint32_t mask) {
  WarpState& warp = *core.state;
  Group& group = split_running(warp, mask, op + 1);
  group.pc = op_index(warp, group.frame, op);
  group.state = GroupState::kAtSync;
  release_syncs(warp);
  return reschedule(core);
}

void release_syncs(WarpState& warp) {
  Warp& core = warp.core;
  const auto op_of = [&](const Group& group) { return &warp.frames[group.frame].function->ops[group.pc]; };
  const auto handler_of = [&](const Group& group) {
    return op_of(group)->inner != nullptr ? op_of(group)->inner : op_of(group)->run;
  };
  for (size_t i = 0; i < warp.groups.size(); ++i) {
    if (warp.groups[i].state != GroupState::kAtSync) continue;
    const Handler handler = handler_of(warp.groups[i]);
    uint32_t here = 0;
    for (const Group& group : warp.groups) {
      if (group.state == GroupState::kAtSync && handler_of(group) == handler) here |= group.mask;
    }
    // All that are complete go together, so that they see each other's values.
    uint32_t complete = 0;
    for (const Group& group : warp.groups) {
      if (group.state != GroupState::kAtSync || handler_of(group) != handler) continue;
      uint32_t named = 0;
      for (uint32_t lane = 0; lane < kWarpSize; ++lane)
        named |= (group.mask >> lane & 1) != 0 ? core.parked_members[lane] : 0;
      if ((named & core.alive & ~here) == 0) complete |= group.mask;
    }
    for (Group& group : warp.groups) {
      if (group.state != GroupState::kAtSync || handler_of(group) != handler || (group.mask & complete) == 0)
        continue;
      core.exchange = true;
      core.exchange_lanes = here;
      handler(core, op_of(group), warp.pool.get() + warp.frames[group.frame].base, group.mask);
      core.exchange = false;
      group.state = GroupState::kRunnable;
      ++group.pc;
    }
  }
}

WarpOutcome run_warp(WarpState& warp, const std::atomic<bool>& stop) {
  Warp& core = warp.core;
  int looks = kLooksPerTurn;
  core.back_edges = kBackEdgesPerLook;
  uint32_t strong_before = core.strong_ops;
  while (!warp.groups.empty()) {
    uint32_t limit = 0;
    if (!choose(warp, &limit)) return WarpOutcome::kBlocked;
    run_group(warp, limit);
    if (core.event == Event::kFault) return WarpOutcome::kFaulted;
    if (core.event != Event::kBackEdges) continue;
    core.back_edges = kBackEdgesPerLook;
    running_group(warp).yielded = core.strong_ops != strong_before;
    strong_before = core.strong_ops;
    if (stop.load(std::memory_order_relaxed)) return WarpOutcome::kStopped;
    if (--looks == 0) return WarpOutcome::kTurnEnded;
  }
  return WarpOutcome::kFinished;
}

}  // namespace tessera::softgpu::exec

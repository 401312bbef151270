// BlockRun: the warps of one block, round robin.
#include <cassert>
#include <cstring>

#include "softgpu/exec/faults.h"
#include "softgpu/exec/frames.h"
#include "softgpu/exec/scheduler.h"

namespace tessera::softgpu::exec {
namespace {

// Rounds of turns after which even a block that only computes gives way.
constexpr int kRoundsWithoutProgress = 64;

class InterpretedBlock final : public BlockRun {
 public:
  InterpretedBlock(const Launch& launch, Dim3 block) {
    const auto& kernel = static_cast<const DecodedKernel&>(*launch.kernel);
    state_.launch = &launch;
    state_.kernel = &kernel;
    state_.threads = static_cast<uint32_t>(launch.block.count());
    state_.parameters = launch.parameters;
    state_.parameters.resize(kernel.kernel_info.parameter_bytes);
    state_.shared_bytes = kernel.dynamic_shared_offset + launch.dynamic_shared_bytes;
    state_.shared = allocate_zeroed(state_.shared_bytes);
    state_.warps.resize((state_.threads + kWarpSize - 1) / kWarpSize);
    state_.block = block;
    for (size_t i = 0; i < state_.warps.size(); ++i) create_warp(static_cast<uint32_t>(i));
    start();
  }

  void reset(Dim3 block) override {
    state_.block = block;
    for (WarpState& warp : state_.warps) refresh_entry_frame(warp);
    start();
  }

  Outcome run(const std::atomic<bool>& stop, uint32_t sm_id) override {
    for (WarpState& warp : state_.warps) warp.core.sm_id = sm_id;
    for (int rounds = 0;; ++rounds) {
      const uint64_t progress = state_.progress;
      const uint64_t strong = strong_operations();
      bool running = false, unfinished = false;
      for (size_t turn = 0; turn < state_.warps.size(); ++turn) {
        WarpState& warp = state_.warps[next_];
        if (warp.groups.empty()) {
          next_ = (next_ + 1) % state_.warps.size();
          continue;
        }
        if (stop.load(std::memory_order_relaxed)) return Outcome::kPreempted;
        const WarpOutcome outcome = run_warp(warp, stop);
        if (outcome == WarpOutcome::kStopped) return Outcome::kPreempted;
        if (outcome == WarpOutcome::kFaulted) return fail(describe_fault(warp));
        next_ = (next_ + 1) % state_.warps.size();
        if (outcome == WarpOutcome::kFinished) ++state_.progress;
        running = running || outcome == WarpOutcome::kTurnEnded;
        unfinished = unfinished || outcome != WarpOutcome::kFinished;
      }
      if (!unfinished) return Outcome::kFinished;
      if (state_.progress != progress) {
        rounds = 0;
      } else if (!running) {
        return fail(deadlock());
      } else if (strong_operations() != strong || rounds >= kRoundsWithoutProgress) {
        return Outcome::kSpinning;
      }
    }
  }

  const Fault& fault() const override { return state_.fault; }

  uint64_t warp_instructions() const override {
    uint64_t sum = 0;
    for (const WarpState& warp : state_.warps) sum += warp.instructions;
    return sum;
  }

 private:
  void create_warp(uint32_t index) {
    WarpState& warp = state_.warps[index];
    const uint32_t threads = state_.threads - index * kWarpSize;
    warp.block = &state_;
    warp.index = index;
    warp.lanes = threads >= kWarpSize ? kAllLanes : (1u << threads) - 1;
    Warp& core = warp.core;
    core.state = &warp;
    core.shared = state_.shared.get();
    core.shared_bytes = state_.shared_bytes;
    core.parameters = state_.parameters.data();
    core.parameter_bytes = static_cast<uint32_t>(state_.parameters.size());
    core.shared_window = windows().shared_base;
    core.local_window = windows().local_base;
    core.generation = state_.launch->memory->generation_address();
    push_entry_frame(warp, state_.kernel->functions[0]);
  }

  void start() {
    state_.exited = 0;
    next_ = 0;
    for (Barrier& barrier : state_.barriers) barrier = {};
    state_.pending_barriers = 0;
    for (WarpState& warp : state_.warps) {
      warp.core.alive = warp.lanes;
      Group all;
      all.mask = warp.lanes;
      warp.groups.assign(1, all);
    }
  }

  uint64_t strong_operations() const {
    uint64_t sum = 0;
    for (const WarpState& warp : state_.warps) sum += warp.core.strong_ops;
    return sum;
  }

  Outcome fail(Fault fault) {
    state_.fault = std::move(fault);
    return Outcome::kFaulted;
  }

  // On hardware such a block hangs until the watchdog kills the context; we know at once.
  Fault deadlock() const {
    Fault fault;
    fault.kind = FaultKind::kTrap;
    fault.block = state_.block;
    fault.detail = state_.kernel->kernel_info.name +
                   ": deadlock: every thread of the block waits at a barrier or a .sync instruction";
    for (const WarpState& warp : state_.warps) {
      for (const Group& group : warp.groups) {
        fault.detail += "; warp " + std::to_string(warp.index) + " at PTX line " +
                        std::to_string(warp.frames[group.frame].function->ops[group.pc].line);
        if (fault.detail.size() > 1000) return fault;
      }
    }
    return fault;
  }

  BlockState state_;
  size_t next_ = 0;  // warp whose turn it is
};

}  // namespace

std::unique_ptr<BlockRun> BlockRun::create(const Launch& launch, Dim3 block) {
  return std::make_unique<InterpretedBlock>(launch, block);
}

}  // namespace tessera::softgpu::exec

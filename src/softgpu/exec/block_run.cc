// BlockRun: the blocks of one cluster, and the warps of each, round robin.
#include "softgpu/exec/faults.h"
#include "softgpu/exec/frames.h"
#include "softgpu/exec/scheduler.h"

namespace tessera::softgpu::exec {
namespace {

// Rounds of turns after which even a block that only computes gives way.
constexpr int kRoundsWithoutProgress = 64;

enum class TurnOutcome : uint8_t {
  kFinished,
  kPreempted,
  kSpinning,
  kBlocked,  // every thread waits at a barrier or a .sync instruction
  kFaulted,
};

class InterpretedBlock {
 public:
  InterpretedBlock(const Launch& launch, ClusterState& cluster, uint32_t rank) {
    const auto& kernel = static_cast<const DecodedKernel&>(*launch.kernel);
    state_.launch = &launch;
    state_.cluster = &cluster;
    state_.rank = rank;
    state_.kernel = &kernel;
    state_.threads = static_cast<uint32_t>(launch.block.count());
    state_.parameters = launch.parameters;
    state_.parameters.resize(kernel.kernel_info.parameter_bytes);
    state_.shared_bytes = kernel.dynamic_shared_offset + launch.dynamic_shared_bytes;
    if (kernel.reserved_shared_bytes != 0)
      state_.shared_bytes = (state_.shared_bytes + 15) / 16 * 16 + kernel.reserved_shared_bytes;
    state_.shared = allocate_zeroed(state_.shared_bytes);
    state_.warps.resize((state_.threads + kWarpSize - 1) / kWarpSize);
  }

  BlockState& state() { return state_; }
  bool finished() const { return state_.exited == state_.threads; }

  // Call once the cluster knows its blocks.
  void create(Dim3 block) {
    state_.block = block;
    for (size_t i = 0; i < state_.warps.size(); ++i) create_warp(static_cast<uint32_t>(i));
    start();
  }

  void reset(Dim3 block) {
    state_.block = block;
    for (WarpState& warp : state_.warps) refresh_entry_frame(warp);
    start();
  }

  TurnOutcome run(const std::atomic<bool>& stop, uint32_t sm_id) {
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
        if (stop.load(std::memory_order_relaxed)) return TurnOutcome::kPreempted;
        const WarpOutcome outcome = run_warp(warp, stop);
        if (outcome == WarpOutcome::kStopped) return TurnOutcome::kPreempted;
        if (outcome == WarpOutcome::kFaulted) {
          state_.fault = describe_fault(warp);
          return TurnOutcome::kFaulted;
        }
        next_ = (next_ + 1) % state_.warps.size();
        if (outcome == WarpOutcome::kFinished) ++state_.progress;
        running = running || outcome == WarpOutcome::kTurnEnded;
        unfinished = unfinished || outcome != WarpOutcome::kFinished;
      }
      if (!unfinished) return TurnOutcome::kFinished;
      if (state_.progress != progress) {
        rounds = 0;
      } else if (!running) {
        return TurnOutcome::kBlocked;
      } else if (strong_operations() != strong || rounds >= kRoundsWithoutProgress) {
        return TurnOutcome::kSpinning;
      }
    }
  }

  uint64_t warp_instructions() const {
    uint64_t sum = 0;
    for (const WarpState& warp : state_.warps) sum += warp.instructions;
    return sum;
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
    core.cluster = state_.cluster->shared.data();
    core.cluster_blocks = static_cast<uint32_t>(state_.cluster->shared.size());
    core.cluster_rank = state_.rank;
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
      if (state_.kernel->kernel_info.launches_grids) std::ranges::fill(warp.launch_errors, 0u);
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

  BlockState state_;
  size_t next_ = 0;  // warp whose turn it is
};

class InterpretedCluster final : public BlockRun {
 public:
  InterpretedCluster(const Launch& launch, Dim3 first) : size_(launch.cluster) {
    const auto count = static_cast<uint32_t>(size_.count());
    for (uint32_t rank = 0; rank < count; ++rank) {
      blocks_.push_back(std::make_unique<InterpretedBlock>(launch, state_, rank));
      BlockState& block = blocks_.back()->state();
      state_.blocks.push_back(&block);
      state_.shared.push_back({block.shared.get(), block.shared_bytes});
      state_.threads += block.threads;
    }
    for (uint32_t rank = 0; rank < count; ++rank) blocks_[rank]->create(place(first, rank));
  }

  void reset(Dim3 first) override {
    state_.exited = state_.arrived = state_.phase = 0;
    next_ = 0;
    for (uint32_t rank = 0; rank < blocks_.size(); ++rank) blocks_[rank]->reset(place(first, rank));
  }

  Outcome run(const std::atomic<bool>& stop, uint32_t sm_id) override {
    for (;;) {
      const uint64_t before = progress();
      bool running = false, unfinished = false;
      for (size_t turn = 0; turn < blocks_.size(); ++turn) {
        InterpretedBlock& block = *blocks_[next_];
        if (!block.finished()) {
          const TurnOutcome outcome = block.run(stop, sm_id);
          if (outcome == TurnOutcome::kPreempted) return Outcome::kPreempted;
          if (outcome == TurnOutcome::kFaulted) return fail(block.state().fault);
          running = running || outcome == TurnOutcome::kSpinning;
          unfinished = unfinished || outcome != TurnOutcome::kFinished;
        }
        next_ = (next_ + 1) % blocks_.size();
      }
      if (!unfinished) return Outcome::kFinished;
      if (progress() != before) continue;
      if (!running) return fail(blocks_[first_unfinished()]->deadlock());
      return Outcome::kSpinning;
    }
  }

  const Fault& fault() const override { return fault_; }

  uint64_t warp_instructions() const override {
    uint64_t sum = 0;
    for (const auto& block : blocks_) sum += block->warp_instructions();
    return sum;
  }

 private:
  // Ranks count along x first (PTX ISA, "%cluster_ctarank").
  Dim3 place(Dim3 first, uint32_t rank) const {
    return {first.x + rank % size_.x, first.y + rank / size_.x % size_.y, first.z + rank / size_.x / size_.y};
  }

  uint64_t progress() const {
    uint64_t sum = 0;
    for (const BlockState* block : state_.blocks) sum += block->progress;
    return sum;
  }

  size_t first_unfinished() const {
    size_t index = 0;
    while (blocks_[index]->finished()) ++index;
    return index;
  }

  Outcome fail(Fault fault) {
    fault_ = std::move(fault);
    return Outcome::kFaulted;
  }

  const Dim3 size_;
  ClusterState state_;
  std::vector<std::unique_ptr<InterpretedBlock>> blocks_;
  size_t next_ = 0;  // block whose turn it is
  Fault fault_;
};

}  // namespace

std::unique_ptr<BlockRun> BlockRun::create(const Launch& launch, Dim3 block) {
  return std::make_unique<InterpretedCluster>(launch, block);
}

}  // namespace tessera::softgpu::exec

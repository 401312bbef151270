// Which GPU a slice gets, and which SMs of it. Pure: states in, a plan with its reasons out; whoever asks for
// the plan enforces it.
//
// Of a promised share, a slice in space gets the fewest SMs that hold it, and they are its own. All slices in
// time take turns on the SMs that are left, so:
//   - what is promised in time on a GPU is at most what those SMs are of it;
//   - while a slice is in time, one SM at least is nobody's own.
// An SM is as good as any other and may be exchanged while kernels run, so there is no fragmentation: a share
// fits if its number of SMs does.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"
#include "partitioning/compute_spec.h"
#include "partitioning/gpu_state.h"

namespace tessera::partitioning {

struct PartRequest {
  uint64_t memory_bytes = 0;  // to be set aside; 0: none
  ComputeSpec compute;
  std::optional<uint32_t> gpu = std::nullopt;  // this one; none: whichever is best
  uint64_t memory_min_bytes = 0;               // of what is set aside, what is to stay on the GPU
};

// The SMs of a part on this GPU; empty: in time. `keep`: SMs that it has already, kept as far as they suffice
// (the part itself must not be among the state's). Refused, with the figures and the way out, where it cannot
// be. `gpu` names it in messages.
Result<IndexSet> plan_sms(const GpuState& state, uint32_t gpu, const ComputeSpec& compute,
                          const IndexSet& keep = {});
// Whether a part that was planned before can still be on this GPU: with these SMs of its own, or in time.
Status check_sms(const GpuState& state, uint32_t gpu, const ComputeSpec& compute, const IndexSet& sms);
// As plan_sms(), with the memory.
Result<IndexSet> plan_part(const GpuState& state, uint32_t gpu, const PartRequest& request);

enum class Packing : uint8_t {
  kSpread,   // the emptiest GPU: slices disturb each other least
  kBinpack,  // the fullest that it fits on: whole GPUs stay free for who needs one
};
const char* packing_name(Packing packing);
std::optional<Packing> parse_packing(std::string_view name);

struct Placement {
  uint32_t gpu = 0;
  IndexSet sms;                      // empty: in time
  std::vector<std::string> reasons;  // one for each GPU that was looked at
};
// Refused where no GPU takes it; the message holds each one's reason.
Result<Placement> choose_gpu(std::span<const GpuState> gpus, const PartRequest& request, Packing packing);

// Many at once. Orders and packings are tried (requests that are large in what is scarce first), and what
// places the most requests is taken; of those, what leaves the most GPUs whole.
struct BatchPlan {
  std::vector<Result<Placement>> placements;  // as the requests
  size_t placed = 0;
  std::string order;  // which one it was
  Packing packing{};
};
BatchPlan plan_batch(std::span<const GpuState> gpus, std::span<const PartRequest> requests);

}  // namespace tessera::partitioning

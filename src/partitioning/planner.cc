#include "partitioning/planner.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <iterator>

#include "common/size.h"
#include "common/strings.h"

namespace tessera::partitioning {
namespace {

using scheduling::kWhole;

double percent(uint32_t permille) { return permille / 10.0; }

// A share is said in tenths of a percent: one SM of three is 33.3 % of them.
bool is_whole_number_of_sms(uint32_t share_permille, uint32_t sms, uint32_t sm_count) {
  const uint64_t wanted = uint64_t{share_permille} * sm_count;
  const uint64_t held = uint64_t{sms} * kWhole;
  return std::max(wanted, held) - std::min(wanted, held) <= sm_count;
}

// The fewest that hold the share.
uint32_t sms_for(uint32_t share_permille, uint32_t sm_count) {
  const auto down = static_cast<uint32_t>(uint64_t{share_permille} * sm_count / kWhole);
  return down > 0 && is_whole_number_of_sms(share_permille, down, sm_count) ? down : down + 1;
}

// MPS is told of portions in whole percents, and rounds up to whole SMs: the next number that can be said.
uint32_t sayable_sms(uint32_t sms, uint32_t sm_count) {
  const uint32_t percent = (sms - 1) * 100 / sm_count + 1;
  return (percent * sm_count + 99) / 100;
}

// What processes were given when they started nobody takes from them.
bool shared_are_kept(const GpuState& state) {
  return state.control == SmControl::kPortions && state.shared_in_use;
}

Status not_in_space(const GpuState& state, uint32_t gpu, uint32_t wanted) {
  const uint32_t shared = state.shared_sms().count();
  if (wanted > shared) {
    return Status::error(
        Code::kResourceExhausted,
        "%u of GPU %u's %u SMs asked for as its own, %u are nobody's own yet; take a smaller "
        "share, another GPU, or --sm-mode time",
        wanted, gpu, state.sm_count, shared);
  }
  if (shared_are_kept(state)) {
    return Status::error(
        Code::kResourceExhausted,
        "%u of GPU %u's %u SMs asked for as its own, but programs of slices that take turns run on them, and "
        "its driver takes none from programs that run (MPS); start those in space first, take another GPU, "
        "or "
        "--sm-mode time",
        wanted, gpu, state.sm_count);
  }
  return Status::error(
      Code::kResourceExhausted,
      "%u of GPU %u's %u SMs asked for as its own, but slices that take turns need %s of the %u "
      "that are left; take a smaller share, another GPU, or --sm-mode time",
      wanted, gpu, state.sm_count, state.promised_in_time_permille() == 0 ? "one" : "their promised part",
      shared);
}

// `kept`: how many it has already.
bool fits_in_space(const GpuState& state, uint32_t wanted, uint32_t kept) {
  if (shared_are_kept(state) && wanted > kept) return false;
  const uint32_t shared = state.shared_sms().count();
  if (wanted > shared) return false;
  if (!state.has_parts_in_time()) return true;
  const uint32_t left = shared - wanted;
  return left > 0 && state.permille_of_sms(left) >= state.promised_in_time_permille();
}

IndexSet take_sms(const GpuState& state, uint32_t count, const IndexSet& keep) {
  const IndexSet shared = state.shared_sms();
  const IndexSet kept = (keep & shared).lowest(count);
  return kept | (shared - kept).lowest(count - kept.count());
}

Result<IndexSet> plan_in_time(const GpuState& state, uint32_t gpu, const ComputeSpec& compute) {
  if (state.sm_count != 0 && state.shared_sms().empty()) {
    return Status::error(
        Code::kResourceExhausted,
        "all %u SMs of GPU %u are slices' own: nothing is left to take turns on; take another GPU",
        state.sm_count, gpu);
  }
  if (compute.share_permille <= state.unpromised_permille()) return IndexSet();
  return Status::error(
      Code::kResourceExhausted,
      "%.1f %% of GPU %u's compute asked for, %.1f %% is not promised yet; take another GPU, or a "
      "smaller share",
      percent(compute.share_permille), gpu, percent(state.unpromised_permille()));
}

// How full the GPU would be, in what it would have the least left of; in thousandths. Behind it: how many are
// on it already, and its memory, for those who ask for nothing.
struct Fullness {
  uint64_t permille;
  size_t parts;
  uint64_t reserved_permille;
  auto operator<=>(const Fullness&) const = default;
};

Fullness fullness(const GpuState& state, const PartRequest& request) {
  const uint64_t reserved = state.memory_bytes - state.unreserved_bytes() + request.memory_bytes;
  // Thousandths of memory: bytes stay far below 2^54.
  const uint64_t memory = state.memory_bytes == 0 ? kWhole : reserved * kWhole / state.memory_bytes;
  const uint64_t compute = kWhole - state.unpromised_permille() + request.compute.share_permille;
  return {std::max(memory, compute), state.parts.size(), memory};
}

std::string describe(const GpuState& state, const IndexSet& sms, const PartRequest& request) {
  std::string text =
      sms.empty() ? "in time" : str_format("SMs %s of %u, in space", sms.text().c_str(), state.sm_count);
  text += str_format("; then %s of memory and %.1f %% of its compute are left",
                     format_size(state.unreserved_bytes() - request.memory_bytes).c_str(),
                     percent(state.unpromised_permille() -
                             std::min(state.unpromised_permille(), request.compute.share_permille)));
  return text;
}

// Where a GPU promises more than it has, what others are guaranteed must leave everybody his limit: or some
// slice would wait for ever.
Status check_minima(const GpuState& state, uint32_t gpu, const PartRequest& request) {
  if (request.memory_min_bytes > request.memory_bytes) {
    return Status::error(
        Code::kInvalidArgument, "%s of memory cannot be guaranteed (--mem-min) of %s set aside",
        format_size(request.memory_min_bytes).c_str(), format_size(request.memory_bytes).c_str());
  }
  const uint64_t physical = state.physical_bytes == 0 ? state.memory_bytes : state.physical_bytes;
  uint64_t minima = request.memory_min_bytes;
  for (const Part& part : state.parts) minima += part.min_bytes;
  const auto check = [&](const char* whose, uint64_t limit, uint64_t own) {
    const uint64_t others = minima - own;
    if (minima == 0 || limit == 0 || (others <= physical && limit <= physical - others)) return Status();
    return Status::error(Code::kResourceExhausted,
                         "of GPU %u's %s others would be guaranteed %s: %s could never have its limit of %s; "
                         "lower a --mem-min or the limit",
                         gpu, format_size(physical).c_str(), format_size(others).c_str(), whose,
                         format_size(limit).c_str());
  };
  TESSERA_RETURN_IF_ERROR(check("it", request.memory_bytes, request.memory_min_bytes));
  for (const Part& part : state.parts) {
    const uint64_t limit = std::max(part.limit_bytes, part.reserved_bytes);
    TESSERA_RETURN_IF_ERROR(check("a slice there", limit, part.min_bytes));
  }
  return Status();
}

}  // namespace

const char* packing_name(Packing packing) { return packing == Packing::kSpread ? "spread" : "binpack"; }

std::optional<Packing> parse_packing(std::string_view name) {
  for (Packing packing : {Packing::kSpread, Packing::kBinpack}) {
    if (name == packing_name(packing)) return packing;
  }
  return std::nullopt;
}

Result<IndexSet> plan_sms(const GpuState& state, uint32_t gpu, const ComputeSpec& compute,
                          const IndexSet& keep) {
  TESSERA_RETURN_IF_ERROR(check_compute(compute));
  const bool can_space = state.control != SmControl::kNone && state.sm_count != 0;
  if (compute.mode == SmMode::kSpace && !can_space) {
    return Status::error(Code::kUnsupported,
                         "GPU %u cannot keep a slice's kernels to some of its SMs; --sm-mode time can be had",
                         gpu);
  }
  if (compute.mode == SmMode::kTime || compute.share_permille == 0 || !can_space) {
    return plan_in_time(state, gpu, compute);
  }
  uint32_t wanted = sms_for(compute.share_permille, state.sm_count);
  if (state.control == SmControl::kPortions) wanted = sayable_sms(wanted, state.sm_count);
  const uint32_t kept = (keep & state.shared_sms()).count();
  if (compute.mode == SmMode::kSpace) {
    if (!fits_in_space(state, wanted, kept)) return not_in_space(state, gpu, wanted);
    return take_sms(state, wanted, keep);
  }
  // Left to us, one SM stays for whoever comes and asks for nothing.
  const bool leaves_one = wanted < state.shared_sms().count();
  const bool whole = is_whole_number_of_sms(compute.share_permille, wanted, state.sm_count);
  if (whole && leaves_one && fits_in_space(state, wanted, kept)) return take_sms(state, wanted, keep);
  return plan_in_time(state, gpu, compute);
}

Status check_sms(const GpuState& state, uint32_t gpu, const ComputeSpec& compute, const IndexSet& sms) {
  TESSERA_RETURN_IF_ERROR(check_compute(compute));
  if (sms.empty()) return plan_in_time(state, gpu, compute).status();
  const bool free = state.control != SmControl::kNone && (sms - state.shared_sms()).empty();
  const bool suffices = sms.count() >= sms_for(compute.share_permille, std::max(state.sm_count, 1u));
  if (free && suffices && compute.share_permille != 0 && fits_in_space(state, sms.count(), sms.count()))
    return Status();
  return not_in_space(state, gpu, sms.count());
}

Result<IndexSet> plan_part(const GpuState& state, uint32_t gpu, const PartRequest& request) {
  if (!state.unusable.empty()) {
    return Status::error(Code::kUnavailable, "GPU %u is %s", gpu, state.unusable.c_str());
  }
  const uint64_t left = state.unreserved_bytes();
  if (request.memory_bytes > left) {
    return Status::error(Code::kResourceExhausted,
                         "GPU %u has %s not reserved by other slices (of %s); %s were asked for", gpu,
                         format_size(left).c_str(), format_size(state.memory_bytes).c_str(),
                         format_size(request.memory_bytes).c_str());
  }
  TESSERA_RETURN_IF_ERROR(check_minima(state, gpu, request));
  return plan_sms(state, gpu, request.compute);
}

Result<Placement> choose_gpu(std::span<const GpuState> gpus, const PartRequest& request, Packing packing) {
  if (gpus.empty()) {
    return Status(Code::kFailedPrecondition, "this node has no GPU; 'tessera doctor' says why");
  }
  std::optional<Placement> best;
  std::optional<Fullness> best_fullness;
  std::vector<std::string> reasons;
  Status refusal;
  if (request.gpu && *request.gpu >= gpus.size()) {
    return Status::error(Code::kNotFound, "no GPU %u: this node has %zu", *request.gpu, gpus.size());
  }
  for (uint32_t gpu = 0; gpu < gpus.size(); ++gpu) {
    if (request.gpu && *request.gpu != gpu) continue;
    auto sms = plan_part(gpus[gpu], gpu, request);
    if (!sms.ok()) {
      if (refusal.ok()) refusal = sms.status();
      reasons.push_back(sms.status().message());
      continue;
    }
    reasons.push_back(str_format("GPU %u: %s", gpu, describe(gpus[gpu], *sms, request).c_str()));
    const Fullness full = fullness(gpus[gpu], request);
    const bool better =
        !best_fullness || (packing == Packing::kSpread ? full < *best_fullness : *best_fullness < full);
    if (!better) continue;
    best = Placement{gpu, *sms, {}};
    best_fullness = full;
  }
  if (best) {
    best->reasons = std::move(reasons);
    return *best;
  }
  if (reasons.size() == 1) return refusal;
  std::string text = "no GPU takes it";
  for (const std::string& reason : reasons) text += "; " + reason;
  return Status(refusal.code(), std::move(text));
}

// --- many at once

namespace {

struct Order {
  const char* name;
  // Whose request is larger goes first; null: as they were given.
  uint64_t (*size)(const PartRequest& request, uint64_t most_bytes);
};

uint64_t by_memory(const PartRequest& request, uint64_t most_bytes) {
  return most_bytes == 0 ? 0 : request.memory_bytes * kWhole / most_bytes;
}
uint64_t by_share(const PartRequest& request, uint64_t) { return request.compute.share_permille; }
uint64_t by_larger(const PartRequest& request, uint64_t most_bytes) {
  return std::max(by_memory(request, most_bytes), by_share(request, most_bytes));
}
uint64_t by_sum(const PartRequest& request, uint64_t most_bytes) {
  return by_memory(request, most_bytes) + by_share(request, most_bytes);
}

constexpr Order kOrders[] = {{"as given", nullptr},
                             {"largest part first", by_larger},
                             {"largest sum first", by_sum},
                             {"most memory first", by_memory},
                             {"most compute first", by_share}};

BatchPlan plan_in_order(std::vector<GpuState> gpus, std::span<const PartRequest> requests, const Order& order,
                        Packing packing) {
  uint64_t most_bytes = 0;
  for (const GpuState& gpu : gpus) most_bytes = std::max(most_bytes, gpu.memory_bytes);
  std::vector<size_t> sequence(requests.size());
  for (size_t i = 0; i < sequence.size(); ++i) sequence[i] = i;
  if (order.size != nullptr) {
    std::stable_sort(sequence.begin(), sequence.end(), [&](size_t a, size_t b) {
      return order.size(requests[a], most_bytes) > order.size(requests[b], most_bytes);
    });
  }
  BatchPlan plan;
  plan.order = order.name;
  plan.packing = packing;
  plan.placements.assign(requests.size(), Status(Code::kInternal, "not planned"));
  for (size_t index : sequence) {
    auto placement = choose_gpu(gpus, requests[index], packing);
    if (placement.ok()) {
      const PartRequest& request = requests[index];
      gpus[placement->gpu].parts.push_back(
          {request.memory_bytes, request.compute.share_permille, placement->sms, request.memory_min_bytes});
      ++plan.placed;
    }
    plan.placements[index] = std::move(placement);
  }
  return plan;
}

size_t gpus_left_whole(std::span<const GpuState> gpus, const BatchPlan& plan) {
  return static_cast<size_t>(std::count_if(gpus.begin(), gpus.end(), [&](const GpuState& gpu) {
    const auto index = static_cast<uint32_t>(&gpu - gpus.data());
    return gpu.parts.empty() && std::none_of(plan.placements.begin(), plan.placements.end(),
                                             [&](const auto& p) { return p.ok() && p->gpu == index; });
  }));
}

}  // namespace

BatchPlan plan_batch(std::span<const GpuState> gpus, std::span<const PartRequest> requests) {
  BatchPlan best;
  size_t best_whole = 0;
  for (const Order& order : kOrders) {
    for (Packing packing : {Packing::kSpread, Packing::kBinpack}) {
      BatchPlan plan = plan_in_order({gpus.begin(), gpus.end()}, requests, order, packing);
      const size_t whole = gpus_left_whole(gpus, plan);
      const bool better =
          best.order.empty() || std::pair(plan.placed, whole) > std::pair(best.placed, best_whole);
      if (!better) continue;
      best = std::move(plan);
      best_whole = whole;
    }
  }
  return best;
}

}  // namespace tessera::partitioning

#include "partitioning/rebalance.h"

#include <algorithm>
#include <optional>

#include "common/strings.h"

namespace tessera::partitioning {
namespace {

using scheduling::Balancer;
using scheduling::JobNeeds;
using scheduling::kWhole;

std::vector<scheduling::GpuShape> shapes(std::span<const GpuState> gpus) {
  uint32_t most = 0;
  bool known = true;
  for (const GpuState& gpu : gpus) {
    most = std::max(most, gpu.sm_count);
    known = known && gpu.sm_count != 0;
  }
  std::vector<scheduling::GpuShape> shapes;
  for (const GpuState& gpu : gpus) {
    shapes.push_back({gpu.memory_bytes, known ? static_cast<double>(gpu.sm_count) / most : 1.0});
  }
  return shapes;
}

double percent(double part) { return 100 * part; }

class Planner {
 public:
  Planner(std::vector<GpuState> gpus, std::span<const SlicePart> parts, const scheduling::MoveTerms& terms)
      : gpus_(std::move(gpus)),
        parts_(parts),
        terms_(terms),
        balancer_(shapes(gpus_), scheduling::BalancePolicy::kSpread) {
    for (uint32_t gpu = 0; gpu < gpus_.size(); ++gpu) balancer_.set_open(gpu, gpus_[gpu].unusable.empty());
    for (const SlicePart& part : parts_) {
      gpus_[part.gpu].parts.push_back(part.part);
      // A limit that was lowered below what is held sets more aside than there is.
      needs_.push_back({std::min(part.part.reserved_bytes, balancer_.free_bytes(part.gpu)),
                        std::min(part.part.share_permille, balancer_.free_permille(part.gpu)),
                        part.compute.cap_permille / static_cast<double>(kWhole)});
      balancer_.place_on(part.gpu, needs_.back());
    }
  }

  // The greatest gain first, until nobody gains any more.
  Rebalance plan() {
    Rebalance result;
    result.load_before = loads();
    result.stays.resize(parts_.size());
    std::vector<bool> moved(parts_.size());
    for (;;) {
      std::optional<Rebalance::Move> best;
      for (size_t i = 0; i < parts_.size(); ++i) {
        if (moved[i] || !parts_[i].movable) continue;
        auto move = best_move(i, result.stays[i]);
        if (move && (!best || move->gain_seconds > best->gain_seconds)) best = std::move(move);
      }
      if (!best) break;
      moved[best->part] = true;
      result.stays[best->part].clear();
      apply(*best);
      result.moves.push_back(std::move(*best));
    }
    result.load_after = loads();
    return result;
  }

 private:
  std::vector<double> loads() const {
    std::vector<double> all;
    for (uint32_t gpu = 0; gpu < gpus_.size(); ++gpu) all.push_back(balancer_.load(gpu));
    return all;
  }

  std::optional<uint32_t> target(size_t i) {
    const uint32_t from = parts_[i].gpu;
    if (balancer_.is_open(from)) return balancer_.better_place(from, needs_[i], terms_);
    const auto to = balancer_.place(needs_[i]);
    if (to) balancer_.remove(*to, needs_[i]);
    return to;
  }

  std::optional<Rebalance::Move> best_move(size_t i, std::string& stays) {
    const SlicePart& part = parts_[i];
    const auto to = target(i);
    if (!to) {
      stays = balancer_.is_open(part.gpu) ? "no other GPU would give it more" : "no other GPU has the room";
      return std::nullopt;
    }
    auto sms = plan_part(gpus_[*to], *to, {part.part.reserved_bytes, part.compute});
    if (!sms.ok()) {
      stays = str_format("GPU %u would give it more, but: %s", *to, sms.status().message().c_str());
      return std::nullopt;
    }
    const bool open = balancer_.is_open(part.gpu);
    const double here = open ? balancer_.rate_at(part.gpu, needs_[i], balancer_.load(part.gpu)) : 0;
    const double there = balancer_.rate_at(*to, needs_[i], balancer_.load(*to) + needs_[i].load);
    const double cost = Balancer::move_seconds(needs_[i], terms_);
    const double gain = there * (terms_.horizon_seconds - cost) - here * terms_.horizon_seconds;
    const std::string why =
        open ? str_format("where others want it too it gets %.1f %% of GPU %u, %.1f %% of GPU %u",
                          percent(here), part.gpu, percent(there), *to)
             : str_format("GPU %u is %s; it gets %.1f %% of GPU %u", part.gpu,
                          gpus_[part.gpu].unusable.c_str(), percent(there), *to);
    return Rebalance::Move{i,
                           *to,
                           *sms,
                           gain,
                           cost,
                           why + str_format(": in %.0f s a gain of %.1f s of a GPU, at a cost of %.1f s",
                                            terms_.horizon_seconds, gain, cost)};
  }

  void apply(const Rebalance::Move& move) {
    const SlicePart& part = parts_[move.part];
    std::vector<Part>& left = gpus_[part.gpu].parts;
    left.erase(std::find_if(left.begin(), left.end(), [&](const Part& other) {
      return other.reserved_bytes == part.part.reserved_bytes &&
             other.share_permille == part.part.share_permille && other.sms == part.part.sms;
    }));
    gpus_[move.to].parts.push_back({part.part.reserved_bytes, part.part.share_permille, move.sms});
    balancer_.remove(part.gpu, needs_[move.part]);
    balancer_.place_on(move.to, needs_[move.part]);
  }

  std::vector<GpuState> gpus_;
  std::span<const SlicePart> parts_;
  const scheduling::MoveTerms& terms_;
  Balancer balancer_;
  std::vector<JobNeeds> needs_;
};

}  // namespace

Rebalance plan_moves(std::vector<GpuState> gpus, std::span<const SlicePart> parts,
                     const scheduling::MoveTerms& terms) {
  return Planner(std::move(gpus), parts, terms).plan();
}

}  // namespace tessera::partitioning

#include "scheduling/balance/balancer.h"

#include <algorithm>
#include <cassert>
#include <string>

namespace tessera::scheduling {
namespace {

// A share's part of a GPU is its own whatever the others do; but for it, load is parted evenly.
constexpr double kPerPermille = 1e-3;

}  // namespace

Result<BalancePolicy> parse_balance_policy(std::string_view name) {
  if (name == "spread") return BalancePolicy::kSpread;
  if (name == "pack") return BalancePolicy::kPack;
  return Status::error(Code::kInvalidArgument, "no placement \"%s\"; there are: spread, pack",
                       std::string(name).c_str());
}

Balancer::Balancer(std::vector<GpuShape> gpus, BalancePolicy policy) : policy_(policy) {
  for (const GpuShape& shape : gpus) gpus_.push_back({.shape = shape, .free_bytes = shape.memory_bytes});
  for (GpuIndex gpu = 0; gpu < gpus_.size(); ++gpu) by_load_.insert(key(gpu));
}

bool Balancer::fits(GpuIndex index, const JobNeeds& needs) const {
  const Gpu& gpu = gpus_[index];
  return gpu.open && gpu.free_bytes >= needs.memory_bytes && gpu.free_permille >= needs.share_permille;
}

void Balancer::change(GpuIndex index, const JobNeeds& needs, int direction) {
  Gpu& gpu = gpus_[index];
  if (gpu.open) by_load_.erase(key(index));
  if (direction > 0) {
    assert(gpu.free_bytes >= needs.memory_bytes && gpu.free_permille >= needs.share_permille);
    gpu.free_bytes -= needs.memory_bytes;
    gpu.free_permille -= needs.share_permille;
    gpu.load += needs.load;
    ++gpu.jobs;
  } else {
    assert(gpu.jobs > 0);
    gpu.free_bytes += needs.memory_bytes;
    gpu.free_permille += needs.share_permille;
    --gpu.jobs;
    // Exactly 0 where nothing is left, whatever sums of fractions say.
    gpu.load = gpu.jobs == 0 ? 0 : std::max(gpu.load - needs.load, 0.0);
  }
  if (gpu.open) by_load_.insert(key(index));
}

void Balancer::set_open(GpuIndex index, bool open) {
  if (gpus_[index].open == open) return;
  gpus_[index].open = open;
  if (open) {
    by_load_.insert(key(index));
  } else {
    by_load_.erase(key(index));
  }
}

std::optional<GpuIndex> Balancer::least_loaded(const JobNeeds& needs) const {
  for (const auto& [load, gpu] : by_load_) {
    if (fits(gpu, needs)) return gpu;
  }
  return std::nullopt;
}

// That is not overloaded by it, where there is one.
std::optional<GpuIndex> Balancer::fullest(const JobNeeds& needs) const {
  const auto overloaded = by_load_.upper_bound({std::max(1 - needs.load, 0.0), UINT32_MAX});
  for (auto it = overloaded; it != by_load_.begin();) {
    if (fits((--it)->second, needs)) return it->second;
  }
  for (auto it = overloaded; it != by_load_.end(); ++it) {
    if (fits(it->second, needs)) return it->second;
  }
  return std::nullopt;
}

std::optional<GpuIndex> Balancer::place(const JobNeeds& needs) {
  const auto gpu = policy_ == BalancePolicy::kSpread ? least_loaded(needs) : fullest(needs);
  if (gpu) change(*gpu, needs, 1);
  return gpu;
}

std::optional<GpuIndex> Balancer::most_loaded() const {
  if (by_load_.empty()) return std::nullopt;
  return by_load_.rbegin()->second;
}

void Balancer::place_on(GpuIndex gpu, const JobNeeds& needs) { change(gpu, needs, 1); }
void Balancer::remove(GpuIndex gpu, const JobNeeds& needs) { change(gpu, needs, -1); }

double Balancer::rate_at(GpuIndex gpu, const JobNeeds& needs, double load) const {
  const double part = load <= gpus_[gpu].shape.speed ? 1 : gpus_[gpu].shape.speed / load;
  const double promised = needs.share_permille * kPerPermille * gpus_[gpu].shape.speed;
  return std::min(std::max(needs.load * part, promised), needs.load);
}

double Balancer::move_seconds(const JobNeeds& needs, const MoveTerms& terms) {
  return 2 * static_cast<double>(needs.memory_bytes) / terms.bytes_per_second +
         static_cast<double>(terms.pause_ns) * 1e-9;
}

std::optional<GpuIndex> Balancer::better_place(GpuIndex from, const JobNeeds& needs,
                                               const MoveTerms& terms) const {
  const auto to = least_loaded(needs);
  if (!to || *to == from) return std::nullopt;
  const double here = rate_at(from, needs, gpus_[from].load);
  const double there = rate_at(*to, needs, gpus_[*to].load + needs.load);
  const double lost_seconds = move_seconds(needs, terms);
  if (lost_seconds >= terms.horizon_seconds) return std::nullopt;
  const double stays = here * terms.horizon_seconds;
  const double moves = there * (terms.horizon_seconds - lost_seconds);
  return moves > stays ? to : std::nullopt;
}

}  // namespace tessera::scheduling

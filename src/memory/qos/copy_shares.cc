#include "memory/qos/copy_shares.h"

#include <algorithm>
#include <cmath>

namespace tessera::memory {
namespace {

constexpr double kNew = 0.15;         // of a smoothed rate, what the last round makes
constexpr double kAllOfIt = 0.97;     // of what there is to share: nobody leaves any
constexpr double kGrowth = 1.02;      // in a round, where nobody does
constexpr double kMostLoss = 0.7;     // in a cycle: one moment may have been a bad one
constexpr double kForgetSeconds = 1;  // half of what is known, while nobody shares
// Who is not held may be about to copy more than it did.
constexpr double kRoom = 1.5;
constexpr double kLeastRoom = 16 << 20;
constexpr double kLeastRate = 1 << 20;  // nobody waits for ever
constexpr double kMostRate = 1e15;

uint64_t whole(double rate) { return static_cast<uint64_t>(std::clamp(rate, kLeastRate, kMostRate)); }

}  // namespace

double CopyShares::look(std::span<const Tenant> tenants, double seconds) {
  std::map<uint64_t, Seen> now;
  double total = 0;
  for (const Tenant& tenant : tenants) {
    const auto before = seen_.find(tenant.id);
    Seen seen = before == seen_.end() ? Seen() : before->second;
    const double rate = static_cast<double>(tenant.bytes) / seconds;
    total += rate;
    seen.quiet = tenant.held || tenant.bytes >= kLeastBytes ? 0 : std::min(seen.quiet + 1, kQuiet);
    seen.rate += kNew * (rate - seen.rate);
    seen.held = tenant.held;
    now[tenant.id] = seen;
  }
  seen_ = std::move(now);
  return total;
}

// In the first of them those that were held are only getting going.
void CopyShares::open_round(std::span<const Tenant> tenants, double seconds) {
  if (phase_ == 0) {
    opened_seconds_ = 0;
    for (auto& [id, seen] : seen_) seen.opened = 0;
    return;
  }
  opened_seconds_ += seconds;
  for (const Tenant& tenant : tenants) seen_[tenant.id].opened += static_cast<double>(tenant.bytes);
  if (phase_ + 1 < kOpen) return;
  double total = 0;
  for (const Tenant& tenant : tenants) total += seen_[tenant.id].opened / opened_seconds_;
  capacity_ = std::max(total, kMostLoss * capacity_);
  const std::vector<uint64_t> least = entitled(tenants, total);
  for (size_t i = 0; i < tenants.size(); ++i) {
    Seen& seen = seen_[tenants[i].id];
    const double beyond = seen.opened / opened_seconds_ - static_cast<double>(least[i]);
    seen.owes = std::max(beyond, 0.0) * kOpen / (kCycle - kOpen);
  }
}

void CopyShares::estimate(std::span<const Tenant> tenants, double seconds) {
  if (phase_ < kOpen) return open_round(tenants, seconds);
  double of_late = 0;
  bool held = false;
  for (const auto& [id, seen] : seen_) {
    of_late += seen.rate;
    held |= seen.held;
  }
  if (held && of_late >= kAllOfIt * capacity_) capacity_ *= kGrowth;
}

std::vector<uint64_t> CopyShares::entitled(std::span<const Tenant> tenants, double rate) const {
  std::vector<RateClaim> claims;
  for (const Tenant& tenant : tenants)
    claims.push_back({tenant.terms, seen_.at(tenant.id).copies() ? UINT64_MAX : 0});
  return share_rate(whole(rate), claims);
}

std::vector<uint64_t> CopyShares::shares(std::span<const Tenant> tenants) const {
  std::vector<RateClaim> claims;
  for (const Tenant& tenant : tenants) {
    const Seen& seen = seen_.at(tenant.id);
    const uint64_t wanted = seen.held ? UINT64_MAX : whole(kRoom * seen.rate + kLeastRoom);
    claims.push_back({tenant.terms, seen.copies() ? wanted : 0});
  }
  std::vector<uint64_t> rates = share_rate(whole(capacity_), claims);
  const std::vector<uint64_t> least = entitled(tenants, capacity_);
  for (size_t i = 0; i < rates.size(); ++i) {
    const Seen& seen = seen_.at(tenants[i].id);
    const auto share = static_cast<double>(std::max(rates[i], least[i]));
    rates[i] = seen.copies() ? whole(share - std::min(seen.owes, share / 2)) : tenants[i].terms.ceiling;
  }
  return rates;
}

std::vector<uint64_t> CopyShares::round(std::span<const Tenant> tenants, uint64_t elapsed_ns) {
  const double seconds = static_cast<double>(std::max<uint64_t>(elapsed_ns, 1)) / 1e9;
  const double total = look(tenants, seconds);
  const auto copying =
      std::count_if(seen_.begin(), seen_.end(), [](const auto& one) { return one.second.copies(); });
  if (contended_ != (copying > 1)) phase_ = 0;
  contended_ = copying > 1;
  std::vector<uint64_t> rates;
  if (contended_) {
    estimate(tenants, seconds);
    phase_ = (phase_ + 1) % kCycle;
  } else {
    capacity_ = std::max(capacity_ * std::exp2(-seconds / kForgetSeconds), total);
  }
  // What was decided for the round that begins.
  if (contended_ && phase_ >= kOpen) return shares(tenants);
  for (const Tenant& tenant : tenants) rates.push_back(tenant.terms.ceiling);
  return rates;
}

}  // namespace tessera::memory

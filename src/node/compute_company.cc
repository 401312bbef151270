// ComputeBroker's slices in time that run side by side: how wide each is, and which SMs it gets.
#include <algorithm>
#include <utility>

#include "node/compute_broker.h"
#include "partitioning/sm_parting.h"

namespace tessera::node {
// In thousandths of what is shared, rounded up: whose widths fit together have SMs enough.
void ComputeBroker::fit_widths(Gpu& gpu, uint64_t now_ns) const {
  const bool changed = gpu.co_execution.take_changed(now_ns);
  if (!std::exchange(gpu.widths_stale, false) && !changed) return;
  for (auto& [tenant, member] : gpu.members) {
    if (!member.own.empty()) continue;
    const uint32_t all = member.lane.count();
    const bool company = co_execution_ && !member.isolated;
    member.wants_sms = company ? gpu.co_execution.sms(tenant, all, now_ns) : all;
    const uint32_t permille =
        member.wants_sms < all ? (member.wants_sms * scheduling::kWhole + all - 1) / all : scheduling::kWhole;
    gpu.scheduler->set_width(tenant, permille, now_ns);
  }
}

// Somebody who fits beside it has work, or had some a moment ago: SMs that come and go cost more than they
// are worth.
bool ComputeBroker::may_have_company(Gpu& gpu, const Member& member, uint64_t now_ns) const {
  bool a_moment_ago = false;
  for (const auto& [tenant, other] : gpu.members) {
    if (tenant == member.tenant || !other.own.empty() || !is_busy(gpu, other, now_ns)) continue;
    if (member.wants_sms + other.wants_sms > member.lane.count()) continue;
    if (gpu.scheduler->tenant(tenant).runnable) return true;
    a_moment_ago = true;
    gpu.lend_at_ns = std::min(gpu.lend_at_ns, other.idle_since_ns + kLendAfterNs);
  }
  return a_moment_ago;
}

// As long as all have all of what they share, and whoever has a turn is to have it alone, nothing changes.
void ComputeBroker::part(Gpu& gpu, uint64_t now_ns, GateOrders& orders) const {
  const auto& grants = gpu.scheduler->grants();
  const bool any_narrow = std::any_of(grants.begin(), grants.end(), [&](const auto& grant) {
    const Member& member = gpu.members.at(grant.tenant);
    return member.own.empty() && member.wants_sms < member.lane.count();
  });
  if (gpu.any_apart || any_narrow) part_all(gpu, now_ns, orders);
}

// Whoever is to stop keeps what it has until it has.
void ComputeBroker::part_all(Gpu& gpu, uint64_t now_ns, GateOrders& orders) const {
  std::vector<Member*> members;
  std::vector<partitioning::SmWant> wants;
  IndexSet shared;
  gpu.any_apart = false;
  for (auto& [tenant, member] : gpu.members) {
    if (!member.own.empty()) continue;
    const auto& grants = gpu.scheduler->grants();
    const bool granted =
        std::any_of(grants.begin(), grants.end(), [&](const auto& grant) { return grant.tenant == tenant; });
    if (granted && member.wants_sms < member.lane.count() && may_have_company(gpu, member, now_ns)) {
      shared = member.lane;
      members.push_back(&member);
      wants.push_back({member.wants_sms, member.sms});
    } else if (granted || (!is_turn(member.state) && member.stopping.empty())) {
      change_sms(gpu, member, member.lane, now_ns, orders);
    }
    gpu.any_apart |= member.sms != member.lane;
  }
  if (members.empty()) return;
  gpu.any_apart = true;
  const std::vector<IndexSet> sets = partitioning::part_sms(shared, wants);
  for (size_t i = 0; i < members.size(); ++i) change_sms(gpu, *members[i], sets[i], now_ns, orders);
}

void ComputeBroker::note_company(Gpu& gpu, uint64_t now_ns) {
  const auto runs = [](const Member& member) { return member.own.empty() && is_turn(member.state); };
  const auto running =
      std::count_if(gpu.in_turn.begin(), gpu.in_turn.end(),
                    [&](scheduling::TenantId tenant) { return runs(gpu.members.at(tenant)); });
  if (running <= 1 && !gpu.any_company) return;
  gpu.any_company = running > 1;
  for (auto& [tenant, member] : gpu.members) {
    const bool company = running > 1 && runs(member);
    if (company && !member.company.now) ++member.company.times;
    member.company.now = company;
    gpu.co_execution.set_company(tenant, company);
  }
  if (running <= 1) {
    gpu.look_at_ns = scheduling::kNever;
  } else if (gpu.look_at_ns == scheduling::kNever || gpu.look_at_ns <= now_ns) {
    gpu.look_at_ns = now_ns + kCompanyLookNs;
  }
}

void ComputeBroker::set_isolated(SliceId slice, bool isolated, uint64_t now_ns, GateOrders& orders) {
  for (auto place = places_.lower_bound({slice, 0}); place != places_.end() && place->first.first == slice;
       ++place) {
    Gpu& gpu = *place->second.gpu;
    Member& member = *place->second.member;
    if (member.isolated == isolated) continue;
    member.isolated = isolated;
    gpu.widths_stale = true;
    settle(gpu, now_ns, orders);
  }
}

ComputeBroker::Company ComputeBroker::company(SliceId slice, uint32_t device) const {
  const Member& found = member(slice, device);
  Company company = found.company;
  if (found.own.empty() && found.wants_sms < found.lane.count()) company.width_sms = found.wants_sms;
  return company;
}

}  // namespace tessera::node

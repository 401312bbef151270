// ComputeBroker's SMs: which are a slice's own, and to whom what idles is lent.
#include <algorithm>

#include "node/compute_broker.h"

namespace tessera::node {
namespace {

// How much of a GPU with all of `all` these are, rounded down; never nothing.
uint32_t width_permille(uint32_t sms, uint32_t all) { return std::max(sms * scheduling::kWhole / all, 1u); }

}  // namespace

void ComputeBroker::set_own(Gpu& gpu, Member& member, const SliceDevice& part, uint64_t now_ns) {
  member.own = part.sms;
  member.may_borrow = part.compute.cap_permille == scheduling::kWhole;
  gpu.lanes_stale = true;
  const uint32_t permille = member.own.empty() ? 0 : width_permille(member.own.count(), gpu.sms.count());
  gpu.scheduler->set_own_width(member.tenant, permille, now_ns);
}

bool ComputeBroker::is_busy(const Gpu& gpu, const Member& member, uint64_t now_ns) {
  if (gpu.scheduler->tenant(member.tenant).runnable) return true;
  return member.idle_since_ns != 0 && now_ns < member.idle_since_ns + kLendAfterNs;
}

// Whether others have work than when lanes were last drawn; and when to look again.
bool ComputeBroker::lanes_change(Gpu& gpu, uint64_t now_ns) {
  gpu.lend_at_ns = scheduling::kNever;
  bool change = gpu.lanes_stale;
  if (!gpu.any_in_space || !gpu.lends_sms) return change;
  for (const auto& [tenant, member] : gpu.members) {
    const bool busy = is_busy(gpu, member, now_ns);
    change |= busy != member.lent_as_busy;
    if (busy && !gpu.scheduler->tenant(tenant).runnable) {
      gpu.lend_at_ns = std::min(gpu.lend_at_ns, member.idle_since_ns + kLendAfterNs);
    }
  }
  return change;
}

void ComputeBroker::lend(Gpu& gpu, uint64_t now_ns, GateOrders& orders) {
  if (gpu.sms.empty()) return;
  if (gpu.lanes_stale) {
    gpu.any_in_space = std::any_of(gpu.members.begin(), gpu.members.end(),
                                   [](const auto& entry) { return !entry.second.own.empty(); });
  }
  if (lanes_change(gpu, now_ns)) draw_lanes(gpu, now_ns, orders);
}

// Where it is somebody's turn, the change of SMs is an order of its own; the others hear of it with their
// next.
void ComputeBroker::draw_lanes(Gpu& gpu, uint64_t now_ns, GateOrders& orders) {
  gpu.lanes_stale = false;
  gpu.widths_stale = true;
  gpu.any_apart = true;
  std::vector<partitioning::SmHolder> holders;
  for (auto& [tenant, member] : gpu.members) {
    member.lent_as_busy = !gpu.lends_sms || is_busy(gpu, member, now_ns);
    holders.push_back({member.own, member.lent_as_busy, member.may_borrow});
  }
  const std::vector<IndexSet> sets = partitioning::lend_sms(gpu.sms, holders);
  size_t i = 0;
  for (auto& [tenant, member] : gpu.members) {
    const IndexSet& sms = sets[i++];
    const uint32_t width = width_permille(sms.count(), gpu.sms.count());
    if (member.own.empty()) {
      gpu.scheduler->set_shared_width(width);
    } else {
      gpu.scheduler->set_own_width(tenant, width, now_ns);
    }
    member.lane = sms;
    if (!member.own.empty() || member.sms.empty()) change_sms(gpu, member, sms, now_ns, orders);
  }
}

void ComputeBroker::change_sms(const Gpu& gpu, Member& member, const IndexSet& sms, uint64_t now_ns,
                               GateOrders& orders) {
  if (member.sms == sms) return;
  book_granted(gpu, member, now_ns);
  member.sm_ns = sm_ns(member, now_ns);
  member.sm_until_ns = std::max(member.sm_until_ns, now_ns);
  member.sms = sms;
  if (is_turn(member.state)) go_on(gpu, member, now_ns, orders);
}

}  // namespace tessera::node

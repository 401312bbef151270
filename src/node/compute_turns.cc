// ComputeBroker's turns: whose gate is open, until when, and who is waited for.
#include <algorithm>
#include <cassert>
#include <iterator>

#include "node/compute_broker.h"

namespace tessera::node {

using vgpu::GateState;

GateState ComputeBroker::wanted_state(const Gpu& gpu, const Member& member) const {
  const scheduling::Tenant& tenant = gpu.scheduler->tenant(member.tenant);
  if (!tenant.runnable) return GateState::kAsleep;
  const auto& grants = gpu.scheduler->grants();
  const bool granted = std::any_of(grants.begin(), grants.end(),
                                   [&](const auto& grant) { return grant.tenant == member.tenant; });
  if (!granted) return GateState::kStop;
  const bool bounded = tenant.spec.cap_permille < scheduling::kWhole;
  return bounded || gpu.scheduler->anyone_else_runnable(member.tenant) ? GateState::kRun : GateState::kFree;
}

void ComputeBroker::set_state(Gpu& gpu, Member& member, GateState state, uint64_t now_ns,
                              GateOrders& orders) {
  if (member.state == state) return;
  // Free, it tells nothing: from now on any of its processes may have work.
  if (state == GateState::kFree) {
    for (const auto& [lease, figures] : member.leases) member.working.insert(lease);
  }
  book_granted(gpu, member, now_ns);
  const bool ran = is_turn(member.state);
  if (!ran && is_turn(state)) note_hand_over(gpu, member, now_ns);
  if (ran && !is_turn(state)) gpu.handing_over.reset();
  const bool was_alone = gpu.in_turn.size() == 1 && !gpu.any_company;
  if (ran && state == GateState::kStop && was_alone) gpu.handing_over = member.tenant;
  if (ran && state == GateState::kStop) member.wants_since_ns = now_ns;
  if (!ran && is_turn(state)) {
    const uint64_t waited_ns = scheduling::elapsed(member.wants_since_ns, now_ns);
    member.waited_ns += waited_ns;
    gpu.qos.waited(member.tenant, waited_ns, now_ns);
  }
  member.stopping.clear();
  if (ran && state == GateState::kStop) {
    std::set_difference(member.working.begin(), member.working.end(), member.ended.begin(),
                        member.ended.end(), std::inserter(member.stopping, member.stopping.end()));
    if (!member.stopping.empty()) gpu.stopping.insert(member.tenant);
    member.stop_ordered_ns = now_ns;
    member.stop_deadline_ns = now_ns + stop_patience_ns(gpu, member);
    member.charged_at_stop_ns = member.turn_charged_ns;
  }
  gpu.waiting += state == GateState::kStop ? 1 : 0;
  gpu.waiting -= member.state == GateState::kStop ? 1 : 0;
  member.state = state;
  if (is_turn(state)) {
    gpu.in_turn.insert(member.tenant);
  } else {
    gpu.in_turn.erase(member.tenant);
  }
  if (is_turn(state)) {
    member.turn_began_ns = now_ns;
    member.turn_charged_ns = 0;
    member.turn_ready_ns = 0;
  }
  ++member.turn;
  give_order(gpu, member, now_ns, orders);
}

void ComputeBroker::give_order(const Gpu& gpu, Member& member, uint64_t now_ns, GateOrders& orders) {
  GateSetting gate{vgpu::gate_word(member.turn, member.state), member.sms};
  member.known_end_ns = member.state == GateState::kRun ? grant_end_ns(gpu, member) : scheduling::kNever;
  if (member.known_end_ns != scheduling::kNever)
    gate.turn_ns = std::max<uint64_t>(scheduling::elapsed(now_ns, member.known_end_ns), 1);
  gate.wakes = member.state != GateState::kStop || member.ended.size() < member.leases.size();
  member.ended.clear();
  orders.push_back({member.slice, member.device, gate});
}

uint64_t ComputeBroker::grant_end_ns(const Gpu& gpu, const Member& member) {
  if (!gpu.stops_kernels) return scheduling::kNever;
  for (const scheduling::Grant& grant : gpu.scheduler->grants()) {
    if (grant.tenant == member.tenant) return grant.until_ns;
  }
  return scheduling::kNever;
}

uint64_t ComputeBroker::turn_end_ns(const Gpu& gpu) {
  const uint64_t next_ns = gpu.scheduler->next_decision_ns();
  for (const scheduling::Grant& grant : gpu.scheduler->grants()) {
    if (grant.until_ns == next_ns && gpu.members.at(grant.tenant).known_end_ns == next_ns)
      return next_ns == scheduling::kNever ? next_ns : next_ns + kOwnEndPatienceNs;
  }
  return next_ns;
}

// The turn does, on other SMs or for longer than was said.
void ComputeBroker::go_on(const Gpu& gpu, Member& member, uint64_t now_ns, GateOrders& orders) {
  ++member.turn;
  give_order(gpu, member, now_ns, orders);
}

// Somebody who has been told to stop may still run on one of these.
bool ComputeBroker::is_stopping(const Gpu& gpu, const IndexSet& sms, uint64_t now_ns) {
  return std::any_of(gpu.stopping.begin(), gpu.stopping.end(), [&](scheduling::TenantId tenant) {
    const Member& member = gpu.members.at(tenant);
    return !member.stopping.empty() && member.stop_deadline_ns > now_ns &&
           (sms.empty() || member.sms.set().intersects(sms));
  });
}

// A kernel that cannot be stopped is waited for: two slices at once would be charged for each other's time.
uint64_t ComputeBroker::stop_patience_ns(const Gpu& gpu, const Member& member) {
  if (gpu.stops_kernels) return kStopPatienceNs;
  const uint64_t kernel_ns = gpu.scheduler->tenant(member.tenant).kernel_ns;
  return std::min(kStopPatienceNs + 2 * std::min(kernel_ns, kLongestPatienceNs), kLongestPatienceNs);
}

// Others have waited for it: what it does not report of that time counts as used.
void ComputeBroker::lose_patience(Gpu& gpu, Member& member, uint64_t now_ns) {
  book_granted(gpu, member, now_ns);
  member.stopping.clear();
  const uint64_t waited_ns = member.stop_deadline_ns - member.stop_ordered_ns;
  const uint64_t reported_ns = member.turn_charged_ns - member.charged_at_stop_ns;
  if (waited_ns > reported_ns) gpu.scheduler->charge(member.tenant, waited_ns - reported_ns, 0, now_ns);
}

// The latest: whoever comes next waits for all.
std::optional<uint64_t> ComputeBroker::stop_deadline_ns(const Gpu& gpu) {
  std::optional<uint64_t> latest;
  for (const scheduling::TenantId tenant : gpu.stopping) {
    const Member& member = gpu.members.at(tenant);
    if (!member.stopping.empty()) latest = std::max(latest.value_or(0), member.stop_deadline_ns);
  }
  return latest;
}

// All others are in the state that they should be in: those that have no work and no turn, and those that
// wait.
std::vector<ComputeBroker::Member*> ComputeBroker::may_change(Gpu& gpu) {
  std::set<scheduling::TenantId> tenants = gpu.in_turn;
  tenants.merge(gpu.changed);
  gpu.changed.clear();
  for (const scheduling::Grant& grant : gpu.scheduler->grants()) tenants.insert(grant.tenant);
  std::vector<Member*> members;
  members.reserve(tenants.size());
  for (const scheduling::TenantId tenant : tenants) members.push_back(&gpu.members.at(tenant));
  return members;
}

// Of slices that have nobody beside them: the next one waited already when the turn before ended, of which
// all is known that its process measured. A turn in which it had nothing ready for longer than handing over
// may take, as while it copied, says nothing of that.
void ComputeBroker::note_hand_over(Gpu& gpu, const Member& next, uint64_t now_ns) {
  if (!gpu.handing_over) return;
  const Member& last = gpu.members.at(*gpu.handing_over);
  gpu.handing_over.reset();
  const bool known = last.stopping.empty() && last.leases.size() == 1 && last.own.empty();
  if (!known || last.tenant == next.tenant || next.wants_since_ns > last.stop_ordered_ns) return;
  const uint64_t lasted_ns = scheduling::elapsed(last.turn_began_ns, now_ns);
  const bool had_gaps = last.turn_ready_ns != 0 &&
                        scheduling::elapsed(last.turn_ready_ns, lasted_ns) > scheduling::SwitchCost::kMostNs;
  if (had_gaps) return;
  if (gpu.switch_cost.add_turn(lasted_ns, last.turn_charged_ns))
    gpu.scheduler->set_switch_ns(gpu.switch_cost.cost_ns());
}

void ComputeBroker::settle(Gpu& gpu, uint64_t now_ns, GateOrders& orders) {
  lend(gpu, now_ns, orders);
  fit_widths(gpu, now_ns);
  gpu.scheduler->decide(now_ns);
  part(gpu, now_ns, orders);
  const std::vector<Member*> members = may_change(gpu);
  for (Member* member : members) {
    const GateState state = wanted_state(gpu, *member);
    if (!is_turn(state)) set_state(gpu, *member, state, now_ns, orders);
  }
  for (Member* member : members) {
    const GateState state = wanted_state(gpu, *member);
    if (!is_turn(state) || (!is_turn(member->state) && is_stopping(gpu, member->sms, now_ns))) continue;
    set_state(gpu, *member, state, now_ns, orders);
    if (!member->ended.empty()) go_on(gpu, *member, now_ns, orders);
  }
  for (auto next = gpu.stopping.begin(); next != gpu.stopping.end();) {
    Member& member = gpu.members.at(*next);
    if (!member.stopping.empty() && member.stop_deadline_ns <= now_ns) lose_patience(gpu, member, now_ns);
    next = member.stopping.empty() ? gpu.stopping.erase(next) : std::next(next);
  }
  note_company(gpu, now_ns);
  gpu.due_ns = due_ns(gpu);
}

// Where nobody is kept waiting nobody's weight matters.
bool ComputeBroker::is_contended(const Gpu& gpu) { return gpu.waiting != 0; }

// What processes report in between can only make it later.
uint64_t ComputeBroker::due_ns(const Gpu& gpu) {
  const uint64_t weighed_ns = is_contended(gpu) ? gpu.qos.next_adjustment_ns() : scheduling::kNever;
  return std::min({turn_end_ns(gpu), gpu.lend_at_ns, gpu.look_at_ns, weighed_ns,
                   stop_deadline_ns(gpu).value_or(scheduling::kNever)});
}

void ComputeBroker::decide(uint64_t now_ns, GateOrders& orders) {
  for (auto& [index, gpu] : gpus_) {
    if (now_ns < gpu.due_ns) continue;
    const bool waited = stop_deadline_ns(gpu).value_or(UINT64_MAX) <= now_ns || gpu.lend_at_ns <= now_ns ||
                        gpu.look_at_ns <= now_ns;
    const bool weighed =
        is_contended(gpu) && gpu.qos.next_adjustment_ns() <= now_ns && gpu.qos.adjust(*gpu.scheduler, now_ns);
    if (waited || weighed || turn_end_ns(gpu) <= now_ns) {
      settle(gpu, now_ns, orders);
    } else {
      gpu.due_ns = due_ns(gpu);
    }
  }
}

}  // namespace tessera::node

#include "node/compute_broker.h"

#include <algorithm>
#include <cassert>
#include <iterator>

namespace tessera::node {
namespace {

using scheduling::DeviceScheduler;
using vgpu::GateState;

}  // namespace

Result<ComputeBroker::Gpu*> ComputeBroker::open_gpu(uint32_t index) {
  auto found = gpus_.find(index);
  if (found != gpus_.end()) return &found->second;
  TESSERA_ASSIGN_OR_RETURN(auto scheduler, DeviceScheduler::create(config_));
  const uint32_t sms = index < sm_counts_.size() ? sm_counts_[index] : 0;
  Gpu& gpu = gpus_[index];
  gpu.scheduler = std::move(scheduler);
  gpu.sms = IndexSet::below(sms);
  gpu.stops_kernels = !unstoppable_.contains(index);
  gpu.lends_sms = !unlendable_.contains(index);
  return &gpu;
}

ComputeBroker::Gpu& ComputeBroker::gpu_of(SliceId slice, uint32_t device, Member** member) {
  const Place& place = places_.at({slice, device});
  *member = place.member;
  return *place.gpu;
}

const ComputeBroker::Member& ComputeBroker::member(SliceId slice, uint32_t device) const {
  return *places_.at({slice, device}).member;
}

Status ComputeBroker::add_slice(const Slice& slice, uint64_t now_ns, GateOrders& orders) {
  for (uint32_t device = 0; device < slice.devices.size(); ++device) {
    const SliceDevice& part = slice.devices[device];
    auto gpu = open_gpu(part.gpu);
    Status status = gpu.status();
    if (status.ok()) {
      auto tenant = (*gpu)->scheduler->add(scheduled(part, (*gpu)->sms.count()), now_ns);
      status = tenant.status();
      if (status.ok()) {
        Member& member = (*gpu)->members[*tenant];
        member.slice = slice.id;
        member.device = device;
        member.tenant = *tenant;
        member.granted_until_ns = now_ns;
        (*gpu)->qos.add(*tenant, part.compute, now_ns);
        (*gpu)->co_execution.add(*tenant);
        places_[{slice.id, device}] = {*gpu, &member};
        set_own(**gpu, member, part, now_ns);
        lend(**gpu, now_ns, orders);
        give_order(**gpu, member, now_ns, orders);
        settle(**gpu, now_ns, orders);
        continue;
      }
    }
    remove_slice(slice.id, now_ns, orders);
    return status;
  }
  return Status();
}

void ComputeBroker::remove_slice(SliceId slice, uint64_t now_ns, GateOrders& orders) {
  auto place = places_.lower_bound({slice, 0});
  while (place != places_.end() && place->first.first == slice) {
    Gpu& gpu = *place->second.gpu;
    const scheduling::TenantId tenant = place->second.member->tenant;
    gpu.scheduler->remove(tenant, now_ns);
    gpu.qos.remove(tenant);
    gpu.members.erase(tenant);
    gpu.lanes_stale = true;
    place = places_.erase(place);
    settle(gpu, now_ns, orders);
  }
}

// SMs beyond the share are its own all the same; but a ceiling holds it to the share.
scheduling::TenantSpec ComputeBroker::scheduled(const SliceDevice& part, uint32_t sm_count) {
  scheduling::TenantSpec spec = part.compute;
  const bool held_by_its_sms =
      !part.sms.empty() && part.sms.count() * scheduling::kWhole <= (spec.cap_permille + 1) * sm_count;
  if (held_by_its_sms) spec.cap_permille = scheduling::kWhole;
  return spec;
}

Status ComputeBroker::update(SliceId slice, uint32_t device, const SliceDevice& part, uint64_t now_ns,
                             GateOrders& orders) {
  Member* member = nullptr;
  Gpu& gpu = gpu_of(slice, device, &member);
  scheduling::TenantSpec spec = scheduled(part, gpu.sms.count());
  spec.width_permille = gpu.scheduler->tenant(member->tenant).spec.width_permille;
  TESSERA_RETURN_IF_ERROR(gpu.scheduler->update(member->tenant, spec, now_ns));
  set_own(gpu, *member, part, now_ns);
  gpu.qos.add(member->tenant, part.compute, now_ns);
  gpu.scheduler->set_boost(member->tenant, scheduling::kWhole);
  settle(gpu, now_ns, orders);
  return Status();
}

// Where nobody works, whoever comes is taken to: it is free then, and pays nothing for its first launch.
void ComputeBroker::attach(SliceId slice, LeaseId lease, uint64_t now_ns, GateOrders& orders) {
  for (auto place = places_.lower_bound({slice, 0}); place != places_.end() && place->first.first == slice;
       ++place) {
    Gpu& gpu = *place->second.gpu;
    Member& member = *place->second.member;
    member.leases.try_emplace(lease, Heard{{}, now_ns, sm_ns(member, now_ns)});
    const bool quiet = std::none_of(gpu.members.begin(), gpu.members.end(),
                                    [](const auto& other) { return !other.second.working.empty(); });
    if (quiet || member.state == GateState::kFree) start_work(gpu, member, lease, now_ns);
    settle(gpu, now_ns, orders);
  }
}

void ComputeBroker::lose(SliceId slice, LeaseId lease, uint64_t now_ns, GateOrders& orders) {
  end_all_work(slice, lease, false, now_ns, orders);
}

void ComputeBroker::detach(SliceId slice, LeaseId lease, uint64_t now_ns, GateOrders& orders) {
  end_all_work(slice, lease, true, now_ns, orders);
}

void ComputeBroker::end_all_work(SliceId slice, LeaseId lease, bool forget, uint64_t now_ns,
                                 GateOrders& orders) {
  for (auto place = places_.lower_bound({slice, 0}); place != places_.end() && place->first.first == slice;
       ++place) {
    Gpu& gpu = *place->second.gpu;
    Member& member = *place->second.member;
    end_work(gpu, member, lease, now_ns);
    if (forget) member.leases.erase(lease);
    settle(gpu, now_ns, orders);
  }
}

void ComputeBroker::start_work(Gpu& gpu, Member& member, LeaseId lease, uint64_t now_ns) {
  if (member.working.empty()) {
    gpu.scheduler->wake(member.tenant, now_ns);
    member.wants_since_ns = now_ns;
  }
  member.working.insert(lease);
}

void ComputeBroker::end_work(Gpu& gpu, Member& member, LeaseId lease, uint64_t now_ns) {
  book_granted(gpu, member, now_ns);
  member.stopping.erase(lease);
  member.ended.erase(lease);
  if (member.working.erase(lease) == 0 || !member.working.empty()) return;
  member.idle_since_ns = now_ns;
  gpu.scheduler->sleep(member.tenant, now_ns);
}

void ComputeBroker::wake(SliceId slice, LeaseId lease, uint32_t device, uint64_t now_ns, GateOrders& orders) {
  Member* member = nullptr;
  Gpu& gpu = gpu_of(slice, device, &member);
  start_work(gpu, *member, lease, now_ns);
  settle(gpu, now_ns, orders);
}

void ComputeBroker::idle(SliceId slice, LeaseId lease, uint32_t device, uint32_t word, uint64_t now_ns,
                         GateOrders& orders) {
  Member* member = nullptr;
  Gpu& gpu = gpu_of(slice, device, &member);
  if (word != vgpu::gate_word(member->turn, member->state)) return;
  end_work(gpu, *member, lease, now_ns);
  settle(gpu, now_ns, orders);
}

void ComputeBroker::stopped(SliceId slice, LeaseId lease, uint32_t device, uint32_t word, uint64_t now_ns,
                            GateOrders& orders) {
  Member* member = nullptr;
  Gpu& gpu = gpu_of(slice, device, &member);
  const bool in_turn = word == vgpu::gate_word(member->turn, GateState::kRun);
  if (in_turn && member->state == GateState::kRun && member->known_end_ns != scheduling::kNever) {
    if (member->leases.contains(lease)) member->ended.insert(lease);
    return settle(gpu, now_ns, orders);
  }
  // It may have ended the turn by itself just before it was told to.
  const bool as_told = word == vgpu::gate_word(member->turn, member->state) ||
                       word == vgpu::gate_word(member->turn - 1, GateState::kRun);
  if (!as_told || !member->stopping.contains(lease)) return;
  book_granted(gpu, *member, now_ns);
  member->stopping.erase(lease);
  if (member->stopping.empty()) settle(gpu, now_ns, orders);
}

void ComputeBroker::report(SliceId slice, LeaseId lease, uint32_t device, const ComputeFigures& figures,
                           uint64_t now_ns) {
  Member* member = nullptr;
  Gpu& gpu = gpu_of(slice, device, &member);
  Heard& last = member->leases.at(lease);
  // A process that counts backwards has worked nothing; nor was one busy for longer than has gone by, of
  // which it may not have said all the last time.
  const auto more = [&](uint64_t ComputeFigures::*figure) {
    return figures.*figure - std::min(figures.*figure, last.figures.*figure);
  };
  const uint64_t kernels = more(&ComputeFigures::kernels);
  const uint64_t had_ns = last.spare_ns + scheduling::elapsed(last.at_ns, now_ns);
  const uint64_t busy_ns = std::min(more(&ComputeFigures::busy_ns), had_ns);
  // Processes of a slice may run at the same time: then it is as wide as they are together.
  const uint64_t processes = std::max<size_t>(member->working.size(), 1);
  uint64_t ready_sm_ns = 0;
  if (__builtin_mul_overflow(more(&ComputeFigures::ready_sm_ns), processes, &ready_sm_ns)) {
    ready_sm_ns = UINT64_MAX;
  }
  gpu.co_execution.measured(
      member->tenant, {more(&ComputeFigures::busy_ns), kernels, more(&ComputeFigures::ready_ns), ready_sm_ns},
      now_ns);
  const uint64_t had_sm_ns = scheduling::elapsed(last.sm_ns, sm_ns(*member, now_ns));
  const uint64_t all_sm_ns = scheduling::elapsed(last.at_ns, now_ns) * gpu.sms.count();
  member->used_ns += all_sm_ns == 0 ? busy_ns : scheduling::scaled(busy_ns, had_sm_ns, all_sm_ns);
  last = {figures, std::max(last.at_ns, now_ns), sm_ns(*member, now_ns),
          std::min(had_ns - busy_ns, kReportsLateNs)};
  // Alone, nobody loses what it takes; and of that time only a part may have been reported.
  if (member->state == GateState::kFree) return;
  // Nor was it anybody's turn before the first: a process that outlived a daemon goes on without one.
  if (member->turn_began_ns == 0) return;
  const uint64_t lasted_ns = scheduling::elapsed(member->turn_began_ns, now_ns);
  const uint64_t charged_ns = std::min(busy_ns, lasted_ns - std::min(lasted_ns, member->turn_charged_ns));
  if (charged_ns == 0) return;
  member->turn_charged_ns += charged_ns;
  gpu.scheduler->charge(member->tenant, charged_ns,
                        static_cast<uint32_t>(std::min<uint64_t>(kernels, UINT32_MAX)), now_ns);
}

std::vector<ComputeBroker::Running> ComputeBroker::running() const {
  std::vector<Running> all;
  for (const auto& [index, gpu] : gpus_) {
    for (const auto& [tenant, member] : gpu.members) {
      if (member.state == GateState::kRun) all.push_back({member.slice, member.device});
    }
  }
  return all;
}

GateState ComputeBroker::wanted_state(const Gpu& gpu, const Member& member) const {
  const scheduling::Tenant& tenant = gpu.scheduler->tenant(member.tenant);
  if (!tenant.runnable) return GateState::kAsleep;
  const auto& grants = gpu.scheduler->grants();
  const bool granted = std::any_of(grants.begin(), grants.end(),
                                   [&](const auto& grant) { return grant.tenant == member.tenant; });
  if (!granted) return GateState::kStop;
  const bool others = std::any_of(gpu.members.begin(), gpu.members.end(), [&](const auto& other) {
    return other.first != member.tenant && gpu.scheduler->tenant(other.first).runnable;
  });
  const bool bounded = tenant.spec.cap_permille < scheduling::kWhole;
  return others || bounded ? GateState::kRun : GateState::kFree;
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
    gpu.any_stopping |= !member.stopping.empty();
    member.stop_ordered_ns = now_ns;
    member.stop_deadline_ns = now_ns + stop_patience_ns(gpu, member);
    member.charged_at_stop_ns = member.turn_charged_ns;
  }
  member.state = state;
  if (is_turn(state)) {
    member.turn_began_ns = now_ns;
    member.turn_charged_ns = 0;
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
  if (!gpu.any_stopping) return false;
  return std::any_of(gpu.members.begin(), gpu.members.end(), [&](const auto& entry) {
    const Member& member = entry.second;
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
  if (!gpu.any_stopping) return std::nullopt;
  std::optional<uint64_t> latest;
  for (const auto& [tenant, member] : gpu.members) {
    if (!member.stopping.empty()) latest = std::max(latest.value_or(0), member.stop_deadline_ns);
  }
  return latest;
}

void ComputeBroker::settle(Gpu& gpu, uint64_t now_ns, GateOrders& orders) {
  lend(gpu, now_ns, orders);
  fit_widths(gpu, now_ns);
  gpu.scheduler->decide(now_ns);
  part(gpu, now_ns, orders);
  for (auto& [tenant, member] : gpu.members) {
    const GateState state = wanted_state(gpu, member);
    if (!is_turn(state)) set_state(gpu, member, state, now_ns, orders);
  }
  for (auto& [tenant, member] : gpu.members) {
    const GateState state = wanted_state(gpu, member);
    if (!is_turn(state) || (!is_turn(member.state) && is_stopping(gpu, member.sms, now_ns))) continue;
    set_state(gpu, member, state, now_ns, orders);
    if (!member.ended.empty()) go_on(gpu, member, now_ns, orders);
  }
  if (gpu.any_stopping) {
    for (auto& [tenant, member] : gpu.members) {
      if (!member.stopping.empty() && member.stop_deadline_ns <= now_ns) lose_patience(gpu, member, now_ns);
    }
    gpu.any_stopping = stop_deadline_ns(gpu).has_value();
  }
  note_company(gpu, now_ns);
  gpu.due_ns = due_ns(gpu);
}

// Where nobody is kept waiting nobody's weight matters.
bool ComputeBroker::is_contended(const Gpu& gpu) {
  return std::any_of(gpu.members.begin(), gpu.members.end(),
                     [](const auto& member) { return member.second.state == GateState::kStop; });
}

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

std::optional<uint64_t> ComputeBroker::next_deadline_ns() const {
  uint64_t next = scheduling::kNever;
  for (const auto& [index, gpu] : gpus_) next = std::min(next, gpu.due_ns);
  return next == scheduling::kNever ? std::nullopt : std::optional(next);
}

GateState ComputeBroker::state(SliceId slice, uint32_t device) const { return member(slice, device).state; }

scheduling::WaitHistogram ComputeBroker::waits(SliceId slice, uint32_t device, uint64_t now_ns) const {
  const Place& place = places_.at({slice, device});
  return place.gpu->qos.waits(place.member->tenant, now_ns);
}

uint64_t ComputeBroker::waited_ns(SliceId slice, uint32_t device) const {
  return member(slice, device).waited_ns;
}

uint32_t ComputeBroker::boost_permille(SliceId slice, uint32_t device) const {
  const Place& place = places_.at({slice, device});
  return place.gpu->qos.boost_permille(place.member->tenant);
}

ComputeBroker::Granted ComputeBroker::granted_by(const Gpu& gpu, const Member& member, uint64_t now_ns) {
  Granted granted = member.granted;
  uint64_t until_ns = now_ns;
  if (!is_turn(member.state)) {
    until_ns = member.stopping.empty() ? 0 : std::min(now_ns, member.stop_deadline_ns);
  }
  uint64_t had_ns = scheduling::elapsed(member.granted_until_ns, until_ns);
  if (!gpu.sms.empty()) had_ns = had_ns * member.sms.count() / gpu.sms.count();
  (member.state == GateState::kFree ? granted.free_ns : granted.turn_ns) += had_ns;
  return granted;
}

void ComputeBroker::book_granted(const Gpu& gpu, Member& member, uint64_t now_ns) {
  member.granted = granted_by(gpu, member, now_ns);
  member.granted_until_ns = std::max(member.granted_until_ns, now_ns);
}

ComputeBroker::Granted ComputeBroker::granted(SliceId slice, uint32_t device, uint64_t now_ns) const {
  const Place& place = places_.at({slice, device});
  return granted_by(*place.gpu, *place.member, now_ns);
}

uint32_t ComputeBroker::entitled_permille(SliceId slice, uint32_t device) const {
  const Place& place = places_.at({slice, device});
  constexpr uint64_t kPerPermille = 1000;  // effective weights are millionths
  return static_cast<uint32_t>(place.gpu->scheduler->tenant(place.member->tenant).entitled_weight /
                               kPerPermille);
}

}  // namespace tessera::node

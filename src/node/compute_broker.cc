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
  scheduling::SchedulerConfig config = config_;
  config.limits.whole_kernels = unstoppable_.contains(index);
  TESSERA_ASSIGN_OR_RETURN(auto scheduler, DeviceScheduler::create(config));
  const uint32_t sms = index < sm_counts_.size() ? sm_counts_[index] : 0;
  Gpu& gpu = gpus_[index];
  gpu.scheduler = std::move(scheduler);
  gpu.switch_cost = scheduling::SwitchCost(config.limits.switch_ns);
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
    forget(gpu, tenant);
    gpu.lanes_stale = true;
    place = places_.erase(place);
    settle(gpu, now_ns, orders);
  }
}

void ComputeBroker::forget(Gpu& gpu, scheduling::TenantId tenant) {
  if (gpu.members.at(tenant).state == GateState::kStop) --gpu.waiting;
  if (gpu.handing_over == tenant) gpu.handing_over.reset();
  for (auto* some : {&gpu.in_turn, &gpu.stopping, &gpu.changed}) some->erase(tenant);
  gpu.members.erase(tenant);
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
    gpu.changed.insert(member.tenant);
  }
  member.working.insert(lease);
}

void ComputeBroker::end_work(Gpu& gpu, Member& member, LeaseId lease, uint64_t now_ns) {
  book_granted(gpu, member, now_ns);
  member.stopping.erase(lease);
  member.ended.erase(lease);
  if (member.working.erase(lease) == 0 || !member.working.empty()) return;
  member.idle_since_ns = now_ns;
  gpu.changed.insert(member.tenant);
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
  const uint64_t ready_ns = more(&ComputeFigures::ready_ns);
  // Processes of a slice may run at the same time: then it is as wide as they are together.
  const uint64_t processes = std::max<size_t>(member->working.size(), 1);
  uint64_t ready_sm_ns = 0;
  if (__builtin_mul_overflow(more(&ComputeFigures::ready_sm_ns), processes, &ready_sm_ns)) {
    ready_sm_ns = UINT64_MAX;
  }
  gpu.co_execution.measured(member->tenant, {more(&ComputeFigures::busy_ns), kernels, ready_ns, ready_sm_ns},
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
  member->turn_ready_ns = std::min(member->turn_ready_ns + std::min(ready_ns, lasted_ns), lasted_ns);
  const uint64_t charged_ns = std::min(busy_ns, lasted_ns - std::min(lasted_ns, member->turn_charged_ns));
  if (charged_ns == 0) return;
  member->turn_charged_ns += charged_ns;
  gpu.scheduler->charge(member->tenant, charged_ns,
                        static_cast<uint32_t>(std::min<uint64_t>(kernels, UINT32_MAX)), now_ns);
}

std::vector<ComputeBroker::Running> ComputeBroker::running() const {
  std::vector<Running> all;
  for (const auto& [index, gpu] : gpus_) {
    for (const scheduling::TenantId tenant : gpu.in_turn) {
      const Member& member = gpu.members.at(tenant);
      if (member.state == GateState::kRun) all.push_back({member.slice, member.device});
    }
  }
  return all;
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

std::optional<uint64_t> ComputeBroker::switch_ns(uint32_t gpu) const {
  const auto found = gpus_.find(gpu);
  if (found == gpus_.end() || !found->second.switch_cost.measured()) return std::nullopt;
  return found->second.switch_cost.cost_ns();
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

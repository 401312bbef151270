#include "scheduling/simulation/simulator.h"

#include <algorithm>
#include <cassert>
#include <iterator>

#include "common/strings.h"

namespace tessera::scheduling {
namespace {

constexpr Nanoseconds kEndlessStepNs = kSecond;  // an idle GPU looks up this often
constexpr uint32_t kSms = 8;                     // where widths are measured

Nanoseconds draw_jump(Random& random) {
  static constexpr Nanoseconds kUnits[] = {kMillisecond, 100 * kMillisecond, 10 * kSecond, 3600 * kSecond};
  return random.between(1, 10) * kUnits[random.below(std::size(kUnits))];
}

}  // namespace

Simulator::Simulator(Workload workload, uint64_t seed, const SimulationLimits& limits, MakeScheduler make)
    : workload_(std::move(workload)),
      random_(seed),
      limits_(limits),
      make_(std::move(make)),
      whole_gpu_(std::all_of(workload_.programs.begin(), workload_.programs.end(),
                             [](const Program& program) { return program.spec.width_permille == kWhole; })),
      invariants_(workload_.config, whole_gpu_) {}

// FNV-1a over 64-bit words.
void Simulator::note(uint64_t value) { result_.trace_hash = (result_.trace_hash ^ value) * 0x100000001b3u; }

void Simulator::push(Nanoseconds at_ns, What what, size_t index) {
  const uint64_t generation = index < clients_.size() && what != What::kFault && what != What::kAdjust
                                  ? clients_[index].generation
                                  : 0;
  events_.push({at_ns, next_number_++, what, index, generation});
}

Observed& Simulator::observe(size_t index) { return observed_[clients_[index].tenant]; }

Nanoseconds Simulator::draw_kernel(const Program& program) {
  if (!program.kernels_vary) return program.kernel_ns;
  return std::clamp<Nanoseconds>(random_.exponential(program.kernel_ns), kMicrosecond,
                                 program.kernel_ns * Program::kLongestOverMean);
}

Result<SimulationResult> Simulator::run() {
  TESSERA_ASSIGN_OR_RETURN(scheduler_, make_(workload_.config));
  for (const Program& program : workload_.programs) {
    clients_.push_back({program, result_.tenants.size()});
    result_.tenants.push_back({program.name, program.spec});
    push(program.starts_ns, What::kStart, clients_.size() - 1);
  }
  for (size_t i = 0; i < workload_.faults.size(); ++i) push(workload_.faults[i].at_ns, What::kFault, i);
  while (!events_.empty() && result_.decisions < limits_.decisions && !result_.broken) {
    const Event event = events_.top();
    if (event.at_ns > limits_.duration_ns) break;
    events_.pop();
    if (busy_width_ != 0) any_busy_ns_ += event.at_ns - now_;
    if (scheduler_->grants().size() > 1) result_.company_ns += event.at_ns - now_;
    now_ = event.at_ns;
    TESSERA_RETURN_IF_ERROR(handle(event));
  }
  result_.elapsed_ns = now_;
  for (Client& client : clients_) {
    if (!client.present) continue;
    result_.tenants[client.report].present_ns += now_ - client.came_ns;
    keep_report(client);
  }
  return std::move(result_);
}

Status Simulator::handle(const Event& event) {
  const bool of_client =
      event.what != What::kFault && event.what != What::kDecide && event.what != What::kAdjust;
  if (of_client && event.generation != clients_[event.index].generation) {
    // The kernel of a tenant that was killed leaves the GPU when it ends.
    if (event.what == What::kKernelEnd) busy_width_ -= clients_[event.index].fills_permille;
    if (event.what != What::kKernelEnd) return Status();
  } else {
    switch (event.what) {
      case What::kStart:
        TESSERA_RETURN_IF_ERROR(start(event.index));
        break;
      case What::kBurst:
        begin_burst(event.index);
        break;
      case What::kKernelEnd:
        end_kernel(event.index);
        break;
      case What::kFault:
        TESSERA_RETURN_IF_ERROR(strike(workload_.faults[event.index]));
        break;
      case What::kAdjust:
        adjust();
        break;
      case What::kDecide:
        if (event.at_ns != decide_at_) return Status();  // another decision came before
        break;
    }
  }
  decide();
  launch_granted();
  return Status();
}

// Tells the scheduler, and the checks, of a tenant without work.
Status Simulator::admit(Client& client) {
  TenantSpec spec = client.program.spec;
  if (workload_.measured_widths) spec.width_permille = kWhole;
  TESSERA_ASSIGN_OR_RETURN(client.tenant, scheduler_->add(spec, told()));
  co_execution_.add(client.tenant);
  if (client.tenant >= observed_.size()) observed_.resize(client.tenant + 1);
  const Program& program = client.program;
  if (limits_.qos) qos_.add(client.tenant, client.program.spec, told());
  Nanoseconds longest_ns = program.kernel_ns * (program.kernels_vary ? Program::kLongestOverMean : 1);
  longest_ns = scaled(longest_ns, kWhole + program.hurt_permille, kWhole);
  if (program.claims_permille != 0) {
    longest_ns = scaled(longest_ns, program.spec.width_permille, program.claims_permille);
  }
  observed_[client.tenant] = {true, false, longest_ns};
  return Status();
}

Status Simulator::start(size_t index) {
  Client& client = clients_[index];
  TESSERA_RETURN_IF_ERROR(admit(client));
  client.present = true;
  client.came_ns = now_;
  invariants_.forget(client.tenant);
  note(client.tenant);
  begin_burst(index);
  return Status();
}

void Simulator::begin_burst(size_t index) {
  Client& client = clients_[index];
  client.queued = client.program.kernels_per_burst == 0 ? kNever : client.program.kernels_per_burst;
  client.ready_ns = now_;
  client.kernel_length_ns = draw_kernel(client.program);
  observe(index).has_work = true;
  scheduler_->wake(client.tenant, told());
}

void Simulator::end_kernel(size_t index) {
  Client& client = clients_[index];
  TenantReport& report = result_.tenants[client.report];
  const Nanoseconds used = scaled(client.kernel_length_ns, client.fills_permille, kWhole);
  busy_width_ -= client.fills_permille;
  client.running = false;
  result_.busy_ns += used;
  report.served_ns += used;
  ++report.kernels;
  scheduler_->charge(client.tenant, client.kernel_length_ns, 1, told());
  invariants_.charged(client.tenant, client.kernel_length_ns);
  if (workload_.measured_widths) {
    const Program& program = client.program;
    const uint64_t said =
        program.claims_permille != 0 ? program.claims_permille : program.spec.width_permille;
    const Nanoseconds length_ns = client.kernel_length_ns;
    co_execution_.measured(client.tenant, {length_ns, 1, length_ns, scaled(length_ns * kSms, said, kWhole)},
                           told());
  }
  note(client.kernel_length_ns);
  if (client.queued != kNever) --client.queued;
  client.ready_ns = now_;
  client.kernel_length_ns = draw_kernel(client.program);
  if (client.queued != 0) return;
  observe(index).has_work = false;
  scheduler_->sleep(client.tenant, told());
  if (client.program.bursts != 0 && ++client.bursts_done == client.program.bursts) {
    kill(index);
    return;
  }
  push(now_ + 1 + (client.program.pause_ns == 0 ? 0 : random_.exponential(client.program.pause_ns)),
       What::kBurst, index);
}

void Simulator::kill(size_t index) {
  Client& client = clients_[index];
  observe(index) = Observed{};
  keep_report(client);
  if (limits_.qos) qos_.remove(client.tenant);
  invariants_.forget(client.tenant);
  scheduler_->remove(client.tenant, told());
  result_.tenants[client.report].present_ns += now_ - client.came_ns;
  client.present = false;
  client.running = false;
  ++client.generation;  // a kernel in flight goes on: its end is of a life that is over
}

std::optional<size_t> Simulator::any_present() {
  std::vector<size_t> present;
  for (size_t i = 0; i < clients_.size(); ++i) {
    if (clients_[i].present) present.push_back(i);
  }
  if (present.empty()) return std::nullopt;
  return present[random_.below(present.size())];
}

Status Simulator::strike(const Fault& fault) {
  note(static_cast<uint64_t>(fault.kind));
  switch (fault.kind) {
    case FaultKind::kKill:
      if (auto victim = any_present()) kill(*victim);
      return Status();
    case FaultKind::kStart: {
      Program program = draw_program(random_, whole_gpu_);
      program.spec.share_permille = 0;  // what was promised to the others stays within the whole
      clients_.push_back({program, result_.tenants.size()});
      result_.tenants.push_back({program.name, program.spec});
      return start(clients_.size() - 1);
    }
    case FaultKind::kUpdate:
      if (auto one = any_present()) {
        Client& client = clients_[*one];
        TenantSpec spec = client.program.spec;
        spec.weight = static_cast<uint32_t>(random_.between(1, 1000));
        client.program.spec = spec;
        invariants_.forget(client.tenant);
        if (limits_.qos) qos_.add(client.tenant, spec, told());
        scheduler_->set_boost(client.tenant, kWhole);
        spec.width_permille = scheduler_->tenant(client.tenant).spec.width_permille;
        return scheduler_->update(client.tenant, spec, told());
      }
      return Status();
    case FaultKind::kRestartScheduler:
      return restart_scheduler();
    case FaultKind::kClockBack:
      clock_skew_ -= std::min(draw_jump(random_), clock());
      invariants_.clock_jumped();
      return Status();
    case FaultKind::kClockForward:
      clock_skew_ += draw_jump(random_);
      invariants_.clock_jumped();
      return Status();
  }
  return Status();
}

// A new daemon knows nothing; the tenants come back to it in any order, with their work.
Status Simulator::restart_scheduler() {
  TESSERA_ASSIGN_OR_RETURN(scheduler_, make_(workload_.config));
  qos_ = QosController();
  std::fill(observed_.begin(), observed_.end(), Observed{});
  std::vector<std::pair<size_t, bool>> back;
  for (size_t i = 0; i < clients_.size(); ++i) {
    if (clients_[i].present) back.emplace_back(i, clients_[i].queued != 0);
  }
  for (auto [index, has_work] : back) {
    Client& client = clients_[index];
    TESSERA_RETURN_IF_ERROR(admit(client));
    observe(index).has_work = has_work;
    if (has_work) scheduler_->wake(client.tenant, told());
  }
  invariants_.forget_all();
  return Status();
}

void Simulator::keep_report(const Client& client) {
  if (!limits_.qos) return;
  TenantReport& report = result_.tenants[client.report];
  report.turn_waits = qos_.waits(client.tenant, told());
  report.boost_permille = qos_.boost_permille(client.tenant);
}

void Simulator::adjust() {
  if (qos_.adjust(*scheduler_, told())) invariants_.weights_changed();
}

// As the daemon does.
void Simulator::fit_widths() {
  for (const Client& client : clients_) {
    if (!client.present) continue;
    const uint32_t sms = co_execution_.sms(client.tenant, kSms, told());
    scheduler_->set_width(client.tenant, sms * kWhole / kSms, told());
  }
}

void Simulator::decide() {
  if (workload_.measured_widths) fit_widths();
  scheduler_->decide(told());
  ++result_.decisions;
  const bool company = scheduler_->grants().size() > 1;
  for (const Client& client : clients_) {
    if (client.present) co_execution_.set_company(client.tenant, company);
  }
  for (const Grant& grant : scheduler_->grants()) {
    result_.switches += grant.since_ns == told() ? 1 : 0;
    note(uint64_t{grant.tenant} << 32 | static_cast<uint32_t>(grant.until_ns));
  }
  if (limits_.check_invariants) {
    if (auto broken = invariants_.check(*scheduler_, observed_, {now_, told()}, any_busy_ns_)) {
      result_.broken = str_format("at %.3f ms, decision %llu: %s", static_cast<double>(now_) * 1e-6,
                                  static_cast<unsigned long long>(result_.decisions), broken->c_str());
    }
  }
  const Nanoseconds adjustment = qos_.next_adjustment_ns();
  if (adjustment != kNever && adjustment != adjust_at_) {
    adjust_at_ = adjustment;
    push(when_due(adjustment), What::kAdjust, 0);
  }
  const Nanoseconds next = scheduler_->next_decision_ns();
  decide_at_ = next == kNever ? now_ + kEndlessStepNs : when_due(next);
  push(decide_at_, What::kDecide, 0);
  time_.expect(std::min(next, adjustment));
}

// Who waits waits for as long as it is until then: a clock that jumps meanwhile makes it neither longer nor
// shorter.
Nanoseconds Simulator::when_due(Nanoseconds due) {
  return now_ + std::max<Nanoseconds>(elapsed(told(), due), 1);
}

void Simulator::launch_granted() {
  for (const Grant& grant : scheduler_->grants()) {
    for (size_t i = 0; i < clients_.size(); ++i) {
      Client& client = clients_[i];
      if (!client.present || client.tenant != grant.tenant || client.running || client.queued == 0) continue;
      if (!launch(i, grant)) continue;
      if (limits_.qos && client.turn_ns != grant.since_ns) {
        client.turn_ns = grant.since_ns;
        qos_.waited(client.tenant, now_ - client.ready_ns, told());
      }
      if (limits_.keep_waits) result_.tenants[client.report].waits_ns.push_back(now_ - client.ready_ns);
      push(now_ + client.kernel_length_ns, What::kKernelEnd, i);
    }
  }
}

bool Simulator::launch(size_t index, const Grant& grant) {
  Client& client = clients_[index];
  const uint32_t needs = client.program.spec.width_permille;
  const uint32_t fills = workload_.measured_widths ? std::min(needs, grant.width_permille) : needs;
  if (busy_width_ + fills > kWhole) return false;
  if (busy_width_ != 0) {
    client.kernel_length_ns = scaled(client.kernel_length_ns, kWhole + client.program.hurt_permille, kWhole);
  }
  client.kernel_length_ns = scaled(client.kernel_length_ns, needs, fills);
  busy_width_ += client.fills_permille = fills;
  client.running = true;
  return true;
}

Result<SimulationResult> simulate_company(uint64_t seed, const SimulationLimits& limits, MakeScheduler make) {
  Random random(seed);
  Workload workload = draw_company(random);
  return Simulator(std::move(workload), random.next(), limits, std::move(make)).run();
}

Result<SimulationResult> simulate_seed(uint64_t seed, const SimulationLimits& limits, MakeScheduler make) {
  Random random(seed);
  Workload workload = draw_workload(random);
  return Simulator(std::move(workload), random.next(), limits, std::move(make)).run();
}

}  // namespace tessera::scheduling

#include "scheduling/cluster/cluster_simulator.h"

#include <algorithm>
#include <cassert>

#include "common/strings.h"

namespace tessera::scheduling {
namespace {

constexpr uint64_t kGiB = uint64_t{1} << 30;
constexpr uint64_t kProgressEvery = 1 << 18;  // events
constexpr Nanoseconds kLongestDrainNs = 86'400 * kSecond;
constexpr Nanoseconds kLongestKernelNs = 200 * kMillisecond;

// Three in four have 80 GiB, the others 40.
std::vector<GpuShape> draw_shapes(const ClusterConfig& config) {
  std::vector<GpuShape> shapes;
  for (uint32_t i = 0; i < config.gpus; ++i) shapes.push_back({(i % 4 == 3 ? 40 : 80) * kGiB, 1});
  return shapes;
}

}  // namespace

ClusterSimulator::ClusterSimulator(const ClusterConfig& config, MakeScheduler make)
    : config_(config),
      make_(std::move(make)),
      random_(config.seed),
      shapes_(draw_shapes(config)),
      balancer_(shapes_, config.policy),
      gpus_(config.gpus) {
  const double per_second = config.load * config.gpus / (static_cast<double>(mean_work_ns()) * 1e-9);
  between_arrivals_ns_ = static_cast<Nanoseconds>(1e9 / per_second);
}

void ClusterSimulator::push(Nanoseconds at_ns, What what, uint32_t index, GpuIndex gpu, uint32_t generation) {
  events_.push({at_ns, next_number_++, what, index, gpu, generation});
}

void ClusterSimulator::push_of_job(Nanoseconds at_ns, What what, uint32_t index) {
  push(at_ns, what, index, jobs_[index].gpu, jobs_[index].generation);
}

void ClusterSimulator::break_off(const std::string& what) {
  if (result_.broken) return;
  result_.broken = str_format("at %.6f s: %s", static_cast<double>(now_) * 1e-9, what.c_str());
}

Result<ClusterResult> ClusterSimulator::run(const std::function<void(uint64_t done)>& progress) {
  for (Gpu& gpu : gpus_) {
    TESSERA_ASSIGN_OR_RETURN(gpu.scheduler, make_(config_.scheduler));
  }
  push(0, What::kArrival, 0);
  push(random_.exponential(config_.between_faults_ns), What::kFault, 0);
  push(kSecond, What::kRebalance, 0);
  while (result_.finished + result_.dropped < config_.jobs && !result_.broken) {
    const Event event = events_.top();
    events_.pop();
    now_ = event.at_ns;
    TESSERA_RETURN_IF_ERROR(handle(event));
    if (arrived_ == config_.jobs && now_ > result_.arriving_ns + kLongestDrainNs)
      break_off("jobs do not end");
    if (++result_.events % kProgressEvery == 0 && progress) progress(result_.finished + result_.dropped);
  }
  result_.elapsed_ns = now_;
  if (!result_.broken) check_end();
  const double capacity = static_cast<double>(result_.arriving_ns) * config_.gpus;
  result_.utilisation = capacity == 0 ? 0 : static_cast<double>(busy_ns_) / capacity;
  const auto finished = static_cast<double>(result_.finished);
  if (squares_ > 0) result_.jain = speeds_ * speeds_ / (finished * squares_);
  return std::move(result_);
}

Status ClusterSimulator::handle(const Event& event) {
  switch (event.what) {
    case What::kArrival:
      return arrive();
    case What::kFault:
      return strike();
    case What::kRebalance:
      return rebalance();
    case What::kReopen:
      return reopen(event.index);
    case What::kDecide:
      if (gpus_[event.index].decide_at_ns != event.at_ns) return Status();
      gpus_[event.index].decide_at_ns = kNever;
      settle(event.index);
      return Status();
    default:
      return handle_of_job(event);
  }
}

// The kernel of a job that has left its GPU stays there until it ends.
Status ClusterSimulator::handle_of_job(const Event& event) {
  if (event.what == What::kKernelEnd) {
    gpus_[event.gpu].busy = false;
    if (arrived_ < config_.jobs) busy_ns_ += gpus_[event.gpu].kernel_ns;
  }
  if (event.generation != jobs_[event.index].generation) {
    if (event.what == What::kKernelEnd) settle(event.gpu);
    return Status();
  }
  switch (event.what) {
    case What::kKernelEnd:
      return end_kernel(event.index);
    case What::kBurst:
      begin_burst(event.index);
      settle(event.gpu);
      return Status();
    case What::kJoin:
      return join(event.index);
    default:
      return admit(event.index);
  }
}

// What the GPU's scheduler decides now is done: at most one kernel is begun, for a whole GPU fits one. While
// that runs no turn can begin, as on the daemon's GPUs where the one before has not stopped: so nothing is
// decided.
void ClusterSimulator::settle(GpuIndex index) {
  Gpu& gpu = gpus_[index];
  if (gpu.busy) return;
  gpu.scheduler->decide(now_);
  ++result_.decisions;
  for (const Grant& grant : gpu.scheduler->grants()) {
    const uint32_t slot = gpu.jobs[grant.tenant];
    ClusterJob& job = jobs_[slot];
    note(uint64_t{index} << 32 | slot);
    if (gpu.busy || job.running || job.left_in_burst == 0) continue;
    gpu.busy = job.running = true;
    job.may_wait_ns = 0;
    gpu.kernel_ns = job.kernel_ns;
    result_.turn_waits.add(now_ - job.ready_ns);
    push_of_job(now_ + job.kernel_ns, What::kKernelEnd, slot);
  }
  check(index);
  const Nanoseconds next = gpu.scheduler->next_decision_ns();
  // A busy GPU looks again when its kernel ends.
  gpu.decide_at_ns = gpu.busy || next == kNever ? kNever : std::max(next, now_ + 1);
  if (gpu.decide_at_ns != kNever) push(gpu.decide_at_ns, What::kDecide, index);
}

// Turns are for jobs with work and no wider than the GPU; it does not idle beside work, and nobody starves:
// the bound follows the others' weights, so the longest that there was during the wait counts.
void ClusterSimulator::check(GpuIndex index) {
  const Gpu& gpu = gpus_[index];
  uint32_t width = 0;
  for (const Grant& grant : gpu.scheduler->grants()) {
    width += grant.width_permille;
    const uint32_t slot = gpu.jobs[grant.tenant];
    const bool works = slot != kNoJob && jobs_[slot].left_in_burst != 0;
    if (!works) return break_off(str_format("GPU %u: a turn for nobody", index));
  }
  if (width > kWhole) return break_off(str_format("GPU %u: turns of %u/1000", index, width));
  for (TenantId tenant = 0; tenant < gpu.jobs.size(); ++tenant) {
    if (gpu.jobs[tenant] == kNoJob || jobs_[gpu.jobs[tenant]].left_in_burst == 0) continue;
    if (width == 0) return break_off(str_format("GPU %u idles beside a job with work", index));
    check_wait(gpu, jobs_[gpu.jobs[tenant]], index);
  }
}

void ClusterSimulator::check_wait(const Gpu& gpu, ClusterJob& job, GpuIndex index) {
  if (job.running) return;
  const Nanoseconds turn = config_.scheduler.limits.longest_ns + kLongestKernelNs;
  const Nanoseconds bound = gpu.scheduler->starvation_bound(job.tenant) + (gpu.jobs.size() + 1) * turn;
  job.may_wait_ns = std::max(job.may_wait_ns, bound);
  const Nanoseconds waited = now_ - job.ready_ns;
  if (waited <= job.may_wait_ns) return;
  break_off(str_format("GPU %u: a job has waited for %.3f s, at most %.3f were promised", index,
                       static_cast<double>(waited) * 1e-9, static_cast<double>(job.may_wait_ns) * 1e-9));
}

// Nothing is lost, and nothing is left of what is done.
void ClusterSimulator::check_end() {
  const auto there = std::count_if(jobs_.begin(), jobs_.end(), [](const ClusterJob& job) {
    return job.state != ClusterJob::State::kGone;
  });
  if (there != 0 || !waiting_.empty() || arrived_ != config_.jobs) break_off("jobs were lost");
  for (GpuIndex gpu = 0; gpu < gpus_.size(); ++gpu) {
    const bool empty = balancer_.jobs(gpu) == 0 && balancer_.free_bytes(gpu) == shapes_[gpu].memory_bytes &&
                       balancer_.free_permille(gpu) == kWhole;
    if (!empty) return break_off(str_format("GPU %u is not empty at the end", gpu));
  }
}

}  // namespace tessera::scheduling

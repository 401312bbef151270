// What befalls GPUs of the cluster, and jobs that move.
#include <algorithm>

#include "scheduling/cluster/cluster_simulator.h"

namespace tessera::scheduling {
namespace {

constexpr uint32_t kXids[] = {48, 48, 95, 94, 79};  // uncorrectable, uncontained, contained, lost
constexpr Nanoseconds kResetNs = 60 * kSecond;      // until a lost GPU is back
constexpr Nanoseconds kBetweenRebalances = kSecond;
constexpr uint32_t kLooksPerGpus = 100;  // of the GPUs, how many of the most loaded are looked at

}  // namespace

Status ClusterSimulator::strike() {
  const auto victim = static_cast<GpuIndex>(random_.below(gpus_.size()));
  const FaultKind kind = kind_of_xid(kXids[random_.below(std::size(kXids))]);
  push(now_ + 1 + random_.exponential(config_.between_faults_ns), What::kFault, 0);
  if (!balancer_.is_open(victim)) return Status();
  Gpu& gpu = gpus_[victim];
  ++result_.gpu_faults;
  note(uint64_t{victim} << 8 | static_cast<uint64_t>(kind));
  gpu.history.fault(kind, now_, random_);
  const FaultHistory::Standing standing = gpu.history.standing(now_);
  if (!standing.quarantined) {  // only whoever ran there
    for (uint32_t index : std::vector<uint32_t>(gpu.jobs)) {
      if (index == kNoJob || !jobs_[index].running) continue;
      leave_gpu(index);
      balancer_.remove(victim, jobs_[index].needs);
      TESSERA_RETURN_IF_ERROR(fail(index, FaultKind::kTransient));
      TESSERA_RETURN_IF_ERROR(start_waiting(victim));
    }
    return Status();
  }
  balancer_.set_open(victim, false);
  const bool lost = kind == FaultKind::kDeviceLost;
  push(lost ? now_ + kResetNs : standing.not_before_ns, What::kReopen, victim);
  return evacuate(victim, lost);
}

// Those that ran there when memory failed begin anew; where the GPU is gone everything of everybody is.
Status ClusterSimulator::evacuate(GpuIndex victim, bool progress_is_lost) {
  for (uint32_t index : std::vector<uint32_t>(gpus_[victim].jobs)) {
    if (index == kNoJob) continue;
    ClusterJob& job = jobs_[index];
    if (job.running || progress_is_lost) job.left = job.kernels;
    leave_gpu(index);
    balancer_.remove(victim, job.needs);
    ++result_.restarts;
    TESSERA_RETURN_IF_ERROR(admit(index));
  }
  settle(victim);
  return Status();
}

Status ClusterSimulator::reopen(GpuIndex gpu) {
  gpus_[gpu].history.forgive();
  balancer_.set_open(gpu, true);
  return start_waiting(gpu);
}

// The most loaded GPUs each offer the job with the most work left of those that do not run just now.
Status ClusterSimulator::rebalance() {
  push(now_ + kBetweenRebalances, What::kRebalance, 0);
  if (!waiting_.empty()) return Status();  // no room to move to
  for (size_t look = 0; look <= gpus_.size() / kLooksPerGpus; ++look) {
    const auto from = balancer_.most_loaded();
    if (!from || balancer_.load(*from) <= 1) break;
    uint32_t best = kNoJob;
    for (uint32_t index : gpus_[*from].jobs) {
      if (index == kNoJob || jobs_[index].running) continue;
      if (best == kNoJob || jobs_[index].left_ns() > jobs_[best].left_ns()) best = index;
    }
    if (best == kNoJob) break;
    const ClusterJob& job = jobs_[best];
    MoveTerms terms = config_.moves;
    terms.horizon_seconds = static_cast<double>(job.left_ns()) * 1e-9 / std::max(job.needs.load, 1e-3);
    const auto to = balancer_.better_place(*from, job.needs, terms);
    if (!to) break;
    move(best, *to);
    settle(*from);
  }
  return Status();
}

void ClusterSimulator::move(uint32_t index, GpuIndex to) {
  ClusterJob& job = jobs_[index];
  note(uint64_t{to} << 32 | index);
  leave_gpu(index);
  balancer_.remove(job.gpu, job.needs);
  balancer_.place_on(to, job.needs);
  job.gpu = to;
  job.state = ClusterJob::State::kMoving;
  ++result_.moves;
  const double seconds = Balancer::move_seconds(job.needs, config_.moves);
  push_of_job(now_ + static_cast<Nanoseconds>(seconds * 1e9), What::kJoin, index);
}

}  // namespace tessera::scheduling

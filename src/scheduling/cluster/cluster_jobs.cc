// A job's life in the cluster: it arrives, is placed, works, and leaves.
#include <algorithm>
#include <cassert>

#include "scheduling/cluster/cluster_simulator.h"

namespace tessera::scheduling {
namespace {

constexpr uint32_t kXidMmuFault = 31;

}  // namespace

Status ClusterSimulator::arrive() {
  uint32_t slot;
  if (free_slots_.empty()) {
    slot = static_cast<uint32_t>(jobs_.size());
    jobs_.emplace_back();
  } else {
    slot = free_slots_.back();
    free_slots_.pop_back();
  }
  const uint32_t generation = jobs_[slot].generation + 1;
  ClusterJob& job = jobs_[slot] = draw_job(random_);
  job.generation = generation;
  job.arrived_ns = now_;
  result_.arriving_ns = now_;
  if (++arrived_ < config_.jobs) push(now_ + random_.exponential(between_arrivals_ns_), What::kArrival, 0);
  return admit(slot);
}

// Who waits already goes first.
Status ClusterSimulator::admit(uint32_t index) {
  ClusterJob& job = jobs_[index];
  const auto gpu = waiting_.empty() ? balancer_.place(job.needs) : std::nullopt;
  if (!gpu) {
    job.state = ClusterJob::State::kWaiting;
    waiting_.push_back(index);
    return Status();
  }
  job.gpu = *gpu;
  return join(index);
}

// Its room is taken already.
Status ClusterSimulator::join(uint32_t index) {
  ClusterJob& job = jobs_[index];
  if (!balancer_.is_open(job.gpu)) {  // it was closed while the job was on its way
    balancer_.remove(job.gpu, job.needs);
    return admit(index);
  }
  Gpu& gpu = gpus_[job.gpu];
  TESSERA_ASSIGN_OR_RETURN(job.tenant, gpu.scheduler->add(job.spec, now_));
  if (job.tenant >= gpu.jobs.size()) gpu.jobs.resize(job.tenant + 1, kNoJob);
  gpu.jobs[job.tenant] = index;
  job.state = ClusterJob::State::kOnGpu;
  if (!job.was_placed) result_.queue_waits.add(now_ - job.arrived_ns);
  job.was_placed = true;
  begin_burst(index);
  settle(job.gpu);
  return Status();
}

void ClusterSimulator::begin_burst(uint32_t index) {
  ClusterJob& job = jobs_[index];
  job.left_in_burst = std::min(job.kernels_per_burst, job.left);
  job.ready_ns = now_;
  gpus_[job.gpu].scheduler->wake(job.tenant, now_);
}

Status ClusterSimulator::end_kernel(uint32_t index) {
  ClusterJob& job = jobs_[index];
  const GpuIndex from = job.gpu;
  DeviceScheduler& scheduler = *gpus_[from].scheduler;
  ++result_.kernels;
  job.running = false;
  job.ready_ns = now_;
  scheduler.charge(job.tenant, job.kernel_ns, 1, now_);
  if (job.fails_one_in != 0 && random_.one_in(job.fails_one_in)) {
    leave_gpu(index);
    balancer_.remove(from, job.needs);
    job.left = job.kernels;
    TESSERA_RETURN_IF_ERROR(fail(index, kind_of_xid(kXidMmuFault)));
    return start_waiting(from);
  }
  --job.left;
  if (--job.left_in_burst == 0) {
    scheduler.sleep(job.tenant, now_);
    if (job.left == 0) {
      leave_gpu(index);
      return leave_cluster(index, from);
    }
    push_of_job(now_ + job.pause_ns + 1, What::kBurst, index);
  }
  settle(from);
  return Status();
}

void ClusterSimulator::leave_gpu(uint32_t index) {
  ClusterJob& job = jobs_[index];
  assert(job.state == ClusterJob::State::kOnGpu);
  gpus_[job.gpu].scheduler->remove(job.tenant, now_);
  gpus_[job.gpu].jobs[job.tenant] = kNoJob;
  job.running = false;
  job.left_in_burst = 0;
  job.may_wait_ns = 0;
  ++job.generation;
}

Status ClusterSimulator::leave_cluster(uint32_t index, GpuIndex from) {
  ClusterJob& job = jobs_[index];
  balancer_.remove(from, job.needs);
  ++result_.finished;
  const double speed = static_cast<double>(job.alone_ns()) / static_cast<double>(now_ - job.arrived_ns);
  speeds_ += speed;
  squares_ += speed * speed;
  job.state = ClusterJob::State::kGone;
  free_slots_.push_back(index);
  return start_waiting(from);
}

// A GPU has room that it had not before: for whoever waits first, as far as it goes.
Status ClusterSimulator::start_waiting(GpuIndex gpu) {
  while (!waiting_.empty() && balancer_.fits(gpu, jobs_[waiting_.front()].needs)) {
    const uint32_t index = waiting_.front();
    waiting_.pop_front();
    balancer_.place_on(gpu, jobs_[index].needs);
    jobs_[index].gpu = gpu;
    TESSERA_RETURN_IF_ERROR(join(index));
  }
  settle(gpu);
  return Status();
}

// It has left its GPU, and tries again as its faults so far allow.
Status ClusterSimulator::fail(uint32_t index, FaultKind kind) {
  ClusterJob& job = jobs_[index];
  job.history.fault(kind, now_, random_);
  const FaultHistory::Standing standing = job.history.standing(now_);
  note(standing.not_before_ns);
  if (standing.quarantined) {
    ++result_.dropped;
    job.state = ClusterJob::State::kGone;
    free_slots_.push_back(index);
    return Status();
  }
  ++result_.restarts;
  job.state = ClusterJob::State::kBackingOff;
  push_of_job(std::max(standing.not_before_ns, now_), What::kRetry, index);
  return Status();
}

}  // namespace tessera::scheduling

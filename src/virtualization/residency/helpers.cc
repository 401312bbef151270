#include "virtualization/residency/helpers.h"

#include <sched.h>

#include <algorithm>

#include "common/log.h"
#include "common/numa.h"
#include "virtualization/quiet_thread.h"

namespace tessera::vgpu {

unsigned Helpers::count_for_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  // More than the set has room for: many.
  if (sched_getaffinity(0, sizeof set, &set) != 0) return kMost;
  return std::clamp(static_cast<unsigned>(CPU_COUNT(&set)), 1u, kMost + 1) - 1;
}

void Helpers::start_threads() {
  while (can_start_ && started_ < most_) {
    const auto thread = start_quiet_thread("tessera-helper", &run_thread, this);
    can_start_ = thread.ok();
    if (can_start_) {
      pthread_detach(*thread);
      ++started_;
    } else {
      LOG_INFO("memory", "fewer threads copy what leaves a device: %s", thread.status().message().c_str());
    }
  }
}

Status Helpers::run(size_t parts, const Body& body) {
  Work work{Parts(parts), body};
  std::unique_lock lock(mutex_);
  if (parts > 1) {
    start_threads();
    work_ = &work;
    ++number_;
    work_came_.notify_all();
  }
  lock.unlock();
  const Status own = body(work.parts);
  lock.lock();
  work_ = nullptr;
  left_work_.wait(lock, [&] { return work.at_it == 0; });
  return own.ok() ? work.status : own;
}

void Helpers::help() {
  if (numa_node_) (void)run_on_numa_node(*numa_node_);  // Residency says why not
  uint64_t seen = 0;
  std::unique_lock lock(mutex_);
  for (;;) {
    work_came_.wait(lock, [&] { return work_ != nullptr && number_ != seen; });
    seen = number_;
    Work& work = *work_;
    ++work.at_it;
    lock.unlock();
    Status status = work.body(work.parts);
    lock.lock();
    if (work.status.ok()) work.status = std::move(status);
    if (--work.at_it == 0) left_work_.notify_all();
  }
}

void* Helpers::run_thread(void* helpers) {
  static_cast<Helpers*>(helpers)->help();
  return nullptr;
}

}  // namespace tessera::vgpu

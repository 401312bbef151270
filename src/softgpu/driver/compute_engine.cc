#include "softgpu/driver/compute_engine.h"

#include <algorithm>
#include <climits>
#include <cmath>
#include <iterator>

#include "common/clock.h"
#include "common/log.h"
#include "softgpu/driver/device_faults.h"
#include "softgpu/driver/fault.h"
#include "softgpu/driver/thread.h"

namespace tessera::softgpu {
namespace {

thread_local int processor = -1;  // of a worker, see SmPlacement
// The last that it had, and which it takes again where it can, see move_to().
thread_local uint32_t last_slot = SmSlots::kNoSlot;
constexpr int kNothingReady = INT_MAX;
constexpr int kAnything = INT_MAX;
constexpr double kAllSms = 100;  // percent

}  // namespace

ComputeEngine::ComputeEngine(DeviceFile& file, DeviceFaults& faults, const Config& config)
    : sm_count_(file.sm_count()),
      file_(file),
      faults_(faults),
      slots_(file),
      placement_(config.processors),
      best_ready_(kNothingReady),
      work_count_(static_cast<uint64_t>(file.sm_count())) {
  if (config.mps_percent < kAllSms) {
    slots_.hold_at_most(static_cast<uint32_t>(std::ceil(config.mps_percent / kAllSms * sm_count_)));
  }
}

void ComputeEngine::update_best_locked() {
  best_ready_.store(ready_.empty() ? kNothingReady : ready_.front()->priority(), std::memory_order_relaxed);
}

void ComputeEngine::enqueue(std::shared_ptr<KernelOp> kernel) {
  const int wanted = static_cast<int>(std::min<uint64_t>(kernel->blocks(), static_cast<uint64_t>(sm_count_)));
  const int priority = kernel->priority();
  int start = 0;
  bool urgent = false;
  work_count_.became_ready(kernel->blocks());
  {
    std::lock_guard lock(mutex_);
    auto place = std::find_if(ready_.begin(), ready_.end(),
                              [priority](const auto& other) { return other->priority() > priority; });
    ready_.insert(place, std::move(kernel));
    update_best_locked();
    start = std::clamp(wanted - idle_, 0, sm_count_ - workers_);
    workers_ += start;
    urgent = priority < 0 && idle_ < wanted;
  }
  for (int i = 0; i < start; ++i) start_thread("softgpu-sm", [this] { worker(); });
  work_.notify_one();
  if (urgent && start == 0) slots_.interrupt_own();
}

void ComputeEngine::drop_dead_contexts() {
  std::vector<std::shared_ptr<KernelOp>> dead;
  Residents aside;
  {
    std::lock_guard lock(mutex_);
    auto first = std::stable_partition(ready_.begin(), ready_.end(), [](const auto& kernel) {
      return kernel->context().status() == CUDA_SUCCESS;
    });
    dead.assign(std::make_move_iterator(first), std::make_move_iterator(ready_.end()));
    ready_.erase(first, ready_.end());
    update_best_locked();
    aside.swap(aside_);
    any_aside_.store(false, std::memory_order_relaxed);
  }
  for (const auto& kernel : dead) kernel->finish(kernel->cancel());
  drop_failed(aside);
  {
    std::lock_guard lock(mutex_);
    std::move(aside.begin(), aside.end(), std::back_inserter(aside_));
    any_aside_.store(!aside_.empty(), std::memory_order_relaxed);
    wake_another_locked();
    for (std::condition_variable* stalled : stalled_) stalled->notify_one();
  }
  slots_.interrupt_own();
}

bool ComputeEngine::take_locked(int than, Resident* resident, exec::Dim3* block) {
  for (;;) {
    if (ready_.empty() || (than != kAnything && ready_.front()->priority() >= than)) return false;
    const bool taken = ready_.front()->take(block);
    if (taken) resident->kernel = ready_.front();
    if (ready_.front()->exhausted()) {
      ready_.pop_front();
      update_best_locked();
    }
    if (taken) break;
  }
  wake_another_locked();
  return true;
}

void ComputeEngine::wake_another_locked() {
  if ((!ready_.empty() || !aside_.empty()) && idle_ > 0) work_.notify_one();
}

bool ComputeEngine::take(int than, Resident* resident) {
  exec::Dim3 block;
  {
    std::lock_guard lock(mutex_);
    if (!take_locked(than, resident, &block)) return false;
  }
  resident->block = exec::BlockRun::create(resident->kernel->launch(), block);
  return true;
}

bool ComputeEngine::take_any(Resident* resident) {
  if (any_aside_.load(std::memory_order_relaxed)) {
    std::lock_guard lock(mutex_);
    const bool urgent =
        !ready_.empty() && !aside_.empty() && ready_.front()->priority() < aside_.front().kernel->priority();
    if (!aside_.empty() && !urgent) {
      *resident = std::move(aside_.front());
      aside_.pop_front();
      any_aside_.store(!aside_.empty(), std::memory_order_relaxed);
      wake_another_locked();
      return true;
    }
  }
  return take(kAnything, resident);
}

// What is new goes first, then what the worker has besides, then what was set aside: each gets its turn.
void ComputeEngine::rotate(Residents& residents) {
  Resident next;
  exec::Dim3 block;
  bool begins = false;
  {
    std::lock_guard lock(mutex_);
    const size_t most = kMostAside * static_cast<size_t>(sm_count_);
    begins = aside_.size() < most && take_locked(kAnything, &next, &block);
    if (!begins && residents.size() == 1 && aside_.empty()) return;
    aside_.push_back(std::move(residents.front()));
    residents.pop_front();
    if (!begins && residents.empty()) {
      residents.push_front(std::move(aside_.front()));
      aside_.pop_front();
    }
    any_aside_.store(true, std::memory_order_relaxed);
    wake_another_locked();
  }
  if (!begins) return;
  next.block = exec::BlockRun::create(next.kernel->launch(), block);
  residents.push_front(std::move(next));
}

// A worker that waits keeps what it has begun; only a failed context's blocks are dropped meanwhile.
void ComputeEngine::worker() {
  Residents residents;
  std::optional<uint32_t> slot;
  for (;;) {
    if (!settle_slot(residents, slot)) {
      drop_failed(residents);
      continue;
    }
    Resident next;
    const bool taken =
        residents.empty() ? take_any(&next) : take(residents.front().kernel->priority(), &next);
    if (taken) residents.push_front(std::move(next));
    if (!residents.empty()) run_front(residents, &*slot);
  }
}

// On the way to another's processor a worker would meet that one's, and the two would run there one after the
// other: so each keeps to its slot. Where slots share processors the first ones are on different ones, and so
// the better choice.
void ComputeEngine::move_to(uint32_t slot) const {
  placement_.move_to(slot, processor);
  if (placement_.is_enough_for(sm_count_)) last_slot = slot;
}

bool ComputeEngine::settle_slot(const Residents& residents, std::optional<uint32_t>& slot) {
  const bool nothing = residents.empty() && best_ready_.load(std::memory_order_relaxed) == kNothingReady &&
                       !any_aside_.load(std::memory_order_relaxed);
  if (nothing || suspended_.load()) {
    give_up(slot);
    std::unique_lock lock(mutex_);
    if (residents.empty()) {
      wait_for_work(lock);
    } else {
      wait_for_resume(residents, lock);
    }
    if (suspended_.load()) return false;
  }
  if (!slot) {
    slot = slots_.acquire(last_slot);
    move_to(*slot);
    std::lock_guard lock(mutex_);
    ++holding_;
  }
  // Looked at with the slot in hand: whoever suspends later finds it and stops what runs there.
  return !suspended_.load();
}

void ComputeEngine::wait_for_work(std::unique_lock<std::mutex>& lock) {
  ++idle_;
  work_.wait(lock, [this] { return !suspended_.load() && (!ready_.empty() || !aside_.empty()); });
  --idle_;
}

void ComputeEngine::wait_for_resume(const Residents& residents, std::unique_lock<std::mutex>& lock) {
  std::condition_variable resumed;
  stalled_.push_back(&resumed);
  resumed.wait(lock, [&] {
    return !suspended_.load() ||
           std::any_of(residents.begin(), residents.end(), [](const Resident& resident) {
             return resident.kernel->context().status() != CUDA_SUCCESS;
           });
  });
  stalled_.erase(std::find(stalled_.begin(), stalled_.end(), &resumed));
}

void ComputeEngine::give_up(std::optional<uint32_t>& slot) {
  if (!slot) return;
  slots_.release(*slot);
  slot.reset();
  std::lock_guard lock(mutex_);
  if (--holding_ == 0) quiet_.notify_all();
}

void ComputeEngine::drop_failed(Residents& residents) {
  auto failed = std::stable_partition(residents.begin(), residents.end(), [](const Resident& resident) {
    return resident.kernel->context().status() == CUDA_SUCCESS;
  });
  std::vector<std::shared_ptr<KernelOp>> kernels;
  for (auto resident = failed; resident != residents.end(); ++resident) kernels.push_back(resident->kernel);
  residents.erase(failed, residents.end());
  for (const auto& kernel : kernels) kernel->finish(1 + kernel->cancel());
}

bool ComputeEngine::suspend(std::chrono::milliseconds timeout) {
  std::unique_lock lock(mutex_);
  suspended_.store(true);
  work_count_.pause(true);
  lock.unlock();
  slots_.park(true);
  slots_.interrupt_own();
  lock.lock();
  return quiet_.wait_for(lock, timeout, [this] { return holding_ == 0; });
}

void ComputeEngine::resume() {
  std::lock_guard lock(mutex_);
  if (!suspended_.exchange(false)) return;
  work_count_.pause(false);
  slots_.park(false);
  for (std::condition_variable* stalled : stalled_) stalled->notify_one();
  wake_another_locked();
}

void ComputeEngine::run_front(Residents& residents, uint32_t* slot) {
  Resident& front = residents.front();
  slots_.work(*slot);
  auto outcome = exec::Outcome::kFinished;
  Context& context = front.kernel->context();
  if (context.status() == CUDA_SUCCESS && faults_.admit_kernel(context)) outcome = run_block(front, *slot);
  // Suspended, it gives the slot up without waiting for another one.
  if (slots_.stop(*slot).load(std::memory_order_relaxed) && !suspended_.load()) {
    *slot = slots_.yield(*slot);
    move_to(*slot);
  }

  if (outcome == exec::Outcome::kPreempted) return;
  if (outcome == exec::Outcome::kSpinning) {
    rotate(residents);
    return;
  }
  const std::shared_ptr<KernelOp> kernel = front.kernel;
  if (outcome == exec::Outcome::kFaulted) report_fault(front);
  exec::Dim3 block;
  if (kernel->context().status() != CUDA_SUCCESS) {
    residents.pop_front();
    kernel->finish(1 + kernel->cancel());
  } else if (!ready_more_urgent(kernel->priority()) && kernel->take(&block)) {
    front.block->reset(block);
    kernel->finish(1);
  } else {
    residents.pop_front();
    if (residents.empty()) slots_.rest(*slot, monotonic_ns());
    kernel->finish(1);
  }
}

exec::Outcome ComputeEngine::run_block(const Resident& resident, uint32_t slot) {
  if (!faults_.slow()) return resident.block->run(slots_.stop(slot), slot);
  const uint64_t begin = monotonic_ns();
  const exec::Outcome outcome = resident.block->run(slots_.stop(slot), slot);
  faults_.slow_down(resident.kernel->context(), monotonic_ns() - begin);
  return outcome;
}

void ComputeEngine::report_fault(const Resident& resident) {
  const exec::Fault& fault = resident.block->fault();
  Context& context = resident.kernel->context();
  const CUresult error = result_of_fault(fault.kind);
  if (fault.kind == exec::FaultKind::kIllegalAddress &&
      faults_.strike(context, fault.address, fault.address + 1)) {
    return;
  }
  if (context.status() == CUDA_SUCCESS) {
    file_.report_xid(xid_of_fault(fault.kind));
    const std::string text = describe_fault(resident.kernel->launch().kernel->info().name, fault);
    LOG_ERROR("kernel", "%s", text.c_str());
    dump_core(context.coredump_settings(), text);
  }
  context.poison(error);
}

}  // namespace tessera::softgpu

// Runs the blocks of ready kernels on worker threads, one for each slot that the device may give this
// process.
//
// A worker takes blocks from the most urgent ready kernel, oldest first; when that one has no more blocks,
// from the next: kernels of different streams overlap. A block that spins is set aside for another one, so
// that whatever it waits for gets its turn; what is set aside is for any worker, so that no SM idles while
// two blocks take turns on another. A block that is stopped, because its slot is wanted by another process or
// its worker for something more urgent, stays with its worker and goes on later.
//
// Workers are woken one by one, each by the one before: woken at once, they are often put on one processor,
// and stay there for some milliseconds while another idles. Those that were suspended in the midst of blocks
// go on at once: each is on the processor of the slot that it had, and takes that one again.
//
// While the process is suspended on the device its workers give their slots up, and keep what they have
// begun.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "softgpu/device/sm_slot.h"
#include "softgpu/driver/kernel_op.h"
#include "softgpu/driver/sm_placement.h"
#include "softgpu/driver/work_count.h"

namespace tessera::softgpu {

class DeviceFaults;

class ComputeEngine {
 public:
  ComputeEngine(DeviceFile& file, DeviceFaults& faults, const Config& config);

  void enqueue(std::shared_ptr<KernelOp> kernel);
  // Drops the work of contexts that have failed or are being destroyed: what is queued at once, what runs at
  // its next stop.
  void drop_dead_contexts();
  // Stops what runs; it goes on when it has been looked at.
  void interrupt() { slots_.interrupt_own(); }

  // Until resume() nothing of this process runs on the device. False where something still runs after
  // `timeout`; it stops as it gets there.
  bool suspend(std::chrono::milliseconds timeout);
  void resume();
  // To some of the device's SMs.
  void confine(const IndexSet& sms) { slots_.confine(sms); }

  WorkCount& work() { return work_count_; }
  uint64_t active_ns() { return slots_.active_ns(); }

 private:
  // Blocks set aside, at most, for each SM; beyond it spinning blocks only take turns among themselves.
  static constexpr size_t kMostAside = 128;

  struct Resident {
    std::shared_ptr<KernelOp> kernel;
    std::unique_ptr<exec::BlockRun> block;
  };
  using Residents = std::deque<Resident>;

  void worker();
  // Takes a slot, or gives it up; true where the worker may go on.
  bool settle_slot(const Residents& residents, std::optional<uint32_t>& slot);
  void move_to(uint32_t slot) const;
  void give_up(std::optional<uint32_t>& slot);
  static void drop_failed(Residents& residents);
  void wait_for_work(std::unique_lock<std::mutex>& lock);
  void wait_for_resume(const Residents& residents, std::unique_lock<std::mutex>& lock);
  // Runs the first block for a while; what came of it decides about the order of the others.
  void run_front(Residents& residents, uint32_t* slot);
  // The first block of the most urgent ready kernel, if that is more urgent than `than`.
  bool take(int than, Resident* resident);
  bool take_locked(int than, Resident* resident, exec::Dim3* block);
  // For a worker that has none: one that was set aside, or as above.
  bool take_any(Resident* resident);
  // The first one is set aside for another, where there is one.
  void rotate(Residents& residents);
  void wake_another_locked();
  bool ready_more_urgent(int than) const { return best_ready_.load(std::memory_order_relaxed) < than; }
  exec::Outcome run_block(const Resident& resident, uint32_t slot);
  void report_fault(const Resident& resident);
  void update_best_locked();

  const int sm_count_;
  DeviceFile& file_;
  DeviceFaults& faults_;
  SmSlots slots_;
  const SmPlacement placement_;
  std::atomic<int> best_ready_;  // priority of the most urgent ready kernel
  std::mutex mutex_;
  std::condition_variable work_;
  std::deque<std::condition_variable*> stalled_;  // workers that are suspended in the midst of blocks
  std::deque<std::shared_ptr<KernelOp>> ready_;   // most urgent first, then oldest
  Residents aside_;                               // that spin, oldest first
  std::atomic<bool> any_aside_{false};
  int workers_ = 0;
  int idle_ = 0;
  int holding_ = 0;                     // workers with a slot
  std::condition_variable quiet_;       // holding_ fell to 0
  std::atomic<bool> suspended_{false};  // set under the mutex
  WorkCount work_count_;
};

}  // namespace tessera::softgpu

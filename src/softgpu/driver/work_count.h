// How many kernels of this process a device has before it, and has behind it.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>

#include "common/clock.h"
#include "cuda/run_times.h"
#include "softgpu/driver/run_clock.h"
#include "softgpu/driver/sm_demand.h"

namespace tessera::softgpu {

class WorkCount {
 public:
  using Drained = void (*)(void* argument);

  explicit WorkCount(uint64_t sm_count) : demand_(sm_count) {}

  // A launch waits while so many are pending, as on a card, whose queues are bounded as well.
  static constexpr uint32_t kMostPending = 16 * 1024;
  void await_room() {
    if (pending_.load() < kMostPending) return;
    std::unique_lock lock(mutex_);
    waiting_.fetch_add(1);
    room_.wait(lock, [this] { return pending_.load() < kMostPending / 2; });
    waiting_.fetch_sub(1);
  }

  void launched() { pending_.fetch_add(1, std::memory_order_relaxed); }
  // A launched kernel ended without having become ready.
  void dropped() { end_one(); }
  void became_ready(uint64_t blocks) {
    ready_.fetch_add(1, std::memory_order_relaxed);
    demand_.add(blocks, monotonic_ns());
  }
  // `began`: its first block, by clock(); 0: none was ever begun.
  void finished(uint64_t blocks, uint64_t began) {
    const uint64_t now_ns = monotonic_ns();
    demand_.remove(blocks, now_ns);
    if (began != 0) run_times_.add(std::max(clock_.at(now_ns), began) - began);
    ready_.fetch_sub(1, std::memory_order_relaxed);
    finished_.fetch_add(1, std::memory_order_relaxed);
    end_one();
  }
  // To be called when nothing is pending any more. Once.
  void watch(Drained drained, void* argument) {
    argument_ = argument;
    drained_.store(drained, std::memory_order_release);
  }

  uint32_t pending() const { return pending_.load(std::memory_order_acquire); }
  uint32_t ready() const { return ready_.load(std::memory_order_acquire); }
  uint64_t finished_count() const { return finished_.load(std::memory_order_acquire); }
  SmDemand& demand() { return demand_; }
  // Where the process is suspended on the device, and where it goes on.
  void pause(bool paused) {
    const uint64_t now_ns = monotonic_ns();
    demand_.pause(paused, now_ns);
    paused ? clock_.stop(now_ns) : clock_.go_on(now_ns);
  }
  const RunClock& clock() const { return clock_; }
  const cuda::RunTimes& run_times() const { return run_times_; }

 private:
  void end_one() {
    const uint32_t before = pending_.fetch_sub(1);
    if (waiting_.load() != 0 && before == kMostPending / 2) {
      std::lock_guard lock(mutex_);
      room_.notify_all();
    }
    if (before != 1) return;
    if (const Drained drained = drained_.load(std::memory_order_acquire)) drained(argument_);
  }

  std::atomic<uint32_t> pending_{0};
  std::atomic<uint32_t> ready_{0};
  std::atomic<uint64_t> finished_{0};
  SmDemand demand_;
  RunClock clock_;
  cuda::RunTimes run_times_;
  std::atomic<Drained> drained_{nullptr};
  void* argument_ = nullptr;  // written before drained_
  std::mutex mutex_;
  std::condition_variable room_;
  std::atomic<uint32_t> waiting_{0};
};

}  // namespace tessera::softgpu

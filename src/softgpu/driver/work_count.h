// How many kernels of this process a device has before it, and has behind it.
#pragma once

#include <atomic>
#include <cstdint>

namespace tessera::softgpu {

class WorkCount {
 public:
  using Drained = void (*)(void* argument);

  void launched() { pending_.fetch_add(1, std::memory_order_relaxed); }
  // A launched kernel ended without having become ready.
  void dropped() { end_one(); }
  void became_ready() { ready_.fetch_add(1, std::memory_order_relaxed); }
  void finished() {
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

 private:
  void end_one() {
    if (pending_.fetch_sub(1, std::memory_order_relaxed) != 1) return;
    if (const Drained drained = drained_.load(std::memory_order_acquire)) drained(argument_);
  }

  std::atomic<uint32_t> pending_{0};
  std::atomic<uint32_t> ready_{0};
  std::atomic<uint64_t> finished_{0};
  std::atomic<Drained> drained_{nullptr};
  void* argument_ = nullptr;  // written before drained_
};

}  // namespace tessera::softgpu

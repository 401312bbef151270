// How many SMs the kernels of a process could fill, over time: the sum over ready kernels of the blocks that
// each was launched with, at most the device's SMs. Pure.
//
// It is a demand, not a use. Counting the SMs that were held would say of a process that is confined to one,
// or waits for others, that it needs no more; blocks that wait for an SM want one. A kernel counts whole
// until its last block ends, so what this says is rather too wide than too narrow.
//
// Time in which the process is paused counts for nothing: nobody runs then, and all would look as wide as
// they are long.
#pragma once

#include <algorithm>
#include <cstdint>
#include <mutex>

namespace tessera::softgpu {

class SmDemand {
 public:
  explicit SmDemand(uint64_t sm_count) : sm_count_(sm_count) {}

  // A kernel of so many blocks is ready, or has ended. Times are of one clock that all threads read; one that
  // is behind another's counts as that.
  void add(uint64_t blocks, uint64_t now_ns) {
    std::lock_guard lock(mutex_);
    advance_locked(now_ns);
    blocks_ += blocks;
  }
  void remove(uint64_t blocks, uint64_t now_ns) {
    std::lock_guard lock(mutex_);
    advance_locked(now_ns);
    blocks_ -= blocks;
  }
  void pause(bool paused, uint64_t now_ns) {
    std::lock_guard lock(mutex_);
    advance_locked(now_ns);
    paused_ = paused;
  }

  struct Figures {
    uint64_t ready_ns = 0;     // with a kernel ready
    uint64_t ready_sm_ns = 0;  // in it, SM-time that could have been filled
  };
  Figures figures(uint64_t now_ns) {
    std::lock_guard lock(mutex_);
    advance_locked(now_ns);
    return figures_;
  }

 private:
  void advance_locked(uint64_t now_ns) {
    if (now_ns <= at_ns_) return;
    if (blocks_ != 0 && !paused_) {
      figures_.ready_ns += now_ns - at_ns_;
      figures_.ready_sm_ns += (now_ns - at_ns_) * std::min(blocks_, sm_count_);
    }
    at_ns_ = now_ns;
  }

  const uint64_t sm_count_;
  std::mutex mutex_;
  uint64_t blocks_ = 0;  // of ready kernels
  bool paused_ = false;
  uint64_t at_ns_ = 0;
  Figures figures_;
};

}  // namespace tessera::softgpu

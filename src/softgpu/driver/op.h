// One piece of asynchronous work: a kernel, a copy, a host function, the recording of an event.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

namespace tessera::softgpu {

class Op {
 public:
  Op() = default;
  virtual ~Op() = default;
  Op(const Op&) = delete;
  Op& operator=(const Op&) = delete;

  // Everything before it is finished: hand the work to what does it, which then calls op_graph::finish once.
  // Called without locks, from any thread; must not block.
  virtual void start(const std::shared_ptr<Op>& self) = 0;

  bool done() const { return done_.load(std::memory_order_acquire) != 0; }
  // Sleeps until done (after a short spin: most waits are short).
  void wait() const;
  // When it finished, CLOCK_MONOTONIC; valid once done.
  uint64_t finished_ns() const { return finished_ns_; }

 private:
  friend class OpGraph;
  std::atomic<uint32_t> done_{0};
  uint64_t finished_ns_ = 0;
  uint32_t pending_ = 0;                         // unfinished predecessors; under the graph's lock
  std::vector<std::shared_ptr<Op>> successors_;  // under the graph's lock
};
using OpRef = std::shared_ptr<Op>;

}  // namespace tessera::softgpu

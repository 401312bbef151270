// A launched kernel: its blocks are taken one by one by the workers of the device. A cluster counts as one
// block here: one worker runs it whole.
#pragma once

#include <atomic>
#include <memory>

#include "softgpu/driver/context.h"
#include "softgpu/driver/op.h"
#include "softgpu/exec/executor.h"

namespace tessera::softgpu {

class GridFamily;

struct GridLaunch {
  exec::Launch launch;
  bool cooperative = false;
};

// Where the blocks of a cooperative grid meet; kernels can touch it while it lives.
class GridWorkspace {
 public:
  explicit GridWorkspace(AddressMap& addresses);
  ~GridWorkspace();
  GridWorkspace(const GridWorkspace&) = delete;
  GridWorkspace& operator=(const GridWorkspace&) = delete;
  uint64_t address() const { return reinterpret_cast<uintptr_t>(words_); }

 private:
  AddressMap& addresses_;
  alignas(64) uint32_t words_[16] = {};
};

class KernelOp : public Op, public std::enable_shared_from_this<KernelOp> {
 public:
  // `depth`: how many grids launched each other down to this one.
  KernelOp(std::shared_ptr<Context> context, GridLaunch work, int priority, uint32_t depth = 0);
  ~KernelOp() override;
  void start(const std::shared_ptr<Op>& self) override;

  Context& context() const { return *context_; }
  const exec::Launch& launch() const { return launch_; }
  int priority() const { return priority_; }  // smaller is more urgent
  uint32_t depth() const { return depth_; }
  // What its blocks launch; null for a kernel that launches nothing.
  GridFamily* family() const { return family_.get(); }
  uint64_t blocks() const { return blocks_; }

  // The next block that nobody has taken, of a cluster the first; false where there is none.
  bool take(exec::Dim3* block);
  bool exhausted() const { return next_.load(std::memory_order_relaxed) >= blocks_; }
  // More that has to be finished before the grid is; only while something of it is not.
  void add_work(uint64_t count) { unfinished_.fetch_add(count, std::memory_order_relaxed); }
  // So many of its blocks, or of what they launched, are finished. The last one ends the grid.
  void finish(uint64_t count);
  // Takes all blocks that are left; how many.
  uint64_t cancel();

 protected:
  // Tells whoever waits for the grid; once.
  virtual void end();

 private:
  const std::shared_ptr<Context> context_;
  const std::unique_ptr<GridFamily> family_;
  const std::unique_ptr<const GridWorkspace> workspace_;  // of a cooperative launch
  const exec::Launch launch_;
  const int priority_;
  const uint32_t depth_;
  const uint64_t blocks_;
  bool ended_ = false;
  std::atomic<uint64_t> next_{0};
  std::atomic<uint64_t> began_{0};  // see WorkCount::finished
  std::atomic<uint64_t> unfinished_;
};

}  // namespace tessera::softgpu

#include "softgpu/driver/kernel_op.h"

#include <algorithm>
#include <cassert>

#include "common/clock.h"
#include "softgpu/driver/compute_engine.h"
#include "softgpu/driver/device.h"
#include "softgpu/driver/grid_family.h"
#include "softgpu/driver/op_graph.h"

namespace tessera::softgpu {
namespace {

exec::Dim3 clusters_of(const exec::Launch& launch) {
  const exec::Dim3 &grid = launch.grid, &cluster = launch.cluster;
  return {grid.x / cluster.x, grid.y / cluster.y, grid.z / cluster.z};
}

}  // namespace

GridWorkspace::GridWorkspace(AddressMap& addresses) : addresses_(addresses) {
  const Status status = addresses_.insert({address(), address() + sizeof(words_), true});
  assert(status.ok());
}

GridWorkspace::~GridWorkspace() {
  const Status status = addresses_.erase(address());
  assert(status.ok());
}

namespace {

exec::Launch complete(exec::Launch launch, GridFamily* family, const GridWorkspace* workspace) {
  launch.runtime = family;
  if (workspace != nullptr) launch.grid_workspace = workspace->address();
  return launch;
}

}  // namespace

KernelOp::KernelOp(std::shared_ptr<Context> context, GridLaunch work, int priority, uint32_t depth)
    : context_(std::move(context)),
      family_(work.launch.kernel->info().launches_grids ? std::make_unique<GridFamily>(*this) : nullptr),
      workspace_(work.cooperative ? std::make_unique<GridWorkspace>(context_->device().addresses())
                                  : nullptr),
      launch_(complete(std::move(work.launch), family_.get(), workspace_.get())),
      priority_(priority),
      depth_(depth),
      blocks_(clusters_of(launch_).count()),
      unfinished_(blocks_) {
  context_->device().compute().work().launched();
}

KernelOp::~KernelOp() {
  if (!ended_) context_->device().compute().work().dropped();  // never started, or its context had failed
}

void KernelOp::start(const std::shared_ptr<Op>& self) {
  if (context_->status() != CUDA_SUCCESS) {
    OpGraph::instance().finish(self);
    return;
  }
  context_->device().compute().enqueue(std::static_pointer_cast<KernelOp>(self));
}

bool KernelOp::take(exec::Dim3* block) {
  if (exhausted()) return false;
  const uint64_t index = next_.fetch_add(1, std::memory_order_relaxed);
  if (index >= blocks_) return false;
  if (index == 0) {
    began_.store(context_->device().compute().work().clock().at(monotonic_ns()), std::memory_order_relaxed);
  }
  const exec::Dim3 clusters = clusters_of(launch_);
  const exec::Dim3& size = launch_.cluster;
  block->x = static_cast<uint32_t>(index % clusters.x) * size.x;
  block->y = static_cast<uint32_t>(index / clusters.x % clusters.y) * size.y;
  block->z = static_cast<uint32_t>(index / clusters.x / clusters.y) * size.z;
  return true;
}

// Acquire and release: whoever finishes the last block sees what all of them wrote.
void KernelOp::finish(uint64_t count) {
  if (count == 0 || unfinished_.fetch_sub(count, std::memory_order_acq_rel) != count) return;
  if (family_ != nullptr && family_->begin_tail()) return;
  ended_ = true;
  context_->device().compute().work().finished(blocks_, began_.load(std::memory_order_relaxed));
  end();
}

void KernelOp::end() { OpGraph::instance().finish(shared_from_this()); }

uint64_t KernelOp::cancel() {
  const uint64_t taken = next_.exchange(blocks_, std::memory_order_relaxed);
  return blocks_ - std::min(taken, blocks_);
}

}  // namespace tessera::softgpu

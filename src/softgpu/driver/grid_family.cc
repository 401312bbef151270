#include "softgpu/driver/grid_family.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "softgpu/device/version.h"
#include "softgpu/driver/compute_engine.h"
#include "softgpu/driver/device.h"
#include "softgpu/driver/device_facts.h"
#include "softgpu/driver/launch.h"

namespace tessera::softgpu {
namespace {

// cudaStream_t as device code has them (cuda_device_runtime_api.h, driver_types.h).
constexpr uint64_t kBlockStream = 0, kTailLaunch = 3, kFireAndForget = 4, kFirstMade = 16;
// Values of cudaError_t.
constexpr uint32_t kSuccess = 0, kInvalidValue = 1, kLaunchMaxDepthExceeded = 65,
                   kLaunchPendingCountExceeded = 69, kInvalidDevice = 101, kInvalidDeviceFunction = 98,
                   kInvalidResourceHandle = 400;
constexpr uint32_t kNonBlocking = 1;  // the one kind of stream that kernels can make
// CUDA C++ Programming Guide, "Dynamic Parallelism": the deepest nesting.
constexpr uint32_t kMaxDepth = 24;

std::atomic<uint64_t> next_stream{kFirstMade};

}  // namespace

// A grid that a grid launched.
class GridFamily::Child final : public KernelOp {
 public:
  Child(std::shared_ptr<KernelOp> parent, GridLaunch work, Key key)
      : KernelOp(parent->context().shared_from_this(), std::move(work), parent->priority(),
                 parent->depth() + 1),
        parent_(std::move(parent)),
        key_(key) {}

 private:
  void end() override { parent_->family()->finished(key_); }

  const std::shared_ptr<KernelOp> parent_;
  const Key key_;
};

GridFamily::GridFamily(KernelOp& parent) : parent_(parent) {}

GridFamily::~GridFamily() {
  for (const auto& [buffer, prepared] : prepared_) parent_.context().launch_buffers().free(buffer);
}

uint32_t GridFamily::parameter_buffer(uint64_t function, const exec::Dim3& grid, const exec::Dim3& block,
                                      uint32_t dynamic_shared_bytes, uint64_t* buffer) {
  auto kernel = parent_.launch().kernel->kernel_at(function);
  if (!kernel.ok()) return kInvalidDeviceFunction;
  LaunchRequest request;
  request.grid = grid;
  request.block = block;
  request.dynamic_shared_bytes = dynamic_shared_bytes;
  request.by_kernel = true;
  GridLaunch work;
  const CUresult result = prepare_child(parent_.context(), *kernel, request, &work);
  if (result != CUDA_SUCCESS) return static_cast<uint32_t>(result);
  if (parent_.depth() >= kMaxDepth) return kLaunchMaxDepthExceeded;
  const uint64_t bytes = std::max<uint64_t>((*kernel)->info().parameter_bytes, 1);
  const uint64_t place = parent_.context().launch_buffers().allocate(bytes);
  if (place == 0) return kLaunchPendingCountExceeded;
  std::lock_guard lock(mutex_);
  prepared_[place] = std::move(work);
  *buffer = place;
  return kSuccess;
}

uint32_t GridFamily::launch(uint64_t buffer, uint64_t stream, uint64_t thread_block) {
  GridLaunch work;
  {
    std::lock_guard lock(mutex_);
    const auto found = prepared_.find(buffer);
    if (found == prepared_.end()) return kInvalidValue;
    work = std::move(found->second);
    prepared_.erase(found);
  }
  Context& context = parent_.context();
  auto& parameters = work.launch.parameters;
  parameters.resize(work.launch.kernel->info().parameter_bytes);
  if (!parameters.empty())
    memcpy(parameters.data(), reinterpret_cast<const void*>(buffer), parameters.size());
  context.launch_buffers().free(buffer);
  return submit(stream, thread_block, [&](Key key) -> Work {
    auto child = std::make_shared<Child>(parent_.shared_from_this(), std::move(work), key);
    return [child] { child->context().device().compute().enqueue(child); };
  });
}

uint32_t GridFamily::copy(uint64_t to, uint64_t from, uint64_t bytes, uint64_t stream,
                          uint64_t thread_block) {
  const AddressMap& memory = *parent_.launch().memory;
  const AddressRange target = memory.find(to);
  if (bytes != 0 &&
      (!target.contains(to, bytes) || !target.writable || !memory.find(from).contains(from, bytes)))
    return kInvalidValue;
  return submit(stream, thread_block, [&](Key key) -> Work {
    return [=, parent = parent_.shared_from_this()] {
      if (bytes != 0) memmove(reinterpret_cast<void*>(to), reinterpret_cast<const void*>(from), bytes);
      parent->family()->finished(key);
    };
  });
}

uint32_t GridFamily::fill(uint64_t to, uint8_t value, uint64_t bytes, uint64_t stream,
                          uint64_t thread_block) {
  const AddressRange target = parent_.launch().memory->find(to);
  if (bytes != 0 && (!target.contains(to, bytes) || !target.writable)) return kInvalidValue;
  return submit(stream, thread_block, [&](Key key) -> Work {
    return [=, parent = parent_.shared_from_this()] {
      if (bytes != 0) memset(reinterpret_cast<void*>(to), value, bytes);
      parent->family()->finished(key);
    };
  });
}

bool GridFamily::known(uint64_t stream) {
  std::lock_guard lock(mutex_);
  return stream == kBlockStream || stream == kTailLaunch || stream == kFireAndForget ||
         made_.contains(stream);
}

// While a block of the grid runs, the grid cannot finish: what it launches is counted in time.
uint32_t GridFamily::submit(uint64_t stream, uint64_t thread_block, const std::function<Work(Key)>& make) {
  if (!known(stream)) return kInvalidResourceHandle;
  if (!parent_.context().count_pending(1)) return kLaunchPendingCountExceeded;
  const Key key{stream, stream == kBlockStream ? thread_block : 0};
  Work work = make(key);
  if (stream == kTailLaunch) {
    std::lock_guard lock(mutex_);
    tail_.push_back(std::move(work));
    return kSuccess;
  }
  parent_.add_work(1);
  if (stream != kFireAndForget) {
    std::lock_guard lock(mutex_);
    auto& queue = streams_[key];
    queue.push_back(work);
    if (queue.size() != 1) return kSuccess;  // another one is running
  }
  work();
  return kSuccess;
}

void GridFamily::finished(Key key) {
  if (key.first != kTailLaunch && key.first != kFireAndForget) {
    Work next;
    {
      std::lock_guard lock(mutex_);
      auto& queue = streams_[key];
      queue.pop_front();
      if (!queue.empty()) next = queue.front();
    }
    if (next) next();
  }
  parent_.context().count_pending(-1);
  parent_.finish(1);
}

bool GridFamily::begin_tail() {
  Work work;
  {
    std::lock_guard lock(mutex_);
    if (tail_.empty()) return false;
    work = std::move(tail_.front());
    tail_.pop_front();
  }
  parent_.add_work(1);
  work();
  return true;
}

uint32_t GridFamily::create_stream(uint32_t flags, uint64_t* stream) {
  if (flags != kNonBlocking) return kInvalidValue;
  std::lock_guard lock(mutex_);
  *stream = next_stream.fetch_add(1, std::memory_order_relaxed);
  made_.insert(*stream);
  return kSuccess;
}

// What is in it goes on.
uint32_t GridFamily::destroy_stream(uint64_t stream) {
  std::lock_guard lock(mutex_);
  return made_.erase(stream) != 0 ? kSuccess : kInvalidResourceHandle;
}

uint32_t GridFamily::attribute(int32_t attribute, int32_t device, int32_t* value) {
  if (device != this->device()) return kInvalidDevice;
  const auto found =
      device_attribute(static_cast<CUdevice_attribute>(attribute), facts_of(parent_.context().device()));
  if (!found) return kInvalidValue;
  *value = *found;
  return kSuccess;
}

int32_t GridFamily::runtime_version() { return kDriverVersion; }

int32_t GridFamily::device() { return parent_.context().device().ordinal(); }

}  // namespace tessera::softgpu

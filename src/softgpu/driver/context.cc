#include "softgpu/driver/context.h"

#include <algorithm>
#include <cstdio>

#include "softgpu/driver/array.h"
#include "softgpu/driver/compute_engine.h"
#include "softgpu/driver/current.h"
#include "softgpu/driver/device.h"
#include "softgpu/driver/event.h"
#include "softgpu/driver/graph/capture.h"
#include "softgpu/driver/handle_registry.h"
#include "softgpu/driver/memory.h"
#include "softgpu/driver/memory_pool.h"
#include "softgpu/driver/module.h"
#include "softgpu/driver/stream.h"
#include "softgpu/driver/surface.h"
#include "softgpu/driver/texture.h"
#include "softgpu/driver/texture_reference.h"
#include "softgpu/driver/visibility.h"

namespace tessera::softgpu {
namespace {

std::atomic<uint64_t> next_context_id{1};
constexpr size_t kSmallestHeapBytes = 1u << 20;
constexpr size_t kLaunchBufferBytes = 1u << 10;  // for each launch that may be pending; most need less
constexpr size_t kMaxStackBytes = 512u << 10;    // local memory per thread of every model

}  // namespace

Context::Context(Device& device, bool primary, unsigned flags)
    : device_(device),
      primary_(primary),
      handle_(next_handle()),
      id_(next_context_id.fetch_add(1)),
      flags_(flags),
      status_(CUDA_ERROR_CONTEXT_IS_DESTROYED) {
  services_.print = [this](std::string text) { output_.append(std::move(text)); };
  services_.heap_allocate = [this](uint64_t bytes) { return heap_.allocate(bytes); };
  services_.heap_free = [this](uint64_t address) { return heap_.free(address); };
  services_.assert_failed = [](std::string text) { fprintf(stderr, "%s\n", text.c_str()); };
}

std::shared_ptr<Context> Context::create(Device& device, bool primary, unsigned flags) {
  std::shared_ptr<Context> context(new Context(device, primary, flags));
  live<Context>().add(context->handle_, context);
  return context;
}

void Context::activate() {
  auto legacy = std::make_shared<Stream>(shared_from_this(), OpQueue::Kind::kLegacy, CU_STREAM_DEFAULT, 0);
  {
    std::lock_guard lock(mutex_);
    legacy_ = std::move(legacy);
    limits_ = ContextLimits();
    coredump_ = global_coredump_settings();
    if ((flags() & CU_CTX_COREDUMP_ENABLE) != 0) coredump_.on_exception = true;
  }
  device_.count_contexts(1);
  status_.store(CUDA_SUCCESS, std::memory_order_release);
}

void Context::poison(CUresult error) {
  CUresult expected = CUDA_SUCCESS;
  if (status_.compare_exchange_strong(expected, error)) device_.compute().drop_dead_contexts();
}

CUresult Context::synchronize() {
  for (const OpRef& op : OpGraph::instance().unfinished(order_)) op->wait();
  flush_output();
  return status();
}

void Context::teardown() {
  abandon_captures(*this);
  synchronize();
  if (status_.exchange(CUDA_ERROR_CONTEXT_IS_DESTROYED) == CUDA_ERROR_CONTEXT_IS_DESTROYED) return;
  synchronize();  // what was submitted in between is dropped
  std::vector<std::function<void()>> actions;
  std::unordered_map<uint64_t, std::shared_ptr<Stream>> per_thread;
  std::shared_ptr<Stream> legacy;
  {
    std::lock_guard lock(mutex_);
    actions.swap(teardown_actions_);
    per_thread.swap(per_thread_);
    legacy.swap(legacy_);
  }
  for (const auto& action : actions) action();
  auto ours = [this](const auto& object) { return &object.context() == this; };
  live<Stream>().remove_if(ours);
  live<Event>().remove_if(ours);
  live<Array>().remove_if(ours);
  live<MipmappedArray>().remove_if(ours);
  live<SurfaceObject>().remove_if(ours);
  live<TextureObject>().remove_if(ours);
  for (const auto& module : live<Module>().remove_if(ours)) module->unload();
  live<TextureReference>().remove_if(ours);
  per_thread.clear();
  legacy.reset();
  OpGraph::instance().forget_finished(order_);
  forget_peers(*this);
  heap_.forget();
  launch_buffers_.forget();
  wait_for_foreign_uses();
  free_context_memory(*this);
  id_.store(next_context_id.fetch_add(1), std::memory_order_relaxed);
  device_.count_contexts(-1);
}

std::shared_ptr<Stream> Context::legacy_stream() {
  std::lock_guard lock(mutex_);
  return legacy_;
}

std::shared_ptr<Stream> Context::per_thread_stream() {
  std::lock_guard lock(mutex_);
  if (!legacy_) return nullptr;
  std::shared_ptr<Stream>& stream = per_thread_[thread_number()];
  if (!stream)
    stream = std::make_shared<Stream>(shared_from_this(), OpQueue::Kind::kBlocking, CU_STREAM_DEFAULT, 0);
  return stream;
}

void Context::at_teardown(std::function<void()> action) {
  std::lock_guard lock(mutex_);
  teardown_actions_.push_back(std::move(action));
}

CUresult Context::provide_for(const exec::KernelInfo& kernel) {
  if (kernel.uses_heap) {
    // CUDA C++ Programming Guide, "Heap Memory Allocation": what a load answers where the heap does not fit.
    if (heap_.reserve(*this, limits().heap_bytes) != CUDA_SUCCESS)
      return CUDA_ERROR_SHARED_OBJECT_INIT_FAILED;
  }
  if (kernel.launches_grids) {
    const size_t bytes = limits().pending_launches * kLaunchBufferBytes;
    if (launch_buffers_.reserve(*this, bytes) != CUDA_SUCCESS) return CUDA_ERROR_SHARED_OBJECT_INIT_FAILED;
  }
  return CUDA_SUCCESS;
}

CoredumpSettings Context::coredump_settings() const {
  std::lock_guard lock(mutex_);
  return coredump_;
}

void Context::set_coredump_settings(const CoredumpSettings& settings) {
  std::lock_guard lock(mutex_);
  coredump_ = settings;
}

bool Context::count_pending(int change) {
  const int64_t before = pending_.fetch_add(change, std::memory_order_relaxed);
  if (change < 0 || static_cast<uint64_t>(before) < limits().pending_launches) return true;
  pending_.fetch_sub(change, std::memory_order_relaxed);
  return false;
}

ContextLimits Context::limits() const {
  std::lock_guard lock(mutex_);
  return limits_;
}

CUresult Context::get_limit(CUlimit limit, size_t* value) const {
  std::lock_guard lock(mutex_);
  switch (limit) {
    case CU_LIMIT_STACK_SIZE:
      *value = limits_.stack_bytes;
      return CUDA_SUCCESS;
    case CU_LIMIT_PRINTF_FIFO_SIZE:
      *value = limits_.print_fifo_bytes;
      return CUDA_SUCCESS;
    case CU_LIMIT_MALLOC_HEAP_SIZE:
      *value = limits_.heap_bytes;
      return CUDA_SUCCESS;
    case CU_LIMIT_DEV_RUNTIME_SYNC_DEPTH:
      *value = limits_.sync_depth;
      return CUDA_SUCCESS;
    case CU_LIMIT_DEV_RUNTIME_PENDING_LAUNCH_COUNT:
      *value = limits_.pending_launches;
      return CUDA_SUCCESS;
    case CU_LIMIT_MAX_L2_FETCH_GRANULARITY:
      *value = limits_.l2_fetch_granularity;
      return CUDA_SUCCESS;
    case CU_LIMIT_PERSISTING_L2_CACHE_SIZE:
      *value = 0;
      return CUDA_SUCCESS;
    default:
      return limit >= CU_LIMIT_MAX ? CUDA_ERROR_INVALID_VALUE : CUDA_ERROR_UNSUPPORTED_LIMIT;
  }
}

CUresult Context::set_limit(CUlimit limit, size_t value) {
  std::lock_guard lock(mutex_);
  switch (limit) {
    case CU_LIMIT_STACK_SIZE:
      if (value > kMaxStackBytes) return CUDA_ERROR_INVALID_VALUE;
      limits_.stack_bytes = value;
      return CUDA_SUCCESS;
    case CU_LIMIT_PRINTF_FIFO_SIZE:
      limits_.print_fifo_bytes = value;
      output_.set_capacity(value);
      return CUDA_SUCCESS;
    case CU_LIMIT_MALLOC_HEAP_SIZE:
      // Only before a kernel that uses it has been loaded, as CUDA has it.
      if (heap_.reserved()) return CUDA_ERROR_INVALID_VALUE;
      limits_.heap_bytes = std::max(value, kSmallestHeapBytes);
      return CUDA_SUCCESS;
    case CU_LIMIT_DEV_RUNTIME_SYNC_DEPTH:
      limits_.sync_depth = value;
      return CUDA_SUCCESS;
    case CU_LIMIT_DEV_RUNTIME_PENDING_LAUNCH_COUNT:
      limits_.pending_launches = value;
      return CUDA_SUCCESS;
    case CU_LIMIT_MAX_L2_FETCH_GRANULARITY:
      if (value > 128) return CUDA_ERROR_INVALID_VALUE;
      limits_.l2_fetch_granularity = value;
      return CUDA_SUCCESS;
    default:
      return limit >= CU_LIMIT_MAX ? CUDA_ERROR_INVALID_VALUE : CUDA_ERROR_UNSUPPORTED_LIMIT;
  }
}

}  // namespace tessera::softgpu

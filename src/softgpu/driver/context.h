// A CUDA context: what belongs together, fails together and is destroyed together.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "cuda/abi.h"
#include "softgpu/driver/coredump.h"
#include "softgpu/driver/device_heap.h"
#include "softgpu/driver/op_graph.h"
#include "softgpu/driver/print_fifo.h"
#include "softgpu/exec/executor.h"

namespace tessera::softgpu {

class Device;
class Event;
class Module;
class Stream;

struct ContextLimits {
  size_t stack_bytes = 1024;
  size_t print_fifo_bytes = 1u << 20;
  size_t heap_bytes = 8u << 20;
  size_t sync_depth = 2;
  size_t pending_launches = 2048;
  size_t l2_fetch_granularity = 64;
};

class Context : public std::enable_shared_from_this<Context> {
 public:
  // Made by create(); a primary context is inactive until activate().
  static std::shared_ptr<Context> create(Device& device, bool primary, unsigned flags);
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  CUcontext handle() const { return reinterpret_cast<CUcontext>(handle_); }
  // Another one after each teardown.
  uint64_t id() const { return id_.load(std::memory_order_relaxed); }
  Device& device() const { return device_; }
  bool is_primary() const { return primary_; }
  unsigned flags() const { return flags_.load(std::memory_order_relaxed); }
  void set_flags(unsigned flags) { flags_.store(flags, std::memory_order_relaxed); }

  // CUDA_SUCCESS, or what every call in this context answers: the sticky error,
  // CUDA_ERROR_CONTEXT_IS_DESTROYED.
  CUresult status() const { return status_.load(std::memory_order_acquire); }
  // The first error wins and stays until the context is destroyed or reset. Work that has not begun is
  // dropped.
  void poison(CUresult error);

  // Those who share it by cuCtxAttach, its creator included. detach(): whether nobody is left.
  void attach() { users_.fetch_add(1, std::memory_order_relaxed); }
  bool detach() { return users_.fetch_sub(1, std::memory_order_relaxed) == 1; }

  // Life. teardown() cancels what runs, waits until nothing of this context does, frees everything it owns.
  void activate();
  void teardown();

  CUresult get_limit(CUlimit limit, size_t* value) const;
  CUresult set_limit(CUlimit limit, size_t value);
  ContextLimits limits() const;
  CoredumpSettings coredump_settings() const;
  void set_coredump_settings(const CoredumpSettings& settings);
  // Before a kernel can run: takes the device memory that what it calls stands on.
  CUresult provide_for(const exec::KernelInfo& kernel);
  // Parameters of what kernels are about to launch.
  DeviceHeap& launch_buffers() { return launch_buffers_; }
  // Counts what kernels have launched and what of it is finished; false where CUDA's limit allows no more.
  bool count_pending(int change);

  OrderGroup& order() { return order_; }
  std::shared_ptr<Stream> legacy_stream();
  // The default stream of the calling thread.
  std::shared_ptr<Stream> per_thread_stream();

  // Waits for all work submitted so far, then prints what kernels wrote. The sticky error, if there is one.
  CUresult synchronize();
  // Prints what kernels wrote so far; called at every point of synchronisation.
  void flush_output() { output_.flush(); }
  const exec::DeviceServices& services() const { return services_; }

  // Runs when the context is torn down, before its memory goes; each once.
  void at_teardown(std::function<void()> action);

 private:
  Context(Device& device, bool primary, unsigned flags);

  Device& device_;
  const bool primary_;
  const uintptr_t handle_;
  std::atomic<uint64_t> id_;
  std::atomic<unsigned> flags_;
  std::atomic<CUresult> status_;
  std::atomic<int> users_{1};
  OrderGroup order_;
  PrintFifo output_;
  DeviceHeap heap_;
  DeviceHeap launch_buffers_;
  std::atomic<int64_t> pending_{0};
  exec::DeviceServices services_;

  mutable std::mutex mutex_;  // the members below
  ContextLimits limits_;
  CoredumpSettings coredump_;
  std::shared_ptr<Stream> legacy_;
  std::unordered_map<uint64_t, std::shared_ptr<Stream>> per_thread_;  // by a number of the thread
  std::vector<std::function<void()>> teardown_actions_;
};

}  // namespace tessera::softgpu

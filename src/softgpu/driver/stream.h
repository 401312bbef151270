// CUDA streams: a place in the order of work.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>

#include "cuda/abi.h"
#include "softgpu/driver/context.h"
#include "softgpu/driver/op_graph.h"
#include "softgpu/driver/stream_attributes.h"

namespace tessera::softgpu {

struct StreamCapture;

class Stream {
 public:
  Stream(std::shared_ptr<Context> context, OpQueue::Kind kind, unsigned flags, int priority);

  CUstream handle() const { return reinterpret_cast<CUstream>(handle_); }
  uint64_t id() const { return id_; }
  Context& context() const { return *context_; }
  std::shared_ptr<Context> context_ref() const { return context_; }
  unsigned flags() const { return flags_; }
  // Of what is submitted from now on.
  int priority() const { return priority_.load(std::memory_order_relaxed); }
  void set_priority(int priority) { priority_.store(priority, std::memory_order_relaxed); }
  StreamHints hints() const;
  void set_hints(const StreamHints& hints);
  OpQueue& queue() { return queue_; }
  bool legacy() const { return queue_.kind() == OpQueue::Kind::kLegacy; }
  // The capture it is part of, null where there is none. Under graph_mutex().
  const std::shared_ptr<StreamCapture>& capture() const { return capture_; }
  void set_capture(std::shared_ptr<StreamCapture> capture) { capture_ = std::move(capture); }

  void submit(const OpRef& op, std::span<const OpRef> after = {}) {
    OpGraph::instance().submit(queue_, op, after);
  }
  bool idle() { return OpGraph::instance().unfinished(queue_).empty(); }
  // Waits for the work submitted so far, then prints what kernels wrote. The context's sticky error, if any.
  CUresult synchronize();

 private:
  const std::shared_ptr<Context> context_;
  const uintptr_t handle_;
  const uint64_t id_;
  const unsigned flags_;
  std::atomic<int> priority_;
  mutable std::mutex hints_mutex_;
  StreamHints hints_;
  OpQueue queue_;
  std::shared_ptr<StreamCapture> capture_;
};

// Priorities run from 0, the least urgent, to this.
constexpr int kGreatestPriority = -5;

// The stream a program's handle means in the current context: 0 by the entry's suffix, the two default
// streams by name, or one that was created. CUDA_ERROR_INVALID_HANDLE for anything else; the context's error
// where it is not usable.
CUresult stream_of(CUstream handle, std::shared_ptr<Stream>* stream);

}  // namespace tessera::softgpu

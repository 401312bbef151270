// CUDA events: the moment a point in a stream is reached.
#pragma once

#include <memory>
#include <mutex>

#include "cuda/abi.h"
#include "softgpu/driver/context.h"
#include "softgpu/driver/op_graph.h"

namespace tessera::softgpu {

class InterprocessEvent;
class Stream;
struct StreamCapture;

class Event {
 public:
  // `shared`: where other processes know it too.
  Event(std::shared_ptr<Context> context, unsigned flags,
        std::shared_ptr<InterprocessEvent> shared = nullptr);

  CUevent handle() const { return reinterpret_cast<CUevent>(handle_); }
  Context& context() const { return *context_; }
  bool timed() const { return (flags_ & CU_EVENT_DISABLE_TIMING) == 0; }

  // Replaces what was recorded before; waits that were asked for before keep meaning that.
  void record(Stream& stream);
  // Means this operation from now on; the caller submits it.
  OpRef begin_recording();
  // Means a point of a capture from now on, until it is recorded again.
  void set_captured(std::shared_ptr<StreamCapture> point);
  std::shared_ptr<StreamCapture> captured() const;
  // Null where it cannot be exported: it is of this process alone, or another one's.
  const InterprocessEvent* exportable() const {
    return (flags_ & CU_EVENT_INTERPROCESS) != 0 ? shared_.get() : nullptr;
  }
  // What has to finish; null where the event was never recorded, or has finished.
  OpRef recorded() const;

 private:
  const std::shared_ptr<Context> context_;
  const uintptr_t handle_;
  const unsigned flags_;
  const std::shared_ptr<InterprocessEvent> shared_;
  mutable std::mutex mutex_;
  OpRef recorded_;
  std::shared_ptr<StreamCapture> captured_;
};

// CUDA_ERROR_INVALID_HANDLE where there is none of that handle; the error of its context where that has
// failed.
CUresult event_of(CUevent handle, std::shared_ptr<Event>* event);

}  // namespace tessera::softgpu

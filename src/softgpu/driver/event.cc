#include "softgpu/driver/event.h"

#include "softgpu/driver/current.h"
#include "softgpu/driver/handle_registry.h"
#include "softgpu/driver/interprocess_event.h"
#include "softgpu/driver/state.h"
#include "softgpu/driver/stream.h"

namespace tessera::softgpu {

Event::Event(std::shared_ptr<Context> context, unsigned flags, std::shared_ptr<InterprocessEvent> shared)
    : context_(std::move(context)), handle_(next_handle()), flags_(flags), shared_(std::move(shared)) {}

// Begun before it is submitted: whoever waits for the event from now on means this recording.
void Event::record(Stream& stream) { stream.submit(begin_recording()); }

OpRef Event::begin_recording() {
  std::lock_guard lock(mutex_);
  captured_.reset();
  if (shared_) return shared_->begin();
  recorded_ = std::make_shared<MarkerOp>();
  return recorded_;
}

void Event::set_captured(std::shared_ptr<StreamCapture> point) {
  std::lock_guard lock(mutex_);
  captured_ = std::move(point);
}

std::shared_ptr<StreamCapture> Event::captured() const {
  std::lock_guard lock(mutex_);
  return captured_;
}

OpRef Event::recorded() const {
  if (shared_) return shared_->newest();
  std::lock_guard lock(mutex_);
  return recorded_;
}

CUresult event_of(CUevent handle, std::shared_ptr<Event>* event) {
  CUresult result = require_initialised_outside_callback();
  if (result != CUDA_SUCCESS) return result;
  *event = live<Event>().find(handle);
  if (!*event) return CUDA_ERROR_INVALID_HANDLE;
  return (*event)->context().status();
}

}  // namespace tessera::softgpu

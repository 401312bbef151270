// What the event meter keeps of streams and contexts, and how it calls the driver in the program's threads.
#pragma once

#include <atomic>
#include <optional>
#include <vector>

#include "virtualization/current_context.h"
#include "virtualization/gate/busy_time.h"
#include "virtualization/gate/event_meter.h"

namespace tessera::vgpu {

struct EventMeter::Context {
  CUcontext handle;
  CUevent base = nullptr;  // the zero of this context's times
  uint64_t base_at_ns = 0;
  BusyTime busy;
  std::vector<CUevent> free_events;

  void give_back(CUevent event) {
    if (event != nullptr) free_events.push_back(event);
  }
};

struct EventMeter::Stream {
  CUstream handle;
  uint64_t thread;  // of the per-thread stream
  Context* context;
  bool ended = false;
  uint32_t entered = 0;           // launches; those that have not left are on their way to the driver
  std::atomic<uint32_t> left{0};  // may be changed without the lock
  uint32_t marks = 0;             // in flight
  uint64_t marked_at_ns = 0;      // when the last measured launch began
  uint32_t passed = 0;            // launches since, not measured
  uint64_t passed_ns = 0;         // what they are expected to take
  uint64_t passed_at_ns = 0;      // the last of them
  std::optional<uint64_t> last_end_ns;
  uint64_t blocked_in = 0;  // the pass in which its first mark was seen

  bool is_empty() const { return entered == left.load(std::memory_order_acquire); }
  bool is_per_thread() const { return handle == CU_STREAM_PER_THREAD; }
  bool is_legacy() const { return handle == CU_STREAM_LEGACY; }
};

// While a stream is being captured, calls that would end the capture are ours, not the program's.
class RelaxedCapture {
 public:
  RelaxedCapture(const cuda::DriverTable& driver, bool capturing)
      : exchange_(capturing ? driver.cuThreadExchangeStreamCaptureMode : nullptr) {
    if (exchange_ != nullptr) (void)exchange_(&mode_);
  }
  ~RelaxedCapture() {
    if (exchange_ != nullptr) (void)exchange_(&mode_);
  }
  RelaxedCapture(const RelaxedCapture&) = delete;
  RelaxedCapture& operator=(const RelaxedCapture&) = delete;

 private:
  CUresult (*exchange_)(CUstreamCaptureMode*);
  CUstreamCaptureMode mode_ = CU_STREAM_CAPTURE_MODE_RELAXED;
};

}  // namespace tessera::vgpu

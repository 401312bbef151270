// The meter of a driver that neither measures nor holds up kernels, as NVIDIA's: CUDA events around launches
// say how long they ran, and launches are let through so that little is in flight.
//
// Not each launch is measured. Events go around the first of a burst, one of a kind that was not measured
// yet, and whenever 50 us of the host's time or of expected GPU time have gone by in a stream; what passes
// between takes as long as its kind took, and no longer than from the end of one measured launch to the start
// of the next. A measured launch costs two calls of cuEventRecord, another one a look at the clock.
//
// The last launches of a burst, which no event follows, are looked for by whoever asks for work(): an event
// is put behind them, or, where the stream is found to be empty, they are taken to have run.
//
// Events are recorded where the program launches, so they order nothing that the launch does not order; never
// in a stream that is being captured, and never in the per-thread stream of another thread.
//
// Locks: `mutex_` alone; the driver is called under it, so that a stream cannot end in between.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "common/stepped_clock.h"
#include "virtualization/gate/kernel_lengths.h"
#include "virtualization/gate/meter.h"

namespace tessera::vgpu {

class EventMeter : public Meter {
 public:
  static constexpr uint64_t kUnbounded = UINT64_MAX;
  // In a window up to this what was never measured is let in alone.
  static constexpr uint64_t kUnknownGoesAloneNs = 5'000'000;
  static constexpr size_t kMaxMarks = 256;  // measured launches in flight; more are not measured
  static constexpr size_t kMaxStreams = 4096;

  // `clock`: a monotonic one.
  EventMeter(const cuda::DriverTable& driver, SteppedClock clock);
  ~EventMeter() override;

  cuda::DeviceWork work() override;
  cuda::DeviceRunTimes run_times() override { return run_times_.read(); }
  bool suspend(unsigned int timeout_ms) override;  // waits until what was let through has run
  void resume() override {}
  void confine(const IndexSet&) override {}
  void watch(void (*drained)(void* argument), void* argument) override;
  Looks looks() const override { return {250'000, 250'000}; }

  struct Stream;
  struct Ticket {
    Stream* stream = nullptr;  // null: the launch is nobody's concern
    const void* what = nullptr;
    uint64_t expected_ns = 0;
    CUevent start = nullptr, end = nullptr;  // where it is measured
  };
  // Before a launch of `what` (a function or graph) in `stream`, on the calling thread, in its context. Empty
  // where with it more than `window_ns` of expected GPU time would be in flight; one launch always may be.
  std::optional<Ticket> enter(CUstream stream, const void* what, uint64_t window_ns);
  // After it; `taken` by the driver.
  void leave(const Ticket& ticket, bool taken);
  // Whether launches there only become part of a graph.
  bool is_capturing(CUstream stream);
  uint64_t finished();

  // Before the program's own calls.
  void stream_ends(CUstream stream);
  void context_ends(CUcontext context);
  void capture_begins();
  void capture_ended();

 private:
  struct Context;
  struct Mark {
    Stream* stream;
    CUevent start;  // null: only an end, behind launches that were not measured
    CUevent end;
    const void* what;
    uint64_t expected_ns;
    uint32_t passed;  // launches before it that were not measured
    uint64_t passed_ns;
  };

  bool has_room(uint64_t expected_ns, uint64_t window_ns) const;
  bool begin_measure(Stream& stream, Ticket& ticket, uint64_t now);
  void untake(Stream& stream, const Ticket& ticket);
  void push_mark(Stream& stream, const Ticket& measured);
  void reap(uint64_t now);
  void complete(const Mark& mark);
  void retire(const Mark& mark);
  void retire_tail(Stream& stream);
  void finish(uint32_t finished, uint32_t launches, uint64_t expected_ns);
  uint32_t count_running();
  uint64_t busy_so_far(uint64_t now, bool running);
  void follow_tails(uint64_t now, uint64_t age_ns);
  void follow_tail(Stream& stream);

  Stream* find_stream(CUstream handle);
  Stream* add_stream(CUstream handle, CUcontext context, uint64_t thread);
  template <typename Which>
  void drop_idle_streams(Which which);
  Context& context_of(CUcontext handle);
  void end_events(CUcontext handle);
  CUevent take_event(Context& context);
  void set_base(Context& context, CUstream stream, uint64_t now);
  std::optional<uint64_t> time_of(const Context& context, CUevent event) const;

  const cuda::DriverTable& driver_;
  void (*drained_)(void*) = nullptr;
  void* drained_argument_ = nullptr;

  std::mutex mutex_;
  SteppedClock clock_;
  std::vector<std::unique_ptr<Stream>> streams_;
  Stream* last_stream_ = nullptr;
  std::vector<std::unique_ptr<Context>> contexts_;
  std::deque<Mark> marks_;  // in the order of their launches
  KernelLengths lengths_;
  cuda::RunTimes run_times_;
  std::atomic<uint32_t> captures_{0};  // changed under the lock
  uint64_t reaped_at_ns_ = 0;
  uint64_t pass_ = 0;       // over the marks
  uint64_t in_flight_ = 0;  // launches let through and not known to have run
  uint64_t expected_ns_ = 0;
  uint64_t busy_ns_ = 0;
  uint64_t finished_ = 0;
  uint64_t running_since_ns_ = 0;  // by looks at it; 0: nothing ran at the last
  uint64_t running_after_ = 0;     // what had finished then
  uint64_t told_busy_ns_ = 0;
};

// Null where the driver lacks something that it needs.
std::unique_ptr<EventMeter> make_event_meter(const cuda::DriverTable& driver, SteppedClock clock);

}  // namespace tessera::vgpu

#include "virtualization/gate/event_meter.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "virtualization/gate/event_stream.h"

namespace tessera::vgpu {
namespace {

constexpr uint64_t kMicrosecond = 1'000;
// Between measured launches of a stream, of the host's time and of expected GPU time. cuEventRecord takes
// about a microsecond.
constexpr uint64_t kMeasureEveryNs = 50 * kMicrosecond;
constexpr uint64_t kReapEveryNs = 20 * kMicrosecond;
// After which launches that nothing follows are taken to be the last of their burst.
constexpr uint64_t kTailAgeNs = 200 * kMicrosecond;
// Times are told in milliseconds as a float, whose grain is 64 ns after a second and 64 us after a quarter of
// an hour; a new zero is set where the device rests.
constexpr uint64_t kNewBaseAfterNs = 1'000'000 * kMicrosecond;
constexpr auto kDrainLook = std::chrono::microseconds(50);

uint64_t this_thread() { return static_cast<uint64_t>(pthread_self()); }

}  // namespace

EventMeter::EventMeter(const cuda::DriverTable& driver, SteppedClock clock)
    : driver_(driver), clock_(clock) {}

EventMeter::~EventMeter() = default;

void EventMeter::watch(void (*drained)(void*), void* argument) {
  std::lock_guard lock(mutex_);
  drained_ = drained;
  drained_argument_ = argument;
}

// --- Launches

std::optional<EventMeter::Ticket> EventMeter::enter(CUstream handle, const void* what, uint64_t window_ns) {
  std::lock_guard lock(mutex_);
  RelaxedCapture relaxed(driver_, captures_ != 0);
  Stream* stream = find_stream(handle);
  if (stream == nullptr) return Ticket{};
  const uint64_t now = clock_.now_ns();
  if (now - reaped_at_ns_ >= kReapEveryNs) reap(now);
  Ticket ticket{stream, what, lengths_.of(what)};
  if (!has_room(ticket.expected_ns, window_ns)) {
    reap(now);
    if (!has_room(ticket.expected_ns, window_ns)) {
      follow_tails(now, 0);
      return std::nullopt;
    }
  }
  const bool due = ticket.expected_ns == 0 || stream->is_per_thread() ||
                   stream->passed_ns + ticket.expected_ns >= kMeasureEveryNs ||
                   now - stream->marked_at_ns >= kMeasureEveryNs;
  if (!due || marks_.size() >= kMaxMarks || !begin_measure(*stream, ticket, now)) {
    ++stream->passed;
    stream->passed_ns += ticket.expected_ns;
    stream->passed_at_ns = now;
  }
  ++stream->entered;
  ++in_flight_;
  expected_ns_ += ticket.expected_ns;
  return ticket;
}

// What was never measured may be of any length: in a turn it goes alone.
bool EventMeter::has_room(uint64_t expected_ns, uint64_t window_ns) const {
  if (window_ns == kUnbounded || in_flight_ == 0) return true;
  if (expected_ns == 0 && window_ns <= kUnknownGoesAloneNs) return false;
  return expected_ns_ + expected_ns <= window_ns;
}

bool EventMeter::begin_measure(Stream& stream, Ticket& ticket, uint64_t now) {
  Context& context = *stream.context;
  if (context.base == nullptr || (in_flight_ == 0 && now - context.base_at_ns >= kNewBaseAfterNs)) {
    set_base(context, stream.handle, now);
  }
  if (context.base == nullptr) return false;
  CUevent start = take_event(context), end = take_event(context);
  if (start == nullptr || end == nullptr || driver_.cuEventRecord(start, stream.handle) != CUDA_SUCCESS) {
    context.give_back(start);
    context.give_back(end);
    return false;
  }
  ticket.start = start;
  ticket.end = end;
  stream.marked_at_ns = now;
  return true;
}

void EventMeter::leave(const Ticket& ticket, bool taken) {
  Stream* stream = ticket.stream;
  if (stream == nullptr) return;
  if (taken && ticket.end == nullptr) {
    stream->left.fetch_add(1, std::memory_order_release);
    return;
  }
  std::lock_guard lock(mutex_);
  RelaxedCapture relaxed(driver_, captures_ != 0);
  if (ticket.end == nullptr) {
    untake(*stream, ticket);
  } else if (taken && driver_.cuEventRecord(ticket.end, stream->handle) == CUDA_SUCCESS) {
    push_mark(*stream, ticket);
  } else {
    stream->context->give_back(ticket.start);
    stream->context->give_back(ticket.end);
    finish(taken ? 1 : 0, 1, ticket.expected_ns);
  }
  stream->left.fetch_add(1, std::memory_order_release);
}

// Where a mark has taken it along already, it is counted with the others: one launch too many, of a program
// whose launches fail.
void EventMeter::untake(Stream& stream, const Ticket& ticket) {
  if (stream.passed == 0) return;
  --stream.passed;
  stream.passed_ns -= std::min(stream.passed_ns, ticket.expected_ns);
  finish(0, 1, ticket.expected_ns);
}

void EventMeter::push_mark(Stream& stream, const Ticket& measured) {
  marks_.push_back({&stream, measured.start, measured.end, measured.what, measured.expected_ns, stream.passed,
                    stream.passed_ns});
  ++stream.marks;
  stream.passed = 0;
  stream.passed_ns = 0;
}

// --- What has run

cuda::DeviceWork EventMeter::work() {
  std::lock_guard lock(mutex_);
  RelaxedCapture relaxed(driver_, captures_ != 0);
  const uint64_t now = clock_.now_ns();
  reap(now);
  follow_tails(now, kTailAgeNs);
  const uint32_t running = count_running();
  cuda::DeviceWork work{};  // how wide it is no event tells
  work.busy_ns = busy_so_far(now, running != 0);
  work.finished = finished_;
  work.ready = running;
  work.pending = static_cast<uint32_t>(std::min<uint64_t>(in_flight_, UINT32_MAX));
  return work;
}

uint64_t EventMeter::finished() {
  std::lock_guard lock(mutex_);
  return finished_;
}

bool EventMeter::suspend(unsigned int timeout_ms) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  for (;;) {
    {
      std::lock_guard lock(mutex_);
      RelaxedCapture relaxed(driver_, captures_ != 0);
      const uint64_t now = clock_.now_ns();
      reap(now);
      follow_tails(now, 0);
      if (in_flight_ == 0) return true;
    }
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(kDrainLook);
  }
}

// Streams are independent of each other; within one nothing overtakes.
void EventMeter::reap(uint64_t now) {
  reaped_at_ns_ = now;
  ++pass_;
  std::erase_if(marks_, [&](Mark& mark) {
    if (mark.stream->blocked_in == pass_) return false;
    if (driver_.cuEventQuery(mark.end) == CUDA_ERROR_NOT_READY) {
      mark.stream->blocked_in = pass_;
      return false;
    }
    complete(mark);
    return true;
  });
}

// With what has run since the last look that found an end of something, or none running: the time of a long
// kernel shows while it runs. It is told by the host's clock, and what was told is not taken back.
uint64_t EventMeter::busy_so_far(uint64_t now, bool running) {
  if (!running || finished_ != running_after_) {
    running_since_ns_ = running ? now : 0;
    running_after_ = finished_;
  } else if (running_since_ns_ == 0) {
    running_since_ns_ = now;
  }
  const uint64_t going_ns = running_since_ns_ != 0 ? now - running_since_ns_ : 0;
  return told_busy_ns_ = std::max(told_busy_ns_, busy_ns_ + going_ns);
}

// An event that failed has no time: the launches are over all the same.
void EventMeter::complete(const Mark& mark) {
  Stream& stream = *mark.stream;
  Context& context = *stream.context;
  const auto start = mark.start != nullptr ? time_of(context, mark.start) : std::nullopt;
  const auto end = time_of(context, mark.end);
  if (start && end) {
    busy_ns_ += context.busy.add(*start, *end);
    const uint64_t length_ns = *end - std::min(*start, *end);
    lengths_.measured(mark.what, length_ns);
    run_times_.add(length_ns);
  }
  if (const auto until = mark.start != nullptr ? start : end) {
    const uint64_t gap_ns = stream.last_end_ns ? *until - std::min(*until, *stream.last_end_ns) : *until;
    busy_ns_ += context.busy.add(*until - std::min(gap_ns, mark.passed_ns), *until);
  }
  if (end) stream.last_end_ns = end;
  retire(mark);
}

// Its launches are over, whether their time is known or not.
void EventMeter::retire(const Mark& mark) {
  --mark.stream->marks;
  mark.stream->context->give_back(mark.start);
  mark.stream->context->give_back(mark.end);
  const uint32_t launches = mark.passed + (mark.start != nullptr ? 1 : 0);
  finish(launches, launches, mark.expected_ns + mark.passed_ns);
}

void EventMeter::retire_tail(Stream& stream) {
  finish(stream.passed, stream.passed, stream.passed_ns);
  stream.passed = 0;
  stream.passed_ns = 0;
}

void EventMeter::finish(uint32_t finished, uint32_t launches, uint64_t expected_ns) {
  finished_ += finished;
  const bool drained = in_flight_ != 0 && in_flight_ <= launches;
  in_flight_ -= std::min<uint64_t>(in_flight_, launches);
  expected_ns_ -= std::min(expected_ns_, expected_ns);
  if (in_flight_ == 0) expected_ns_ = 0;
  if (drained && drained_ != nullptr) drained_(drained_argument_);
}

uint32_t EventMeter::count_running() {
  uint32_t running = 0;
  ++pass_;
  for (const Mark& mark : marks_) {
    if (mark.stream->blocked_in == pass_) continue;
    mark.stream->blocked_in = pass_;
    const bool begun = mark.start == nullptr || driver_.cuEventQuery(mark.start) != CUDA_ERROR_NOT_READY;
    if (begun || mark.passed != 0) ++running;
  }
  for (const auto& stream : streams_) {
    if (stream->blocked_in != pass_ && (stream->passed != 0 || !stream->is_empty())) ++running;
  }
  return running;
}

void EventMeter::follow_tails(uint64_t now, uint64_t age_ns) {
  if (captures_ != 0) return;  // to ask a captured stream anything ends its capture
  for (const auto& stream : streams_) {
    if (stream->passed != 0 && now - stream->passed_at_ns >= age_ns && stream->is_empty()) {
      follow_tail(*stream);
    }
  }
}

// The legacy stream's own order would reach into others: there it is only asked.
void EventMeter::follow_tail(Stream& stream) {
  CUresult state = CUDA_SUCCESS;
  if (!stream.is_per_thread()) {
    Current current(driver_, stream.context->handle);
    state = driver_.cuStreamQuery(stream.handle);
    if (state == CUDA_ERROR_NOT_READY) {
      if (stream.is_legacy()) return;
      CUevent end = take_event(*stream.context);
      if (end != nullptr && driver_.cuEventRecord(end, stream.handle) == CUDA_SUCCESS) {
        return push_mark(stream, {&stream, nullptr, 0, nullptr, end});
      }
      stream.context->give_back(end);
      return;
    }
  }
  busy_ns_ +=
      std::min(stream.passed_ns,
               stream.passed_at_ns - std::min(stream.passed_at_ns, stream.marked_at_ns) + kMeasureEveryNs);
  retire_tail(stream);
}

// --- Streams and contexts

EventMeter::Stream* EventMeter::find_stream(CUstream handle) {
  const bool special = handle == CU_STREAM_LEGACY || handle == CU_STREAM_PER_THREAD;
  CUcontext context = nullptr;
  if (special && (driver_.cuCtxGetCurrent(&context) != CUDA_SUCCESS || context == nullptr)) return nullptr;
  const uint64_t thread = handle == CU_STREAM_PER_THREAD ? this_thread() : 0;
  const auto is_it = [&](const Stream& stream) {
    return stream.handle == handle && !stream.ended && stream.thread == thread &&
           (!special || stream.context->handle == context);
  };
  if (last_stream_ != nullptr && is_it(*last_stream_)) return last_stream_;
  for (const auto& stream : streams_) {
    if (is_it(*stream)) return last_stream_ = stream.get();
  }
  if (!special && driver_.cuStreamGetCtx(handle, &context) != CUDA_SUCCESS) return nullptr;
  return add_stream(handle, context, thread);
}

// Threads end without a word, and so do their streams.
EventMeter::Stream* EventMeter::add_stream(CUstream handle, CUcontext context, uint64_t thread) {
  if (streams_.size() == kMaxStreams) drop_idle_streams([](const Stream&) { return true; });
  if (streams_.size() == kMaxStreams) return nullptr;
  streams_.push_back(std::make_unique<Stream>());
  last_stream_ = streams_.back().get();
  last_stream_->handle = handle;
  last_stream_->thread = thread;
  last_stream_->context = &context_of(context);
  return last_stream_;
}

template <typename Which>
void EventMeter::drop_idle_streams(Which which) {
  last_stream_ = nullptr;
  std::erase_if(streams_, [&](const auto& stream) {
    return which(*stream) && stream->marks == 0 && stream->passed == 0 && stream->is_empty();
  });
}

EventMeter::Context& EventMeter::context_of(CUcontext handle) {
  for (const auto& context : contexts_) {
    if (context->handle == handle) return *context;
  }
  contexts_.push_back(std::make_unique<Context>());
  contexts_.back()->handle = handle;
  return *contexts_.back();
}

CUevent EventMeter::take_event(Context& context) {
  if (!context.free_events.empty()) {
    CUevent event = context.free_events.back();
    context.free_events.pop_back();
    return event;
  }
  Current current(driver_, context.handle);
  CUevent event = nullptr;
  return driver_.cuEventCreate(&event, CU_EVENT_DEFAULT) == CUDA_SUCCESS ? event : nullptr;
}

void EventMeter::set_base(Context& context, CUstream stream, uint64_t now) {
  CUevent base = context.base != nullptr ? context.base : take_event(context);
  context.base = nullptr;
  if (base == nullptr) return;
  if (driver_.cuEventRecord(base, stream) != CUDA_SUCCESS) return context.give_back(base);
  context.base = base;
  context.base_at_ns = now;
  context.busy.clear();
  for (const auto& other : streams_) {
    if (other->context == &context) other->last_end_ns.reset();
  }
}

// Two streams need not keep order: what began before the zero is told as the zero.
std::optional<uint64_t> EventMeter::time_of(const Context& context, CUevent event) const {
  float ms = 0;
  if (driver_.cuEventElapsedTime(&ms, context.base, event) != CUDA_SUCCESS) return std::nullopt;
  return ms > 0 ? static_cast<uint64_t>(static_cast<double>(ms) * 1e6) : 0;
}

bool EventMeter::is_capturing(CUstream stream) {
  if (captures_.load(std::memory_order_relaxed) == 0) return false;  // the program orders its own calls
  std::lock_guard lock(mutex_);
  CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
  return driver_.cuStreamIsCapturing(stream, &status) == CUDA_SUCCESS &&
         status != CU_STREAM_CAPTURE_STATUS_NONE;
}

void EventMeter::capture_begins() {
  std::lock_guard lock(mutex_);
  ++captures_;
}

void EventMeter::capture_ended() {
  std::lock_guard lock(mutex_);
  if (captures_ != 0) --captures_;
}

void EventMeter::stream_ends(CUstream handle) {
  std::lock_guard lock(mutex_);
  RelaxedCapture relaxed(driver_, captures_ != 0);
  for (const auto& stream : streams_) {
    if (stream->handle != handle || stream->ended) continue;
    if (stream->passed != 0 && captures_ == 0) follow_tail(*stream);
    stream->ended = true;
  }
  drop_idle_streams([](const Stream& stream) { return stream.ended; });
}

// What ran in it is over, or will never be told.
void EventMeter::context_ends(CUcontext handle) {
  std::lock_guard lock(mutex_);
  RelaxedCapture relaxed(driver_, captures_ != 0);
  reap(clock_.now_ns());
  const auto of_context = [&](const Stream& stream) { return stream.context->handle == handle; };
  std::erase_if(marks_, [&](Mark& mark) {
    if (!of_context(*mark.stream)) return false;
    retire(mark);
    return true;
  });
  for (const auto& stream : streams_) {
    if (!of_context(*stream)) continue;
    retire_tail(*stream);
    stream->ended = true;
  }
  drop_idle_streams(of_context);
  end_events(handle);
}

// A context whose streams are still in somebody's hands stays known: that launch is about to fail.
void EventMeter::end_events(CUcontext handle) {
  std::erase_if(contexts_, [&](const auto& context) {
    if (context->handle != handle) return false;
    if (context->base != nullptr) context->free_events.push_back(context->base);
    context->base = nullptr;
    for (CUevent event : context->free_events) (void)driver_.cuEventDestroy_v2(event);
    context->free_events.clear();
    return std::none_of(streams_.begin(), streams_.end(),
                        [&](const auto& stream) { return stream->context == context.get(); });
  });
}

std::unique_ptr<EventMeter> make_event_meter(const cuda::DriverTable& driver, SteppedClock clock) {
  const bool can = driver.cuEventCreate != nullptr && driver.cuEventRecord != nullptr &&
                   driver.cuEventQuery != nullptr && driver.cuEventElapsedTime != nullptr &&
                   driver.cuEventDestroy_v2 != nullptr && driver.cuStreamQuery != nullptr &&
                   driver.cuStreamGetCtx != nullptr && driver.cuStreamIsCapturing != nullptr &&
                   driver.cuCtxGetCurrent != nullptr && driver.cuCtxPushCurrent_v2 != nullptr &&
                   driver.cuCtxPopCurrent_v2 != nullptr;
  return can ? std::make_unique<EventMeter>(driver, clock) : nullptr;
}

}  // namespace tessera::vgpu

#include "virtualization/gate/gate.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "common/clock.h"
#include "common/futex.h"
#include "common/log.h"
#include "common/short_slice.h"
#include "virtualization/quiet_thread.h"

namespace tessera::vgpu {
namespace {

constexpr uint64_t kMicrosecond = 1'000;
constexpr uint64_t kMillisecond = 1'000'000;
// In its turn: how long there must be no work before the turn is given back, as programs launch, wait, and
// launch again a moment later. The driver tells when there is none pending; work that is pending and not
// ready is looked for, now and then.
constexpr uint64_t kGraceNs = 250 * kMicrosecond;
// While Free: how often the figures are brought up to date where they change.
constexpr uint64_t kPublishNs = 250 * kMillisecond;
// However little there is to do, it looks this often whether the daemon is still there.
constexpr uint64_t kLookForDaemonNs = 250 * kMillisecond;
// And where it is gone, whether there is one again: the next one's orders are in another page, whose word
// wakes nobody who waits for the old one's.
constexpr uint64_t kLookForNextDaemonNs = 20 * kMillisecond;
// Work that waits for something (an event, a copy, the host) may become ready by itself.
constexpr uint64_t kLookForReadyNs = kMillisecond;
constexpr unsigned int kSuspendTimeoutMs = 20;
// How long a program that ends waits for its last figures, in milliseconds.
constexpr int kLooksForLast = 20;

// What may be in flight of a process whose launches wait here, in expected GPU time. In its turn: whoever is
// next waits that long. While nobody else wants the device: enough to keep it busy through whatever the
// program does between launches.
constexpr uint64_t kTurnWindowNs = kMillisecond;
constexpr uint64_t kFreeWindowNs = 20 * kMillisecond;
// Kernels in flight that do not end may wait for the one that is held up.
constexpr uint64_t kRoomPatienceNs = 50 * kMillisecond;
constexpr auto kRoomLook = std::chrono::microseconds(20);

// Counts a launch that is on its way in.
class AtTheDoor {
 public:
  explicit AtTheDoor(std::atomic<uint32_t>& count) : count_(count) { count_.fetch_add(1); }
  ~AtTheDoor() { count_.fetch_sub(1); }
  AtTheDoor(const AtTheDoor&) = delete;
  AtTheDoor& operator=(const AtTheDoor&) = delete;

 private:
  std::atomic<uint32_t>& count_;
};

// Counts how long somebody waited here, and reads the clock only then.
class CountedWait {
 public:
  explicit CountedWait(DeviceCounters& counters) : counters_(counters), begin_ns_(monotonic_ns()) {}
  ~CountedWait() {
    const uint64_t ns = monotonic_ns() - begin_ns_;
    counters_.gate_waits.fetch_add(1, std::memory_order_relaxed);
    counters_.gate_wait_ns.fetch_add(ns, std::memory_order_relaxed);
    for (size_t bucket = 0; bucket < kWaitBuckets; ++bucket) {
      if (ns > kWaitBucketsNs[bucket]) continue;
      counters_.gate_wait_buckets[bucket].fetch_add(1, std::memory_order_relaxed);
      return;
    }
  }
  CountedWait(const CountedWait&) = delete;
  CountedWait& operator=(const CountedWait&) = delete;

 private:
  DeviceCounters& counters_;
  const uint64_t begin_ns_;
};

long membarrier(int command) { return syscall(SYS_membarrier, command, 0, 0); }

}  // namespace

Gate::Gate(LeaseClient& client, uint32_t device, std::unique_ptr<Meter> meter)
    : client_(client),
      device_(device),
      word_(client.gate(device)),
      meter_(std::move(meter)),
      announced_(kNone),
      pace_(meter_->looks().shortest_ns, meter_->looks().longest_ns) {}

Gate::Gate(LeaseClient& client, uint32_t device, std::unique_ptr<EventMeter> meter)
    : client_(client),
      device_(device),
      word_(client.gate(device)),
      meter_(std::move(meter)),
      events_(static_cast<EventMeter*>(meter_.get())),
      announced_(kNone),
      pace_(meter_->looks().shortest_ns, meter_->looks().longest_ns) {}

Status Gate::start() {
  membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
  meter_->watch(&Gate::drained, this);
  auto thread = start_quiet_thread("tessera-gate", &Gate::run, this);
  if (!thread.ok()) return thread.status();
  pthread_detach(*thread);
  return Status();
}

// A program that waits for each of its short kernels drains often: one wake-up for all within the grace.
void Gate::drained(void* gate) {
  auto& self = *static_cast<Gate*>(gate);
  if (self.armed_.load(std::memory_order_relaxed) && self.armed_.exchange(false)) wake_all(self.word_);
}

// A turn that ends between the look at the word and the driver's call is seen by one of the two: here, or by
// the thread, which waits for what it finds let in.
std::optional<EventMeter::Ticket> Gate::try_to_enter(CUstream stream, const void* what, uint64_t window_ns) {
  auto ticket = events_->enter(stream, what, window_ns);
  if (!ticket || ticket->stream == nullptr || is_turn(gate_state(current_word()))) return ticket;
  events_->leave(*ticket, false);
  return std::nullopt;
}

EventMeter::Ticket Gate::let_in(CUstream stream, const void* what) {
  if (events_->is_capturing(stream)) return {};
  if (gate_state(word_.load(std::memory_order_acquire)) == GateState::kFree) {
    if (const auto ticket = try_to_enter(stream, what, kFreeWindowNs)) return *ticket;
  }
  return wait_for_entry(stream, what);
}

EventMeter::Ticket Gate::wait_for_entry(CUstream stream, const void* what) {
  const AtTheDoor waiting(at_the_door_);
  const CountedWait counted(client_.counters(device_));
  uint64_t full_since_ns = 0;
  uint64_t finished = 0;
  for (;;) {
    const uint32_t word = current_word();
    if (!is_turn(gate_state(word))) {
      hold(word);
      full_since_ns = 0;
      continue;
    }
    const uint64_t finished_now = events_->finished();
    if (full_since_ns == 0 || finished_now != finished) full_since_ns = monotonic_ns();
    finished = finished_now;
    uint64_t window_ns = gate_state(word) == GateState::kFree ? kFreeWindowNs : kTurnWindowNs;
    if (monotonic_ns() - full_since_ns >= kRoomPatienceNs) window_ns = EventMeter::kUnbounded;
    if (const auto ticket = try_to_enter(stream, what, window_ns)) return *ticket;
    if (is_turn(gate_state(current_word()))) std::this_thread::sleep_for(kRoomLook);
  }
}

void Gate::wait_for_turn() {
  if (is_turn(gate_state(current_word()))) return;
  const AtTheDoor waiting(at_the_door_);
  const CountedWait counted(client_.counters(device_));
  for (;;) {
    const uint32_t word = current_word();
    if (is_turn(gate_state(word))) return;
    hold(word);
  }
}

void Gate::hold(uint32_t word) {
  if (gate_state(word) == GateState::kAsleep) announce(word);
  wait_for_change(word_, word, kLookForDaemonNs);
}

void* Gate::run(void* gate) { static_cast<Gate*>(gate)->follow(); }

uint32_t Gate::current_word() {
  const uint32_t word = word_.load(std::memory_order_acquire);
  if (gate_state(word) == GateState::kFree || client_.attached()) return word;
  return gate_word(0, GateState::kFree);
}

void Gate::follow() {
  uint64_t last = order_of(gate_word(0, GateState::kFree));
  GateState last_state = GateState::kFree;
  ask_for_short_slices();  // its own kernels may have all processors when the turn ends
  confine();
  for (;;) {
    const uint32_t in_page = word_.load(std::memory_order_acquire);
    const uint32_t word = current_word();
    const uint64_t order = order_of(word);
    const bool is_new = order != last;
    last = order;
    const bool begins = is_new && (gate_state(word) != last_state || turn_over_);
    last_state = gate_state(word);
    if (is_new && client_.attached()) confine();
    uint64_t wait_ns = 0;
    switch (gate_state(word)) {
      case GateState::kFree:
        wait_ns = be_free();
        break;
      case GateState::kRun:
        wait_ns = be_running(word, is_new, begins);
        break;
      case GateState::kStop:
        wait_ns = be_stopped(word, is_new);
        break;
      case GateState::kAsleep:
        wait_ns = be_asleep(word, is_new);
        break;
    }
    if (last_.load(std::memory_order_acquire) == kWanted) {
      publish();
      last_.store(kDone, std::memory_order_release);
      wake_all(last_);
    }
    if (!client_.attached()) wait_ns = std::min(wait_ns, kLookForNextDaemonNs);
    wait_for_change(word_, in_page, wait_ns);
  }
}

uint64_t Gate::be_free() {
  meter_->resume();
  const uint64_t before = published_kernels_;
  return publish().finished != before ? kPublishNs : kLookForDaemonNs;
}

// An order within the turn only changes the SMs, or says that it goes on.
uint64_t Gate::be_running(uint32_t word, bool is_new, bool begins) {
  if (is_new) {
    const uint64_t turn_ns = events_ == nullptr ? client_.turn_ns(device_) : 0;
    turn_ends_ns_ = turn_ns == 0 ? kNone : monotonic_ns() + turn_ns;
    turn_over_ = false;
    meter_->resume();
    idle_since_ns_ = 0;
    told_idle_ = false;
  }
  if (turn_over_) return kLookForDaemonNs;
  if (turn_ends_ns_ == kNone) return look_for_work(word, begins);
  if (monotonic_ns() >= turn_ends_ns_) return end_turn(word);
  const uint64_t look_ns = look_for_work(word, begins);
  return std::min(look_ns, turn_ends_ns_ - std::min(turn_ends_ns_, monotonic_ns()));
}

// Nobody is woken by the order to stop that follows: all of it has been done.
uint64_t Gate::end_turn(uint32_t word) {
  turn_over_ = true;
  stop_that_follows_ = order_of(gate_word(gate_turn(word) + 1, GateState::kStop));
  meter_->suspend(kSuspendTimeoutMs);
  publish();
  tell(MessageType::kStopped, word);
  return kLookForDaemonNs;
}

// Between two short kernels of a stream none is ready for a moment: only where none is pending either, or
// none has finished for a while, is there no work.
uint64_t Gate::look_for_work(uint32_t word, bool begins) {
  const uint64_t finished_before = published_kernels_;
  const bool wanted = at_the_door_.load() != 0;  // before the look: who has entered since shows there
  const cuda::DeviceWork work = publish();
  if (wanted || work.ready != 0 || (work.pending != 0 && work.finished != finished_before)) {
    idle_since_ns_ = 0;
    told_idle_ = false;
    armed_.store(true);
    // Where it drained in between, nobody will wake us.
    return wanted || meter_->work().pending == 0 ? kGraceNs : pace_.found_work();
  }
  const uint64_t look_ns = pace_.found_none();
  if (told_idle_) return look_ns;
  const uint64_t now_ns = monotonic_ns();
  if (idle_since_ns_ == 0 || work.finished != finished_before) idle_since_ns_ = now_ns;
  // A turn that begins without work was given to somebody who had finished before.
  const bool idle = begins ? work.pending == 0 : now_ns - idle_since_ns_ >= kGraceNs;
  if (!idle) return kGraceNs;
  told_idle_ = true;
  tell(MessageType::kIdle, word);
  return look_ns;
}

uint64_t Gate::be_stopped(uint32_t word, bool is_new) {
  if (is_new) {
    told_stopped_ = turn_over_ && order_of(word) == stop_that_follows_;
    turn_over_ = false;
  }
  if (told_stopped_) return kLookForDaemonNs;
  const bool stopped = meter_->suspend(kSuspendTimeoutMs);
  publish();
  // What cannot be stopped ends by itself; a new order is looked for in between.
  if (!stopped && events_ != nullptr) return kMicrosecond;
  if (!stopped) LOG_DEBUG("gate", "kernels did not stop within %u ms", kSuspendTimeoutMs);
  told_stopped_ = true;
  tell(MessageType::kStopped, word);
  return kLookForDaemonNs;
}

uint64_t Gate::be_asleep(uint32_t word, bool is_new) {
  if (is_new) {
    meter_->suspend(kSuspendTimeoutMs);
    membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
  }
  const cuda::DeviceWork work = publish();
  if (work.ready != 0 || at_the_door_.load() != 0) announce(word);
  return work.pending != 0 ? kLookForReadyNs : kLookForDaemonNs;
}

void Gate::confine() {
  const IndexSet sms = client_.sms(device_);
  if (sms == sms_ || sms.empty()) return;
  meter_->confine(sms_ = sms);
}

cuda::DeviceWork Gate::publish() {
  const cuda::DeviceWork work = meter_->work();
  write(work);
  if (work.finished != published_kernels_) write_run_times();
  published_kernels_ = work.finished;
  return work;
}

// Its thread does it: this one may hold what the driver waits for, as where a signal's handler ends the
// program. A wake-up may come too early, so there are several.
void Gate::publish_last() {
  last_.store(kWanted, std::memory_order_release);
  for (int i = 0; i < kLooksForLast && last_.load(std::memory_order_acquire) == kWanted; ++i) {
    wake_all(word_);
    wait_for_change(last_, kWanted, kMillisecond);
  }
}

void Gate::write(const cuda::DeviceWork& work) {
  DeviceCounters& counters = client_.counters(device_);
  counters.busy_ns.store(work.busy_ns, std::memory_order_relaxed);
  counters.kernels.store(work.finished, std::memory_order_relaxed);
  counters.ready_ns.store(work.ready_ns, std::memory_order_relaxed);
  counters.ready_sm_ns.store(work.ready_sm_ns, std::memory_order_relaxed);
}

void Gate::write_run_times() {
  DeviceCounters& counters = client_.counters(device_);
  const cuda::DeviceRunTimes times = meter_->run_times();
  for (size_t i = 0; i < cuda::kRunTimeBuckets; ++i)
    counters.timed_kernel_buckets[i].store(times.buckets[i], std::memory_order_relaxed);
  counters.timed_kernel_ns.store(times.total_ns, std::memory_order_relaxed);
  counters.timed_kernels.store(times.kernels, std::memory_order_relaxed);
}

// Any thread; once for each time the gate falls asleep.
void Gate::announce(uint32_t word) {
  const uint64_t order = order_of(word);
  if (announced_.exchange(order, std::memory_order_relaxed) == order) return;
  if (client_.notify(MessageType::kWake, {device_, word}).ok()) return;
  wake_all(word_);  // the thread finds that there is no daemon, and opens
}

void Gate::tell(MessageType type, uint32_t word) {
  const Status sent = client_.notify(type, {device_, word});
  if (!sent.ok()) LOG_DEBUG("gate", "%s", sent.message().c_str());
}

}  // namespace tessera::vgpu

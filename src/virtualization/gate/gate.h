// The gate between a process and one device: its kernels run when it is the slice's turn.
//
// The daemon writes whose turn it is into the slice's grant page. While nobody else wants the device the gate
// is Free, and a launch costs one look at that word. Otherwise a thread of the gate follows the word: it
// holds the process's kernels up or lets them go on, publishes what the driver measured, and tells the daemon
// when there is no work, and when there is some again.
//
// Where the driver can hold kernels up, launches are always taken: what is held up is their running. Where it
// cannot (EventMeter), a launch waits here until it is the slice's turn and little of it is in flight; it
// waits no longer than kRoomPatienceNs for others of its process to end, as they may wait for it.
//
// No wake-up is lost: a launch looks at the word after the driver took it, the thread looks for work after it
// has seen that the word is Asleep, and a barrier on all threads of the process lies between the two.
//
// The word comes with the SMs that the slice may use meanwhile; the gate keeps the process's kernels to them.
// An order to run says how long the turn is, too: the thread ends it by itself where kernels can be held up,
// so that the daemon wakes once for a turn, not twice.
//
// Without a daemon the gate is open: its word means nothing then.
#pragma once

#include <pthread.h>

#include <atomic>
#include <memory>
#include <optional>

#include "virtualization/gate/event_meter.h"
#include "virtualization/gate/look_pace.h"
#include "virtualization/gate/meter.h"
#include "virtualization/lease/client.h"

namespace tessera::vgpu {

class Gate {
 public:
  // `device` is the slice's index. Once started, the gate must live as long as the process: its thread never
  // ends.
  Gate(LeaseClient& client, uint32_t device, std::unique_ptr<Meter> meter);
  Gate(LeaseClient& client, uint32_t device, std::unique_ptr<EventMeter> meter);
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;
  Status start();

  // Around a launch of `what` (a function or graph) in `stream`, which is one of the handles that mean the
  // same in every entry.
  EventMeter::Ticket launching(CUstream stream, const void* what) {
    return events_ == nullptr ? EventMeter::Ticket{} : let_in(stream, what);
  }
  void launched(const EventMeter::Ticket& ticket, bool taken) {
    if (ticket.stream != nullptr) events_->leave(ticket, taken);
    const uint32_t word = word_.load(std::memory_order_relaxed);
    if (gate_state(word) == GateState::kAsleep) [[unlikely]] {
      if (taken) announce(word);
    }
  }
  // Before a copy or a set of memory: where that was asked for, waits for the slice's turn, unless it only
  // becomes part of a graph. What has begun is not stopped at the turn's end.
  template <typename IsCapturing>
  void copying(const IsCapturing& is_capturing) {
    if (!client_.gate_copies(device_) ||
        gate_state(word_.load(std::memory_order_relaxed)) == GateState::kFree)
      return;
    if (!is_capturing()) wait_for_turn();
  }
  // Where the program ends: what the driver has measured by now is told, if that does not take long.
  void publish_last();
  // Null where the driver itself holds kernels up.
  EventMeter* events() const { return events_; }

 private:
  EventMeter::Ticket let_in(CUstream stream, const void* what);
  EventMeter::Ticket wait_for_entry(CUstream stream, const void* what);
  std::optional<EventMeter::Ticket> try_to_enter(CUstream stream, const void* what, uint64_t window_ns);
  void wait_for_turn();
  void hold(uint32_t word);
  static void* run(void* gate);
  static void drained(void* gate);
  [[noreturn]] void follow();
  uint32_t current_word();
  // One order of one daemon: the words of the next one begin anew.
  uint64_t order_of(uint32_t word) const { return uint64_t{client_.reattachments()} << 32 | word; }
  // Each takes the gate into its state and returns how long to wait there for the next order, in ns.
  uint64_t be_free();
  uint64_t be_running(uint32_t word, bool is_new, bool begins);
  uint64_t look_for_work(uint32_t word, bool begins);
  uint64_t end_turn(uint32_t word);
  uint64_t be_stopped(uint32_t word, bool is_new);
  uint64_t be_asleep(uint32_t word, bool is_new);
  void confine();
  cuda::DeviceWork publish();
  void write(const cuda::DeviceWork& work);
  void write_run_times();
  void announce(uint32_t word);
  void tell(MessageType type, uint32_t word);

  LeaseClient& client_;
  const uint32_t device_;
  const std::atomic<uint32_t>& word_;
  static constexpr uint32_t kWanted = 1, kDone = 2;
  std::atomic<uint32_t> last_{0};  // futex word, see publish_last()
  const std::unique_ptr<Meter> meter_;
  EventMeter* const events_ = nullptr;  // the meter, where launches wait here
  // Whether the thread wants to be woken when there is no work left.
  std::atomic<bool> armed_{false};
  std::atomic<uint32_t> at_the_door_{0};  // launches that wait here
  std::atomic<uint64_t> announced_;       // the order whose Wake was sent; kNone at first

  // Of the thread alone:
  LookPace pace_;
  uint64_t published_kernels_ = 0;
  uint64_t idle_since_ns_ = 0;  // 0: there is work
  bool told_idle_ = false;
  bool told_stopped_ = false;
  uint64_t turn_ends_ns_ = kNone;       // unless an order comes before
  bool turn_over_ = false;              // it has ended so, and no order has come since
  uint64_t stop_that_follows_ = kNone;  // the order to stop that asks for nothing more then
  IndexSet sms_;                        // that the driver was told; none at first: all

  static constexpr uint64_t kNone = UINT64_MAX;
};

}  // namespace tessera::vgpu

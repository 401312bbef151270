// The process's end of its lease: requests with bounded waits, and a thread that takes in answers and
// recalls.
//
// Where the daemon ends or restarts, the thread attaches again by itself: at once, then with pauses that
// double from kFirstPauseMs to kLongestPauseMs, as long as the process lives. It says what the process holds
// at that moment, which is what the daemon books from then on. So that no grant and no release is counted in
// both that figure and a message, each connection has an epoch: what belongs to an earlier one is not sent,
// or not taken. Not again where the program itself has closed our descriptor.
//
// Lock order: none. `mutex_` is taken alone, never while a handler runs and never while waiting for the
// daemon.
#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "virtualization/lease/connection.h"

namespace tessera::vgpu {

inline constexpr int kFirstPauseMs = 10;
// Shares are as promised again soon after a daemon is there again, and an attempt costs little.
inline constexpr int kLongestPauseMs = 200;
inline constexpr int kAwayPatienceMs = 5'000;

class LeaseClient {
 public:
  // Gives back what it can of `bytes` at once; returns how much. What it returns nothing for is answered
  // later by recalled(), under the same number.
  using RecallHandler = std::function<std::optional<uint64_t>(uint32_t device, BudgetKind kind,
                                                              uint64_t bytes, uint32_t number)>;

  // Attaches and maps the pages; no thread yet. While there is no daemon it waits for one, kAwayPatienceMs at
  // most: it may be being restarted.
  static Result<std::unique_ptr<LeaseClient>> attach(const std::string& socket_path, const SliceToken& token);
  ~LeaseClient();
  LeaseClient(const LeaseClient&) = delete;
  LeaseClient& operator=(const LeaseClient&) = delete;

  const AttachedReply& slice() const { return slice_; }
  DeviceCounters& counters(uint32_t device) { return counters_->devices[device]; }
  uint64_t limit_bytes(uint32_t device) const {
    return grants_->devices[device].limit_bytes.load(std::memory_order_relaxed);
  }
  // Whether the limit was lowered below what is granted.
  bool lowered(uint32_t device) const {
    return grants_->devices[device].lowered.load(std::memory_order_relaxed) != 0;
  }

  // A futex word; what it says holds only while attached().
  const std::atomic<uint32_t>& gate(uint32_t device) const { return grants_->devices[device].gate; }
  bool gate_copies(uint32_t device) const {
    return grants_->devices[device].gate_copies.load(std::memory_order_relaxed) != 0;
  }
  // To be read after the gate's word; where that has changed since, this may be half of each.
  IndexSet sms(uint32_t device) const;
  uint64_t turn_ns(uint32_t device) const {
    return grants_->devices[device].turn_ns.load(std::memory_order_relaxed);
  }
  // See DeviceGrant::copy_rates.
  uint64_t copy_rate(uint32_t device, HostCopy way) const {
    return grants_->devices[device].copy_rates[static_cast<size_t>(way)].load(std::memory_order_relaxed);
  }
  // Whether there is a daemon that would change the pages.
  bool attached();
  // How often it has attached again: what was told before is forgotten by whoever listens now.
  uint32_t reattachments() const { return reattachments_.load(std::memory_order_acquire); }

  // What is held of the device, for a connection of that epoch: what is granted and given back from then on
  // belongs to it.
  using HeldHandler = std::function<uint64_t(uint32_t device, BudgetKind kind, uint64_t epoch)>;
  // The pages are new: figures are to be written into them again.
  using ReattachedHandler = std::function<void()>;
  struct Handlers {
    RecallHandler recall;
    HeldHandler held;
    ReattachedHandler reattached;
  };
  struct Grant {
    ReservedReply reply;
    uint64_t epoch;
  };

  // Starts the thread; requests can be made from then on. All signals are blocked in it.
  Status start(Handlers handlers);

  // While there is no daemon it waits for one, kAwayPatienceMs at most. What is to be resident may have to
  // wait for others however long it takes them.
  Result<Grant> reserve(uint32_t device, BudgetKind kind, uint64_t needed, uint64_t wanted,
                        uint64_t out_bytes = 0);
  void release(uint32_t device, BudgetKind kind, uint64_t bytes, uint64_t epoch);
  // The answer to a recall that a handler left open, on whatever connection there is; nothing where it was
  // asked on an earlier one.
  void recalled(const RecalledReply& reply, uint32_t number, uint64_t epoch);
  // All that the process has is on the device again.
  void returned(uint32_t device);
  // Of which GPU BudgetKind::kNeighbour is for the device; while nothing of it is held or asked for.
  void set_neighbour(uint32_t device, std::string uuid);
  uint64_t epoch();
  Result<UsageReply> query(uint32_t device);
  // Wake, Idle or Stopped.
  Status notify(MessageType type, const GateNotice& notice);

  // In a forked child: the connection stays the parent's. Async-signal-safe; of the object nothing but its
  // memory may be used afterwards (its pages are not there in the child).
  void abandon_in_child();

 private:
  struct Waiter {
    std::condition_variable answered;
    std::optional<Packet> packet;
  };

  LeaseClient(Connection connection, std::string socket_path, const SliceToken& token,
              const AttachedReply& slice)
      : connection_(std::move(connection)),
        socket_path_(std::move(socket_path)),
        token_(token),
        slice_(slice) {}
  static Result<std::unique_ptr<LeaseClient>> attach_once(const std::string& socket_path,
                                                          const SliceToken& token);
  Status map_pages(const std::vector<UniqueFd>& descriptors);
  // Puts new pages into the places of the old ones; the counts go along.
  Status replace_pages(const std::vector<UniqueFd>& descriptors);
  static void* run(void* client);
  void run_connections();
  Status read_loop();
  // False where the thread has to end.
  bool attach_again();
  Status try_to_attach();
  bool wait_connected(std::chrono::steady_clock::time_point deadline);
  void dispatch(Packet packet);
  void serve_recall(const Packet& packet);
  // False where the end of the connection is final.
  bool lose(const Status& reason);
  struct BudgetId {
    uint32_t device;
    BudgetKind kind;
  };
  template <typename T>
  Result<std::pair<Packet, uint64_t>> ask(MessageType type, const T& payload,
                                          std::optional<BudgetId> reserves_on);

  Connection connection_;  // replaced by the thread only, under `mutex_`
  std::string socket_path_;
  SliceToken token_;
  AttachedReply slice_;
  CounterPage* counters_ = nullptr;
  const GrantPage* grants_ = nullptr;
  Handlers handlers_;
  pthread_t thread_{};
  bool started_ = false;
  std::atomic<uint32_t> reattachments_{0};
  std::atomic<bool> closing_{false};  // the end of the connection is our own doing

  std::mutex mutex_;  // all below, and sending
  uint32_t next_request_ = 1;
  std::map<uint32_t, Waiter*> waiters_;
  std::map<uint32_t, BudgetId> late_reserves_;  // by request: a grant that nobody waits for goes back
  Status lost_;                                 // why there is no connection; ok while there is
  bool ended_ = false;                          // there will not be one again
  bool turned_away_ = false;                    // the daemon is there, and has refused to attach us again
  uint64_t epoch_ = 0;                          // of the connection, or of the one being made
  // Given back since the held bytes were told, and not sent yet; by kind.
  std::array<std::array<uint64_t, kMaxDevicesPerSlice>, kBudgetKinds> owed_{};
  std::array<std::string, kMaxDevicesPerSlice> neighbours_;
  std::condition_variable changed_;  // connected, turned away or ended
};

}  // namespace tessera::vgpu

// The process's end of its lease: requests with bounded waits, and a thread that takes in answers and
// recalls.
//
// Lock order: none. `mutex_` is taken alone, never while a handler runs and never while waiting for the
// daemon.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "virtualization/lease/connection.h"

namespace tessera::vgpu {

class LeaseClient {
 public:
  // Gives back what it can of `bytes` at once; returns how much.
  using RecallHandler = std::function<uint64_t(uint32_t device, uint64_t bytes)>;

  // Attaches and maps the pages; no thread yet.
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

  // Starts the thread; requests can be made from then on. All signals are blocked in it.
  Status start(RecallHandler on_recall);

  Result<ReservedReply> reserve(uint32_t device, uint64_t needed, uint64_t wanted);
  void release(uint32_t device, uint64_t bytes);
  Result<UsageReply> query(uint32_t device);

  // In a forked child: the connection stays the parent's. Async-signal-safe; of the object nothing but its
  // memory may be used afterwards (its pages are not there in the child).
  void abandon_in_child();

 private:
  struct Waiter {
    std::condition_variable answered;
    std::optional<Packet> packet;
  };

  LeaseClient(Connection connection, const AttachedReply& slice)
      : connection_(std::move(connection)), slice_(slice) {}
  Status map_pages(const std::vector<UniqueFd>& descriptors);
  static void* run(void* client);
  void read_loop();
  void dispatch(Packet packet);
  void serve_recall(const Packet& packet);
  void lose(const Status& reason);
  void lose_locked(const Status& reason);
  template <typename T>
  Result<Packet> ask(MessageType type, const T& payload, std::optional<uint32_t> reserves_on);

  Connection connection_;
  AttachedReply slice_;
  CounterPage* counters_ = nullptr;
  const GrantPage* grants_ = nullptr;
  RecallHandler on_recall_;
  pthread_t thread_{};
  bool started_ = false;
  std::atomic<bool> closing_{false};  // the end of the connection is our own doing

  std::mutex mutex_;  // all below, and sending
  uint32_t next_request_ = 1;
  std::map<uint32_t, Waiter*> waiters_;
  std::map<uint32_t, uint32_t> late_reserves_;  // request → device: a grant that nobody waits for goes back
  Status lost_;                                 // why there is no connection any more; ok while there is
};

}  // namespace tessera::vgpu

// Requests for budget that other processes of the slice must first give back. Pure: it decides what is sent,
// the daemon sends it.
//
// A request that fits is answered at once. Else every reachable process of the slice that holds budget is
// asked to give back what is missing (Recall), all at the same time, and the request waits. Requests of one
// slice are served in their order: what comes back for the first is not taken by the second, so none starves.
// A process that does not answer within kRecallTimeout is passed over, also by later requests, until it
// answers; a late answer still counts, for the process has given that budget up.
//
// After a restart of the daemon a slice may await processes that held leases before: until each has attached
// again or ended, requests of the slice wait, at most kAwaitedTimeoutNs each, and are then refused.
//
// Where a limit is lowered below what is granted, every process is asked once for the excess, so that budget
// that nobody uses does not stand in the way of the new limit.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "node/ledger.h"

namespace tessera::node {

inline constexpr uint64_t kRecallTimeoutNs = 200'000'000;
inline constexpr uint64_t kAwaitedTimeoutNs = 5'000'000'000;
inline constexpr size_t kMaxWaitingPerLease = 64;

struct RecallOrder {
  LeaseId lease;
  uint32_t number;  // travels as the request number
  uint32_t device;
  uint64_t bytes;
  vgpu::BudgetKind kind = vgpu::BudgetKind::kLimit;
};
struct ReserveAnswer {
  LeaseId lease;
  uint32_t request;
  uint32_t device;
  uint64_t granted_bytes;  // 0: refused
  vgpu::BudgetKind kind = vgpu::BudgetKind::kLimit;
  vgpu::Refusal refusal = vgpu::Refusal::kLimit;
};
struct Effects {
  std::vector<RecallOrder> recalls;
  std::vector<RecallOrder> hints;  // number 0: no answer is awaited
  std::vector<ReserveAnswer> answers;
};

class Broker {
 public:
  explicit Broker(Ledger& ledger) : ledger_(ledger) {}

  // An error means that the client broke a rule.
  Status reserve(LeaseId lease, uint32_t request, const ReserveMessage& message, uint64_t now_ns,
                 Effects& effects);
  Status release(LeaseId lease, const ReleaseMessage& message, uint64_t now_ns, Effects& effects);
  Status recalled(LeaseId lease, uint32_t number, const RecalledMessage& message, uint64_t now_ns,
                  Effects& effects);

  // The slice's limits have changed: asks for what is granted above them, and serves what fits now.
  void limits_changed(SliceId slice, uint64_t now_ns, Effects& effects);

  // The connection is gone, the grants stay: nothing more can be asked of it. Others wait for it a recall's
  // time all the same: a process that is killed closes its files a moment before its pidfd tells of its end.
  void disconnect(LeaseId lease, uint64_t now_ns, Effects& effects);
  // It has a connection again, and has said what it holds.
  void reattach(LeaseId lease, uint64_t now_ns, Effects& effects);
  // The lease ends and all its grants are back. True if its slice ended with it.
  bool close(LeaseId lease, uint64_t now_ns, Effects& effects);

  // Passes over the processes whose time is up, and refuses the requests whose is.
  void expire(uint64_t now_ns, Effects& effects);
  std::optional<uint64_t> next_deadline_ns() const;
  size_t waiting() const;

 private:
  struct Waiting {
    LeaseId lease;
    uint32_t request;
    ReserveMessage message;
    uint64_t deadline_ns;     // while the slice awaits processes
    std::set<LeaseId> asked;  // each process is asked once per request
  };
  struct Outstanding {
    uint32_t number;
    uint32_t device;
    uint64_t bytes;
    uint64_t deadline_ns;
    bool overdue = false;
  };

  void serve(SliceId slice, uint64_t now_ns, Effects& effects);
  // Whether the head must go on waiting; sends recalls where some can still be sent.
  bool ask_others(Waiting& head, const Slice& slice, uint64_t missing, uint64_t now_ns, Effects& effects);
  void send_recall(LeaseId lease, uint32_t device, uint64_t bytes, uint64_t now_ns, Effects& effects);
  // The excess of a lowered limit, where this process has not been asked for it yet.
  void ask_for_excess(LeaseId lease, uint64_t now_ns, Effects& effects);
  void drop_waiting(LeaseId lease, SliceId slice);

  Ledger& ledger_;
  std::map<SliceId, std::deque<Waiting>> queues_;  // none is empty
  std::map<LeaseId, Outstanding> outstanding_;     // at most one recall per process
  std::map<LeaseId, std::set<uint32_t>> excess_;   // devices of whose lowered limit it is still to be told
  uint32_t next_number_ = 1;
};

}  // namespace tessera::node

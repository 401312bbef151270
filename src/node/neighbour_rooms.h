// What processes may keep of what has left their GPUs in the memory of GPUs that are not theirs: a part of
// what nobody has or is promised there, lent until it is wanted. Pure: it decides what is sent, the daemon
// sends it.
//
// A process names the GPU that it asks for (it knows which of them its own one reaches), and has room on one
// at a time for each of its devices. What is promised of a GPU may grow: then what is lent beyond what is
// idle is asked back, of who has most first. What is asked back counts as lent until it has come back, as
// only then is there nothing of it on the GPU; nothing is lent there meanwhile.
//
// Who gives nothing back for kReturnPatienceNs is overdue(): the GPU's own tenants wait for it, and a process
// that is stopped would keep them waiting for ever.
//
// Invariant, checked by check(): what is lent of a GPU and not asked back is at most what is idle there, but
// for what cannot be asked for now: of who has no connection, is asked for some already, or has just said
// that it has no place for it. After a restart of the daemon nothing is lent until each process has attached
// again or ended.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "node/broker.h"

namespace tessera::node {

class NeighbourRooms {
 public:
  // Left alone of what is idle: contexts and programs of no slice come without asking. This part of the GPU;
  // or kLeaveBytes, where that is more and no more than kMostLeftPart.
  static constexpr uint64_t kLeavePart = 16, kMostLeftPart = 4;
  static constexpr uint64_t kLeaveBytes = uint64_t{512} << 20;
  static constexpr uint64_t kReturnPatienceNs = 30'000'000'000;
  // After an answer that it could give back no more now; and between two looks at who is overdue.
  static constexpr uint64_t kPauseNs = 1'000'000'000;

  static constexpr uint32_t kNowhere = UINT32_MAX;  // on a GPU that is not there any more

  void open(LeaseId lease, size_t devices);
  struct Held {
    uint32_t gpu = kNowhere;
    uint64_t bytes = 0;
  };
  // It has (again) a connection, and says what it holds, for each of its devices. Believed, as it may be
  // there: what should not be is asked back.
  void attach(LeaseId lease, std::span<const Held> held, uint64_t now_ns, Effects& effects);
  void disconnect(LeaseId lease);
  void close(LeaseId lease, uint64_t now_ns, Effects& effects);

  // How much of a GPU's memory there is, and is promised to slices or held by them, whichever is more.
  void set_gpu(uint32_t gpu, uint64_t capacity, uint64_t taken, uint64_t now_ns, Effects& effects);

  // What is granted on that GPU: nothing, or from what is needed to what is wanted. An error means that the
  // client broke a rule.
  Result<uint64_t> reserve(LeaseId lease, const ReserveMessage& message, uint32_t gpu);
  Status release(LeaseId lease, uint32_t device, uint64_t bytes, uint64_t now_ns, Effects& effects);
  Status recalled(LeaseId lease, uint32_t number, const RecalledMessage& message, uint64_t now_ns,
                  Effects& effects);

  void expire(uint64_t now_ns, Effects& effects);
  std::optional<uint64_t> next_deadline_ns() const;
  struct Overdue {
    LeaseId lease;
    uint32_t gpu;
  };
  std::vector<Overdue> overdue(uint64_t now_ns) const;

  uint64_t idle_bytes(uint32_t gpu) const;
  uint64_t lent_bytes(uint32_t gpu) const;    // asked back or not
  uint64_t coming_bytes(uint32_t gpu) const;  // of that, asked back and on its way, as far as is known
  Status check() const;

 private:
  struct Gpu {
    uint64_t capacity = 0, taken = 0;
  };
  struct Asked {
    uint32_t number;
    uint64_t bytes;  // still to come
  };
  struct Part {
    uint32_t gpu = kNowhere;
    uint64_t bytes = 0;  // what it may hold there, and has to give back
    std::optional<Asked> asked;
    uint64_t due_since_ns = 0;  // 0: nothing is
    uint64_t not_before_ns = 0;
  };
  struct Borrower {
    std::vector<Part> parts;  // of each of its devices
    bool connected = false;
    bool known = false;
  };

  Result<Part*> part_of(LeaseId lease, uint32_t device);
  // Calls visit(lease, borrower, part) for each part that is on that GPU.
  template <typename Borrowers, typename Visit>
  static void visit_parts(Borrowers& borrowers, uint32_t gpu, Visit visit);
  uint64_t kept_bytes(uint32_t gpu) const;
  Status give_back(LeaseId lease, uint32_t device, uint64_t bytes, uint64_t now_ns);
  // Asks for what is lent there beyond what is idle.
  void balance(uint32_t gpu, uint64_t now_ns, Effects& effects);
  struct Place {
    LeaseId lease;
    uint32_t device;
    Part* part;
  };
  // Who has most of what is not asked for, of those who can be asked.
  std::optional<Place> next_to_ask(uint32_t gpu, uint64_t now_ns);
  void mark_due(uint32_t gpu, uint64_t now_ns);

  std::map<uint32_t, Gpu> gpus_;
  std::map<LeaseId, Borrower> borrowers_;
  uint32_t next_number_ = 1;
  std::set<uint32_t> over_;  // GPUs of which more is lent than is idle
  uint64_t expired_ns_ = 0;  // when those were last looked at
};

}  // namespace tessera::node

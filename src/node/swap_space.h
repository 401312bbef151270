// How much of the host's memory each process may use for what is off its devices, where that is bounded.
// Pure.
//
// Some of it is kept for exchanges: where others are asked to make room for memory that comes back, which
// frees as much a moment later. So what is off a device can always come back, however full the host is.
//
// Invariant: all processes together have no more than the bound. What a process holds after a restart of the
// daemon is known once it has attached again; until then nothing is granted.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "node/ledger.h"
#include "node/messages.h"

namespace tessera::node {

class SwapSpace {
 public:
  enum class For : uint8_t { kGrowth, kExchange };

  // 0: no bound, and nobody asks. Before the first lease.
  void set_bound(uint64_t bytes) { bound_ = bytes; }
  bool in_use() const { return bound_ != 0; }
  uint64_t bound() const { return bound_; }

  void open(LeaseId lease, size_t devices);
  // It says what it holds. Refused, and nothing changed, where that is more than there is.
  Status attach(LeaseId lease, std::span<const uint64_t> bytes);
  void close(LeaseId lease);

  // What is granted: nothing, or from what is needed to what is wanted. An error means that the client broke
  // a rule.
  Result<uint64_t> reserve(LeaseId lease, const ReserveMessage& message, For what);
  Status release(LeaseId lease, uint32_t device, uint64_t bytes);
  uint64_t used_bytes() const { return used_; }

 private:
  struct Held {
    std::vector<uint64_t> bytes;  // of each device
    bool known = false;
  };
  // Of the bound, at most so much is kept for exchanges.
  static constexpr uint64_t kMostForExchanges = uint64_t{256} << 20;

  Result<uint64_t*> held(LeaseId lease, uint32_t device);

  uint64_t bound_ = 0, used_ = 0;
  std::map<LeaseId, Held> leases_;
};

}  // namespace tessera::node

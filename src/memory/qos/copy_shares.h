// How fast each tenant of a GPU may copy between it and the host, one way, while others copy that way, too.
// Pure: told at each round what has been copied.
//
// Nobody knows how fast the link is: that depends on the machine, on what else it does and on what is copied.
// So now and then all are let go for a moment, and what goes then is what there is to share by weight
// (common/rate_shares.h). In between it is taken for more as long as nobody leaves anything of it: who is
// held wants more than it has, who is not has all that it wants or can. Nobody is held for the sake of
// somebody that could not use it, nor below its part of the link by weight, but for what it had beyond that
// in such a moment.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "common/rate_shares.h"

namespace tessera::memory {

class CopyShares {
 public:
  static constexpr uint64_t kUnlimited = UINT64_MAX;
  // How often it is to be told while several copy. Less in a round than what follows is no copying: it is
  // what programs tell the GPU along with their launches.
  static constexpr uint64_t kRoundNs = 10'000'000;
  static constexpr uint64_t kLeastBytes = uint64_t{64} << 10;
  // Of a cycle, in rounds: all are let go at first. In the first of these those that were held get going.
  static constexpr unsigned kCycle = 64, kOpen = 3;
  // Who has not copied for so many rounds does not copy.
  static constexpr unsigned kQuiet = 3;

  struct Tenant {
    uint64_t id;
    RateTerms terms;
    uint64_t bytes;  // since the last round
    bool held;       // it had to wait for its rate since then
  };

  // What each may copy in a second until the next round, in their order.
  std::vector<uint64_t> round(std::span<const Tenant> tenants, uint64_t elapsed_ns);
  // Whether several copied lately.
  bool contended() const { return contended_; }
  // What there is to share, as far as that is known; bytes a second.
  uint64_t capacity() const { return static_cast<uint64_t>(capacity_); }

 private:
  struct Seen {
    double rate = 0;  // bytes a second, of late
    unsigned quiet = kQuiet;
    bool held = false;
    double opened = 0;  // bytes while all were let go
    double owes = 0;    // bytes a second: what it had beyond its part then, spread over the cycle
    bool copies() const { return quiet < kQuiet; }
  };
  // Returns what all have copied, in bytes a second.
  double look(std::span<const Tenant> tenants, double seconds);
  void estimate(std::span<const Tenant> tenants, double seconds);
  void open_round(std::span<const Tenant> tenants, double seconds);
  // What each that copies is entitled to of so much.
  std::vector<uint64_t> entitled(std::span<const Tenant> tenants, double rate) const;
  std::vector<uint64_t> shares(std::span<const Tenant> tenants) const;

  std::map<uint64_t, Seen> seen_;
  bool contended_ = false;
  double capacity_ = 0;
  unsigned phase_ = 0;  // round of the cycle
  double opened_seconds_ = 0;
};

}  // namespace tessera::memory

// The front's side of bandwidth control: from what sessions have had and waited for to what each may have
// next.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "common/rate_shares.h"
#include "remote/bandwidth/bandwidth_page.h"

namespace tessera::remote {

struct BandwidthTerms {
  RateTerms download, upload;

  bool operator==(const BandwidthTerms&) const = default;
};

struct BandwidthOptions {
  uint64_t download = 0, upload = 0;  // of all clients together, bytes a second; 0: no limit
  std::map<std::string, BandwidthTerms> identities;

  bool limited() const { return download != 0 || upload != 0 || !identities.empty(); }
};

// Told the time.
class BandwidthBoard {
 public:
  static constexpr uint64_t kPeriodNs = 10'000'000;

  using Key = uint64_t;

  // Pages outlive their entries here.
  void add(Key key, const std::string& identity, BandwidthPage* page);
  void remove(Key key) { sessions_.erase(key); }
  bool empty() const { return sessions_.empty(); }

  // Every kPeriodNs: says to each session what it may have until the next time.
  void share(const BandwidthOptions& options, uint64_t now_ns);

 private:
  struct Seen {
    uint64_t gone = 0, held_up = 0;
  };
  struct Session {
    std::string identity;
    BandwidthPage* page;
    Seen seen[2];
  };
  static uint64_t wanted(Seen& seen, BandwidthPage::OneWay& page, uint64_t elapsed_ns);
  void share(const BandwidthOptions& options, Way way, uint64_t elapsed_ns);

  std::map<Key, Session> sessions_;
  uint64_t then_ns_ = 0;
};

}  // namespace tessera::remote

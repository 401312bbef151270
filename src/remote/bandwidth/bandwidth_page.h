// What the server's front and the process of one session tell each other of the session's bandwidth, in
// memory that both have and no other session.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "common/status.h"

namespace tessera::remote {

enum class Way { kDownload, kUpload };  // from the server to the client, and back
inline constexpr Way kBothWays[] = {Way::kDownload, Way::kUpload};

struct BandwidthPage {
  static constexpr uint64_t kUnlimited = UINT64_MAX;

  struct OneWay {
    std::atomic<uint64_t> rate{kUnlimited};  // bytes a second that it may have; the front says so
    std::atomic<uint64_t> gone{0};           // bytes so far, and
    std::atomic<uint64_t> held_up{0};        // how often the rate has been waited for; the session says so
  };
  OneWay download, upload;

  OneWay& way(Way which) { return which == Way::kDownload ? download : upload; }
};

struct UnmapBandwidthPage {
  void operator()(BandwidthPage* page) const;
};
using SharedBandwidthPage = std::unique_ptr<BandwidthPage, UnmapBandwidthPage>;

// A page that the next fork has, too.
Result<SharedBandwidthPage> make_bandwidth_page();
// After that fork: no other one has it.
void keep_from_later_forks(BandwidthPage* page);

}  // namespace tessera::remote

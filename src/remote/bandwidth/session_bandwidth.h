// What a session may send and receive, over all of its connections together. In the session's process; safe
// from several threads.
#pragma once

#include <mutex>

#include "common/token_bucket.h"
#include "remote/bandwidth/bandwidth_page.h"

namespace tessera::remote {

class SessionBandwidth {
 public:
  // What goes at once after a pause: short calls never wait.
  static constexpr uint64_t kBurstBytes = uint64_t{256} << 10;

  // `page` outlives it.
  explicit SessionBandwidth(BandwidthPage* page);

  // Up to `wanted` bytes that may go now.
  uint64_t take(Way way, uint64_t wanted);
  void gone(Way way, uint64_t bytes);
  // When something worth a wake-up may go; 0: now.
  uint64_t when_ns(Way way);
  bool is_open(Way way) { return one(way).is_open(); }

 private:
  struct OneWay {
    BandwidthPage::OneWay* page;
    std::mutex mutex;
    TokenBucket bucket;
    uint64_t rate = BandwidthPage::kUnlimited;

    OneWay(BandwidthPage::OneWay* page_, uint64_t now_ns) : page(page_), bucket(0, kBurstBytes, now_ns) {}
    // Without a limit: most sessions, all the time. It costs them a look.
    bool is_open() const { return page->rate.load(std::memory_order_relaxed) == BandwidthPage::kUnlimited; }
    void follow(uint64_t now_ns);
    // Fewer do not go, unless there are no more.
    uint64_t least() const;
  };
  OneWay& one(Way way) { return way == Way::kDownload ? download_ : upload_; }

  OneWay download_, upload_;
};

}  // namespace tessera::remote

// A rate, held: bytes may go as long as there are tokens, which come at that rate. Told the time.
#pragma once

#include <algorithm>
#include <cstdint>

namespace tessera {

class TokenBucket {
 public:
  // `burst`: how many bytes may go at once after a pause.
  TokenBucket(uint64_t bytes_per_second, uint64_t burst, uint64_t now_ns)
      : rate_(bytes_per_second), burst_(burst), tokens_(whole(burst)), then_ns_(now_ns) {}

  // What has come so far stays, as far as the burst allows.
  void set_rate(uint64_t bytes_per_second, uint64_t now_ns) { set_rate(bytes_per_second, burst_, now_ns); }
  void set_rate(uint64_t bytes_per_second, uint64_t burst, uint64_t now_ns) {
    refill(now_ns);
    rate_ = bytes_per_second;
    burst_ = burst;
    tokens_ = std::min(tokens_, whole(burst_));
  }
  uint64_t rate() const { return rate_; }

  // How many of `wanted` bytes may go now; they are taken.
  uint64_t take(uint64_t wanted, uint64_t now_ns) {
    refill(now_ns);
    const uint64_t there = static_cast<uint64_t>(tokens_ / kPerByte);
    const uint64_t taken = std::min(wanted, there);
    tokens_ -= whole(taken);
    return taken;
  }
  // When `bytes` can be taken (at most the burst counts); UINT64_MAX: never at this rate.
  uint64_t when(uint64_t bytes, uint64_t now_ns) {
    refill(now_ns);
    const unsigned __int128 needed = whole(std::min(bytes, burst_));
    if (needed <= tokens_) return now_ns;
    if (rate_ == 0) return UINT64_MAX;
    return now_ns + static_cast<uint64_t>((needed - tokens_ + rate_ - 1) / rate_);
  }

 private:
  // Tokens are billionths of bytes, so that nothing is rounded, however often it is asked.
  static constexpr uint64_t kPerByte = 1'000'000'000;
  static constexpr unsigned __int128 whole(uint64_t bytes) {
    return static_cast<unsigned __int128>(bytes) * kPerByte;
  }

  void refill(uint64_t now_ns) {
    if (now_ns <= then_ns_) return;
    tokens_ = std::min(tokens_ + static_cast<unsigned __int128>(now_ns - then_ns_) * rate_, whole(burst_));
    then_ns_ = now_ns;
  }

  uint64_t rate_, burst_;
  unsigned __int128 tokens_;
  uint64_t then_ns_;
};

}  // namespace tessera

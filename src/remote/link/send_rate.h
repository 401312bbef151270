// How fast the other side takes what it is sent, by what it acknowledges while there is always more to send.
// Pure.
#pragma once

#include <algorithm>
#include <cstdint>

namespace tessera::remote {

class SendRate {
 public:
  static constexpr uint64_t kSampleBytes = 2 << 20;

  // A payload begins: what lies before it says nothing.
  void begin() { has_base_ = false; }
  // We have been busy with something else than sending.
  void worked(uint64_t nanoseconds) { worked_ += nanoseconds; }
  // How many bytes the other side has had by now, of all that were ever sent.
  void look(uint64_t had, uint64_t now_ns) {
    if (!has_base_) return rebase(had, now_ns);
    const uint64_t bytes = had - base_had_, took = now_ns - base_ns_;
    if (had < base_had_ || bytes < kSampleBytes || took == 0) return;
    double sample = static_cast<double>(bytes) * 1e9 / static_cast<double>(took);
    // It could have taken more than we gave it: how much, only sending without work in between shows.
    if (worked_ * 2 > took) sample = std::max(sample, rate_ * kHope);
    rate_ = rate_ == 0 ? sample : rate_ + (sample - rate_) / 4;
    rebase(had, now_ns);
  }

  double bytes_per_second() const { return rate_; }  // 0: not known yet

 private:
  static constexpr double kHope = 2;

  void rebase(uint64_t had, uint64_t now_ns) {
    has_base_ = true;
    base_had_ = had;
    base_ns_ = now_ns;
    worked_ = 0;
  }

  bool has_base_ = false;
  uint64_t base_had_ = 0, base_ns_ = 0, worked_ = 0;
  double rate_ = 0;
};

}  // namespace tessera::remote

// How often something may happen. Told the time.
#pragma once

#include <algorithm>
#include <cstdint>

namespace tessera::remote {

class RateLimit {
 public:
  // `per_second` on the long run, `burst` at once; 0 per second: without limit.
  RateLimit(double per_second, double burst) : per_second_(per_second), burst_(burst), left_(burst) {}

  // Whether it may happen now; then it counts as having happened.
  bool take(uint64_t now_ns) {
    if (per_second_ <= 0) return true;
    if (now_ns > then_ns_) {
      left_ = std::min(burst_, left_ + static_cast<double>(now_ns - then_ns_) * 1e-9 * per_second_);
      then_ns_ = now_ns;
    }
    if (left_ < 1) return false;
    left_ -= 1;
    return true;
  }

 private:
  double per_second_, burst_, left_;
  uint64_t then_ns_ = 0;
};

}  // namespace tessera::remote

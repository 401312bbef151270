#include "memory/reclaim/need_forecast.h"

#include <algorithm>
#include <cmath>

namespace tessera::memory {
namespace {

double decay(uint64_t ns) {
  return std::exp2(-static_cast<double>(ns) / static_cast<double>(NeedForecast::kHalfLifeNs));
}

}  // namespace

void NeedForecast::grew(uint64_t bytes, uint64_t waited_ns, uint64_t now_ns) {
  const uint64_t passed = now_ns - std::min(now_ns, at_ns_);
  bytes_ = bytes_ * decay(passed - std::min(passed, waited_ns)) + static_cast<double>(bytes);
  at_ns_ = now_ns;
}

void NeedForecast::shrank(uint64_t bytes) { bytes_ = std::max(0.0, bytes_ - static_cast<double>(bytes)); }

uint64_t NeedForecast::growth_bytes(uint64_t now_ns) const {
  return static_cast<uint64_t>(bytes_ * decay(now_ns - std::min(now_ns, at_ns_)));
}

}  // namespace tessera::memory

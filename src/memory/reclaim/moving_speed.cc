#include "memory/reclaim/moving_speed.h"

#include <algorithm>

namespace tessera::memory {
namespace {

constexpr double kKept = 0.75;  // of what was, with each move
constexpr double kNsPerSecond = 1e9;

}  // namespace

void MovingSpeed::moved(Way way, uint64_t bytes, uint64_t ns) {
  if (bytes < kLeastBytes || ns == 0) return;
  Moves& moves = way == Way::kOut ? out_ : in_;
  moves.bytes = moves.bytes * kKept + static_cast<double>(bytes);
  moves.ns = moves.ns * kKept + static_cast<double>(ns);
}

uint64_t MovingSpeed::exchange_ns(uint64_t bytes) const {
  double slowest = 0;
  for (const Moves& each : {out_, in_}) {
    if (each.bytes > 0) slowest = std::max(slowest, each.ns / each.bytes);
  }
  if (slowest == 0) slowest = kGuessedNsPerByte;
  return static_cast<uint64_t>(static_cast<double>(bytes) * slowest);
}

uint64_t MovingSpeed::bytes_per_second(Way way) const {
  const Moves& each = moves(way);
  return each.ns > 0 ? static_cast<uint64_t>(each.bytes * kNsPerSecond / each.ns) : 0;
}

}  // namespace tessera::memory

#include "node/gate_watch.h"

#include <algorithm>

namespace tessera::node {
namespace {

uint64_t beyond(uint64_t value, uint64_t bound) { return value - std::min(value, bound); }

}  // namespace

void GateWatch::extend(Run& run, uint64_t over_ns, uint64_t margin_ns) {
  if (over_ns <= margin_ns) {
    run = Run();
    return;
  }
  ++run.windows;
  run.before_ns = run.last_ns;
  run.last_ns = over_ns;
}

GateStanding GateWatch::judge(const WatchedWindow& window) {
  constexpr uint64_t kWhole = 100;
  const uint64_t begin_ns = beyond(window.end_ns, window.window_ns);
  if (begin_ns + window.window_ns / 10 < ended_ns_) return standing();
  ended_ns_ = window.end_ns;
  extend(unreported_, beyond(window.driver_ns, window.free_ns + window.reported_ns),
         window.window_ns * kUnreportedPercent / kWhole);
  extend(ungranted_, beyond(window.driver_ns, window.free_ns + window.turn_ns),
         window.window_ns * kUngrantedPercent / kWhole);
  if (over()) over_ns_ = window.end_ns;
  const bool unreported = unreported_.windows >= kUnreportedWindows &&
                          unreported_.before_ns + unreported_.last_ns > kUnreportedNs;
  if (unreported || ungranted_.windows >= kUngrantedWindows) {
    round_ = true;
  } else if (round_ && window.end_ns - over_ns_ >= kForgiveNs) {
    round_ = false;
  }
  return standing();
}

GateStanding GateWatch::standing() const {
  if (round_) return GateStanding::kRound;
  return over() ? GateStanding::kSuspect : GateStanding::kFine;
}

}  // namespace tessera::node

#include "node/round_watch.h"

#include <algorithm>

namespace tessera::node {

const RoundWatch::Mark* RoundWatch::Track::before(uint64_t then_ns) const {
  const Mark* latest = nullptr;
  for (const Mark& mark : marks) {
    if (mark.at_ns == 0 || mark.at_ns > then_ns) continue;
    if (latest == nullptr || mark.at_ns > latest->at_ns) latest = &mark;
  }
  return latest;
}

bool RoundWatch::goes_back(const Figures& from, const Figures& to) {
  return to.reported_ns < from.reported_ns || to.free_ns < from.free_ns || to.turn_ns < from.turn_ns;
}

void RoundWatch::mark(const AllFigures& figures, uint64_t now_ns) {
  std::erase_if(tracks_, [&](const auto& entry) { return !figures.contains(entry.first); });
  for (const auto& [process, sums] : figures) {
    Track& track = tracks_[process];
    // One of its leases has ended, or begun anew: what was before says nothing.
    if (goes_back(track.newest().figures, sums)) track.marks = {};
    track.marks[track.next++ % kMarks] = {now_ns, sums};
  }
}

std::optional<RoundWatch::Verdict> RoundWatch::judge(const WatchedProcess& process, const Figures& now,
                                                     uint64_t end_ns, uint64_t window_ns,
                                                     uint64_t driver_ns) {
  auto found = tracks_.find(process);
  if (found == tracks_.end() || end_ns < window_ns) return std::nullopt;
  Track& track = found->second;
  const Mark* begin = track.before(end_ns - window_ns);
  if (begin == nullptr || goes_back(begin->figures, now)) return std::nullopt;
  const Figures& then = begin->figures;
  const WatchedWindow window = {end_ns,
                                window_ns,
                                driver_ns,
                                now.reported_ns - then.reported_ns,
                                now.free_ns - then.free_ns,
                                now.turn_ns - then.turn_ns};
  const GateStanding before = track.watch.standing();
  const GateStanding standing = track.watch.judge(window);
  return Verdict{window, before, standing, track.watch.over()};
}

bool RoundWatch::goes_round(const WatchedProcess& process) const {
  auto found = tracks_.find(process);
  return found != tracks_.end() && found->second.watch.standing() == GateStanding::kRound;
}

bool RoundWatch::any_goes_round() const {
  return std::any_of(tracks_.begin(), tracks_.end(),
                     [](const auto& entry) { return entry.second.watch.standing() == GateStanding::kRound; });
}

}  // namespace tessera::node

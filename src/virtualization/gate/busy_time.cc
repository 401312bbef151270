#include "virtualization/gate/busy_time.h"

#include <algorithm>

namespace tessera::vgpu {

uint64_t BusyTime::add(uint64_t start_ns, uint64_t end_ns) {
  if (covered_.size() == kKept) start_ns = std::max(start_ns, covered_.front().start_ns);
  if (end_ns <= start_ns) return 0;
  const auto first = std::find_if(covered_.begin(), covered_.end(),
                                  [&](const Interval& interval) { return interval.end_ns >= start_ns; });
  auto last = first;
  uint64_t had_ns = 0;
  Interval merged{start_ns, end_ns};
  for (; last != covered_.end() && last->start_ns <= end_ns; ++last) {
    had_ns += std::min(last->end_ns, end_ns) - std::max(last->start_ns, start_ns);
    merged = {std::min(merged.start_ns, last->start_ns), std::max(merged.end_ns, last->end_ns)};
  }
  if (first == last) {
    covered_.insert(first, merged);
  } else {
    *first = merged;
    covered_.erase(first + 1, last);
  }
  if (covered_.size() > kKept) covered_.erase(covered_.begin());
  return end_ns - start_ns - had_ns;
}

}  // namespace tessera::vgpu

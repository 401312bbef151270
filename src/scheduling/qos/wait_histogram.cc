#include "scheduling/qos/wait_histogram.h"

#include <algorithm>
#include <bit>

namespace tessera::scheduling {

size_t WaitHistogram::bucket_of(Nanoseconds wait_ns) {
  const int octave = std::bit_width(wait_ns) - 1;
  if (octave < kShortestLog2) return 0;
  if (octave >= kLongestLog2) return kBuckets - 1;
  const Nanoseconds within = (wait_ns >> (octave - kPerOctaveLog2)) & ((1u << kPerOctaveLog2) - 1);
  return (static_cast<size_t>(octave - kShortestLog2) << kPerOctaveLog2) + within;
}

Nanoseconds WaitHistogram::end_of(size_t bucket) {
  const size_t octave = kShortestLog2 + (bucket >> kPerOctaveLog2);
  const Nanoseconds parts = (1u << kPerOctaveLog2) + (bucket & ((1u << kPerOctaveLog2) - 1)) + 1;
  return (parts << (octave - kPerOctaveLog2)) - 1;
}

void WaitHistogram::add(Nanoseconds wait_ns) {
  uint32_t& count = counts_[bucket_of(wait_ns)];
  if (count == UINT32_MAX) return;  // full: the shape is known well enough
  ++count;
  ++count_;
  longest_ns_ = std::max(longest_ns_, wait_ns);
}

void WaitHistogram::merge(const WaitHistogram& other) {
  for (size_t i = 0; i < kBuckets; ++i) {
    const uint32_t added = std::min(other.counts_[i], UINT32_MAX - counts_[i]);
    counts_[i] += added;
    count_ += added;
  }
  longest_ns_ = std::max(longest_ns_, other.longest_ns_);
}

Nanoseconds WaitHistogram::quantile(uint32_t permille) const {
  if (count_ == 0) return 0;
  const uint64_t wanted = std::max<uint64_t>((count_ * permille + kWhole - 1) / kWhole, 1);
  uint64_t below = 0;
  size_t bucket = 0;
  while (bucket + 1 < kBuckets && (below += counts_[bucket]) < wanted) ++bucket;
  const bool last = bucket + 1 == kBuckets;
  return last ? longest_ns_ : std::min(end_of(bucket), longest_ns_);
}

void RecentWaits::add(Nanoseconds wait_ns, Nanoseconds now) {
  const Nanoseconds turn = now / kTurnNs;
  if (turn > turn_) {
    before_ = turn == turn_ + 1 ? current_ : WaitHistogram();
    current_.clear();
    turn_ = turn;
  }
  current_.add(wait_ns);
}

WaitHistogram RecentWaits::histogram(Nanoseconds now) const {
  const Nanoseconds turn = now / kTurnNs;
  if (turn > turn_ + 1) return WaitHistogram();
  WaitHistogram all = current_;
  if (turn <= turn_) all.merge(before_);
  return all;
}

}  // namespace tessera::scheduling

// Waits by length, in fixed memory: eight buckets an octave from a microsecond to two minutes, so that a
// quantile is right within an eighth.
#pragma once

#include <array>
#include <cstddef>

#include "scheduling/time.h"

namespace tessera::scheduling {

class WaitHistogram {
 public:
  void add(Nanoseconds wait_ns);
  void clear() { *this = WaitHistogram(); }
  void merge(const WaitHistogram& other);

  uint64_t count() const { return count_; }
  // The least wait that `parts` of 1000 waits do not exceed, rounded up to its bucket's end, or the longest
  // that was seen where that is less; 0 where there was none.
  Nanoseconds quantile(uint32_t permille) const;

 private:
  static constexpr int kShortestLog2 = 10, kLongestLog2 = 37, kPerOctaveLog2 = 3;
  static constexpr size_t kBuckets = static_cast<size_t>(kLongestLog2 - kShortestLog2) << kPerOctaveLog2;

  static size_t bucket_of(Nanoseconds wait_ns);
  static Nanoseconds end_of(size_t bucket);

  std::array<uint32_t, kBuckets> counts_{};
  uint64_t count_ = 0;
  Nanoseconds longest_ns_ = 0;
};

// The waits of the last kTurnNs to 2 * kTurnNs.
class RecentWaits {
 public:
  static constexpr Nanoseconds kTurnNs = 10 * kSecond;

  void add(Nanoseconds wait_ns, Nanoseconds now);
  WaitHistogram histogram(Nanoseconds now) const;

 private:
  WaitHistogram current_, before_;
  Nanoseconds turn_ = 0;  // of current_, in kTurnNs
};

}  // namespace tessera::scheduling

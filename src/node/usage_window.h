// How much of a GPU's time was used lately: samples of a sum that only grows, over the last seconds. Pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace tessera::node {

class UsageWindow {
 public:
  static constexpr uint64_t kSampleNs = 500'000'000;
  static constexpr size_t kSamples = 11;  // 5 s

  // Kept where the last one is old enough.
  void sample(uint64_t now_ns, uint64_t busy_ns) {
    if (count_ > 0 && now_ns < newest().at_ns + kSampleNs) return;
    samples_[count_++ % kSamples] = {now_ns, busy_ns};
  }

  // Thousandths of the time between the oldest sample kept and now; 0 before there is one.
  uint32_t used_permille(uint64_t now_ns, uint64_t busy_ns) const {
    if (count_ == 0) return 0;
    const Sample& oldest = samples_[count_ < kSamples ? 0 : count_ % kSamples];
    if (now_ns <= oldest.at_ns || busy_ns <= oldest.busy_ns) return 0;
    const uint64_t permille = (busy_ns - oldest.busy_ns) * 1000 / (now_ns - oldest.at_ns);
    return permille < 1000 ? static_cast<uint32_t>(permille) : 1000;
  }

 private:
  struct Sample {
    uint64_t at_ns;
    uint64_t busy_ns;
  };
  const Sample& newest() const { return samples_[(count_ - 1) % kSamples]; }

  std::array<Sample, kSamples> samples_{};
  size_t count_ = 0;
};

}  // namespace tessera::node

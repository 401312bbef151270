#include "memory/codec/encoding_choice.h"

#include <algorithm>
#include <cassert>
#include <numeric>

namespace tessera::memory {
namespace {

using Seen = std::array<uint8_t, 256>;  // 1 for each byte there is: to set one waits for nothing

// Of 128 bytes as random as can be about 101 differ; where every other one is, about 65; of a text's
// about 25.
uint8_t variety(const Seen& seen) {
  const int different = std::accumulate(seen.begin(), seen.end(), 0);
  return different > 85 ? 3 : different > 45 ? 2 : different > 13 ? 1 : 0;
}

// What disturbs a measurement only makes it longer: down at once, up by little.
void approach(float& estimate, double value, bool first) {
  if (first || value < estimate) {
    estimate = static_cast<float>(value);
  } else {
    estimate += static_cast<float>((std::min(value, 2.0 * estimate + 1e-3) - estimate) / 16);
  }
}

}  // namespace

PageLooks page_looks(std::span<const uint8_t> page) {
  constexpr size_t kSamples = 8, kSampleBytes = 32;
  std::array<Seen, 2> seen{};
  const size_t samples = std::min(kSamples, page.size() / kSampleBytes);
  // Not at equal distances alone: rows of a matrix are equally far apart, too.
  for (size_t sample = 0; sample < samples; ++sample) {
    const size_t slots = page.size() / kSampleBytes / samples;
    const size_t slot = sample * slots + sample * 7 % slots;
    const uint8_t* const at = page.data() + slot * kSampleBytes;
    for (size_t i = 0; i < kSampleBytes; ++i) seen[i % 2][at[i]] = 1;
  }
  return static_cast<PageLooks>(variety(seen[0]) | variety(seen[1]) << 2);
}

EncodingChoice::EncodingChoice(double bandwidth, Work work)
    : nanoseconds_(1e9 / bandwidth), work_(work), classes_(kPageLooks) {
  assert(bandwidth > 0);
}

void EncodingChoice::set_bandwidth(double bandwidth) {
  assert(bandwidth > 0);
  nanoseconds_ = 1e9 / bandwidth;
}

double EncodingChoice::cost(const Known& known) const {
  const double work = known.encode + known.decode, transfer = known.stored * nanoseconds_;
  if (work_ == Work::kAroundTransfer) return work + transfer;
  // A processor's time is worth something, too, and what gains next to nothing is not worth it.
  constexpr double kWorkBeside = 0.1;
  return std::max({double{known.encode}, double{known.decode}, transfer}) + kWorkBeside * work;
}

uint8_t EncodingChoice::best(PageLooks looks) const {
  const auto& encodings = classes_[looks].encodings;
  uint8_t best = 0;
  for (uint8_t encoding = 1; encoding < kEncodings; ++encoding) {
    const Known& known = encodings[encoding];
    if (known.trials > 0 && cost(known) < cost(encodings[best])) best = encoding;
  }
  return best;
}

std::optional<uint8_t> EncodingChoice::trial(PageLooks looks) {
  Class& known = classes_[looks];
  const auto hopeless = [&](uint8_t encoding) {
    return cost(known.encodings[encoding]) > kHopeless * cost(known.encodings[best(looks)]);
  };
  // All of them in turn, so that what is slow for a moment is not slow for one encoding alone.
  for (uint32_t trials = 0; trials < kFirstTrials; ++trials) {
    for (uint8_t encoding = 0; encoding < kEncodings; ++encoding) {
      if (known.encodings[encoding].trials <= trials && (trials < 2 || !hopeless(encoding))) return encoding;
    }
  }
  if (++known.pages % kPagesBetweenTrials != 0) return std::nullopt;
  for (size_t tried = 0; tried < kEncodings; ++tried) {
    const uint8_t next = known.next_trial;
    known.next_trial = static_cast<uint8_t>((next + 1) % kEncodings);
    if (!hopeless(next)) return next;
  }
  return std::nullopt;
}

void EncodingChoice::report(PageLooks looks, uint8_t encoding, const Outcome& outcome) {
  Known& known = classes_[looks].encodings[encoding];
  const auto bytes = static_cast<double>(outcome.page_bytes);
  approach(known.encode, static_cast<double>(outcome.encode_nanoseconds) / bytes, known.trials == 0);
  // Not disturbed by anything: a mean.
  const double stored = static_cast<double>(outcome.stored_bytes) / bytes;
  known.stored += static_cast<float>((stored - known.stored) / (known.trials == 0 ? 1 : 8));
}

void EncodingChoice::report_trial(PageLooks looks, uint8_t encoding, const Outcome& outcome) {
  report(looks, encoding, outcome);
  Known& known = classes_[looks].encodings[encoding];
  approach(known.decode,
           static_cast<double>(outcome.decode_nanoseconds) / static_cast<double>(outcome.page_bytes),
           known.trials == 0);
  ++known.trials;
}

}  // namespace tessera::memory

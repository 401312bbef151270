#include "memory/codec/adaptive_codec.h"

#include <algorithm>

namespace tessera::memory {

Result<size_t> AdaptiveCodec::encode_timed(uint8_t encoding, std::span<const uint8_t> page,
                                           std::span<uint8_t> to, EncodingChoice::Outcome& outcome) {
  const uint64_t before = clock_();
  const Result<size_t> stored = codec_.encode(kPageEncodings[encoding], page, to);
  outcome.encode_nanoseconds = clock_() - before;
  outcome.page_bytes = page.size();
  if (stored.ok()) outcome.stored_bytes = *stored;
  return stored;
}

Result<size_t> AdaptiveCodec::try_out(PageLooks looks, uint8_t encoding, std::span<const uint8_t> page,
                                      std::span<uint8_t> to) {
  EncodingChoice::Outcome outcome;
  TESSERA_ASSIGN_OR_RETURN(const size_t stored, encode_timed(encoding, page, to, outcome));
  if (tried_.size() < page.size()) tried_.resize(page.size());
  const uint64_t encoded = clock_();
  TESSERA_RETURN_IF_ERROR(codec_.decode(to.first(stored), std::span(tried_).first(page.size())));
  outcome.decode_nanoseconds = clock_() - encoded;
  choice_.report_trial(looks, encoding, outcome);
  return stored;
}

Result<size_t> AdaptiveCodec::encode(std::span<const uint8_t> page, std::span<uint8_t> to) {
  if (all_zeros(page)) return codec_.encode_zeros(page.size(), to);
  const PageLooks looks = page_looks(page);
  if (const std::optional<uint8_t> trial = choice_.trial(looks)) {
    if (page.size() <= kTrialBytes) return try_out(looks, *trial, page, to);
    const size_t middle = (page.size() - kTrialBytes) / 2;
    TESSERA_RETURN_IF_ERROR(try_out(looks, *trial, page.subspan(middle, kTrialBytes), to).status());
  }
  const uint8_t best = choice_.best(looks);
  // Some are timed for all: a small page is copied in little more time than it takes to read the clock.
  if (++encoded_ % kPagesTimed != 0) return codec_.encode(kPageEncodings[best], page, to);
  EncodingChoice::Outcome outcome;
  TESSERA_ASSIGN_OR_RETURN(const size_t stored, encode_timed(best, page, to, outcome));
  choice_.report(looks, best, outcome);
  return stored;
}

}  // namespace tessera::memory

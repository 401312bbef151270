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

Status AdaptiveCodec::try_part(PageLooks looks, std::span<const uint8_t> page, std::span<uint8_t> to) {
  const std::optional<uint8_t> trial = choice_.trial(looks);
  if (!trial) return {};
  const size_t bytes = std::min(page.size(), kTrialBytes), middle = (page.size() - bytes) / 2;
  return try_out(looks, *trial, page.subspan(middle, bytes), to).status();
}

Result<size_t> AdaptiveCodec::encode_best(PageLooks looks, uint8_t best, std::span<const uint8_t> page,
                                          std::span<uint8_t> to) {
  // Some are timed for all: a small page is copied in little more time than it takes to read the clock.
  if (++encoded_ % kPagesTimed != 0) return codec_.encode(kPageEncodings[best], page, to);
  EncodingChoice::Outcome outcome;
  TESSERA_ASSIGN_OR_RETURN(const size_t stored, encode_timed(best, page, to, outcome));
  choice_.report(looks, best, outcome);
  return stored;
}

Result<size_t> AdaptiveCodec::encode(std::span<const uint8_t> page, std::span<uint8_t> to) {
  if (all_zeros(page)) return codec_.encode_zeros(page.size(), to);
  const PageLooks looks = page_looks(page);
  if (page.size() <= kTrialBytes) {
    if (const std::optional<uint8_t> trial = choice_.trial(looks)) return try_out(looks, *trial, page, to);
  } else {
    TESSERA_RETURN_IF_ERROR(try_part(looks, page, to));
  }
  return encode_best(looks, choice_.best(looks), page, to);
}

Result<PageLooks> AdaptiveCodec::close_looks(std::span<const uint8_t> page, std::span<uint8_t> to) {
  const PageLooks looks = page_looks(page);
  if (page.size() < kWorthALook) return looks;
  const auto part = page.subspan((page.size() - kLookedAtBytes) / 2, kLookedAtBytes);
  TESSERA_ASSIGN_OR_RETURN(const size_t stored, codec_.encode({Compression::kLz4, 1}, part, to));
  return stored < kLookedAtBytes / 8 * 7 ? static_cast<PageLooks>(looks | kRepeats) : looks;
}

Result<size_t> AdaptiveCodec::encode_or_leave(std::span<const uint8_t> page, std::span<uint8_t> to) {
  if (all_zeros(page)) return codec_.encode_zeros(page.size(), to);
  TESSERA_ASSIGN_OR_RETURN(const PageLooks looks, close_looks(page, to));
  TESSERA_RETURN_IF_ERROR(try_part(looks, page, to));
  const uint8_t best = choice_.best(looks);
  if (kPageEncodings[best].compression == Compression::kNone) return size_t{0};
  return encode_best(looks, best, page, to);
}

Result<size_t> AdaptiveCodec::encode_in_place(size_t page_bytes, std::span<uint8_t> at,
                                              std::span<uint8_t> other, bool& moved) {
  const std::span<const uint8_t> page = at.subspan(codec_.payload_at(), page_bytes);
  const PageLooks looks = page_looks(page);
  TESSERA_RETURN_IF_ERROR(try_part(looks, page, other));
  const uint8_t best = choice_.best(looks);
  moved = kPageEncodings[best].compression != Compression::kNone;
  return moved ? encode_best(looks, best, page, other) : codec_.encode_in_place(page_bytes, at);
}

}  // namespace tessera::memory

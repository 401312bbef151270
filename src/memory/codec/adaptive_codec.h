// A page codec that finds the encodings by itself; see encoding_choice.h. One thread at a time.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "memory/codec/encoding_choice.h"
#include "memory/codec/page_codec.h"

namespace tessera::memory {

class AdaptiveCodec {
 public:
  using Clock = uint64_t (*)();  // nanoseconds that rise

  AdaptiveCodec(double bandwidth, Clock clock, Protection protection = Protection::kHeader,
                PageCipher* cipher = nullptr)
      : codec_(protection, cipher), choice_(bandwidth), clock_(clock) {}
  AdaptiveCodec(double bandwidth, Clock clock, Work work)
      : codec_(Protection::kHeader, nullptr), choice_(bandwidth, work), clock_(clock) {}

  // From here on pages go another way, or the same at another speed.
  void set_bandwidth(double bandwidth) { choice_.set_bandwidth(bandwidth); }

  // As PageCodec does, with its bound's room.
  Result<size_t> encode(std::span<const uint8_t> page, std::span<uint8_t> to);
  // As encode(), but 0 where the page is best left as it is: then it has not been copied.
  Result<size_t> encode_or_leave(std::span<const uint8_t> page, std::span<uint8_t> to);
  // Of a page that lies in `at` already, PageCodec::payload_at() bytes from its begin. What is not to be
  // compressed stays there; else `other` has what is stored, and `moved` is true. Both have the bound's room.
  Result<size_t> encode_in_place(size_t page_bytes, std::span<uint8_t> at, std::span<uint8_t> other,
                                 bool& moved);
  Status decode(std::span<const uint8_t> stored, std::span<uint8_t> page) {
    return codec_.decode(stored, page);
  }
  PageCodec& plain() { return codec_; }

 private:
  // A trial takes no more of a page: it is the first pages of their looks that pay for it.
  static constexpr size_t kTrialBytes = 64 << 10;
  static constexpr uint32_t kPagesTimed = 8;  // one of so many

  // Pages that take long on their way are worth a closer look: a part of them says whether they repeat
  // themselves.
  static constexpr size_t kWorthALook = 256 << 10, kLookedAtBytes = 16 << 10;
  Result<PageLooks> close_looks(std::span<const uint8_t> page, std::span<uint8_t> to);

  // The best known for a page of these looks, once it was used.
  Result<size_t> encode_best(PageLooks looks, uint8_t best, std::span<const uint8_t> page,
                             std::span<uint8_t> to);
  Result<size_t> encode_timed(uint8_t encoding, std::span<const uint8_t> page, std::span<uint8_t> to,
                              EncodingChoice::Outcome& outcome);
  // Where it is time for one, a trial with a part of the page.
  Status try_part(PageLooks looks, std::span<const uint8_t> page, std::span<uint8_t> to);
  Result<size_t> try_out(PageLooks looks, uint8_t encoding, std::span<const uint8_t> page,
                         std::span<uint8_t> to);

  PageCodec codec_;
  EncodingChoice choice_;
  const Clock clock_;
  uint32_t encoded_ = 0;
  std::vector<uint8_t> tried_;  // where a trial is decoded to
};

}  // namespace tessera::memory

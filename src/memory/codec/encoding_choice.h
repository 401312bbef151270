// Which encoding a page is to have: by what pages of its looks have cost before. Pure: what encodings took is
// said to it.
//
// The measure of goodness is the time that a page needs to be away and back:
//
//   stored bytes / bandwidth of the way + time to encode + time to decode
//
// or, where pages follow each other and all three go on at once, the longest of these, and a little for the
// work.
//
// A few samples of a page tell its looks. For each looks every encoding is tried, then the one whose measure
// is least is used; now and then another one that is not hopeless is tried again, for looks are only looks,
// and machines change their speed.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "memory/codec/page_codec.h"

namespace tessera::memory {

inline constexpr std::array<PageEncoding, 10> kPageEncodings = {{
    {Compression::kNone, 1},
    {Compression::kLz4, 1},
    {Compression::kZstd, 1},
    {Compression::kSnappy, 1},
    {Compression::kLz4, 2},
    {Compression::kZstd, 2},
    {Compression::kSnappy, 2},
    {Compression::kLz4, 4},
    {Compression::kZstd, 4},
    {Compression::kSnappy, 4},
}};

inline constexpr uint8_t kEncodings = kPageEncodings.size();

// How many different bytes some samples have, at even and at odd addresses: 2 bits each. Few looks are soon
// known, and what lies between two of them is known twice only.
using PageLooks = uint8_t;
inline constexpr size_t kPageLooks = 32;
// Set where somebody has seen that the page repeats what was there before: bytes that look random may.
inline constexpr PageLooks kRepeats = 16;
PageLooks page_looks(std::span<const uint8_t> page);

// Whether encoding and decoding are done before and after the transfer, or beside that of other pages.
enum class Work : uint8_t { kAroundTransfer, kBesideTransfer };

class EncodingChoice {
 public:
  struct Outcome {
    uint64_t page_bytes = 0;
    uint64_t stored_bytes = 0;
    uint64_t encode_nanoseconds = 0;
    uint64_t decode_nanoseconds = 0;  // of a trial
  };

  // Bytes a second of where pages go: a link, a disk, memory.
  explicit EncodingChoice(double bandwidth, Work work = Work::kAroundTransfer);
  void set_bandwidth(double bandwidth);

  // Which encoding to try on a page, or a part of one, of these looks; nothing, for most pages. To be asked
  // once a page.
  std::optional<uint8_t> trial(PageLooks looks);
  // The best one known: numbers are those of kPageEncodings.
  uint8_t best(PageLooks looks) const;

  // What came of a trial, decoding included, and what came of an encoding that was used.
  void report_trial(PageLooks looks, uint8_t encoding, const Outcome& outcome);
  void report(PageLooks looks, uint8_t encoding, const Outcome& outcome);

 private:
  static constexpr uint32_t kFirstTrials = 3;  // of each encoding that is not hopeless after the second one
  static constexpr uint32_t kPagesBetweenTrials = 256;
  static constexpr double kHopeless = 3;  // times the best

  struct Known {
    uint32_t trials = 0;
    float encode = 0, decode = 0, stored = 0;  // nanoseconds a byte, and the share of the page
  };
  struct Class {
    std::array<Known, kEncodings> encodings;
    uint32_t pages = 0;
    uint8_t next_trial = 0;
  };

  double cost(const Known& known) const;

  double nanoseconds_;  // that a byte is on its way
  const Work work_;
  std::vector<Class> classes_;
};

}  // namespace tessera::memory

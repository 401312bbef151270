#include "memory/codec/page_codec.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <set>

#include "memory/codec/adaptive_codec.h"
#include "memory/codec/byte_planes.h"

namespace tessera::memory {
namespace {

using Bytes = std::vector<uint8_t>;

Bytes random_bytes(size_t count, uint64_t seed) {
  std::mt19937_64 random(seed);
  Bytes bytes(count);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
  return bytes;
}

// As weights are: exponents alike, the rest random.
Bytes floats(size_t count) {
  std::mt19937_64 random(1);
  std::normal_distribution<float> weight(0, 0.02f);
  Bytes bytes(count);
  for (size_t at = 0; at + 4 <= count; at += 4) {
    const float value = weight(random);
    std::memcpy(bytes.data() + at, &value, 4);
  }
  return bytes;
}

Bytes stored_of(PageCodec& codec, PageEncoding encoding, std::span<const uint8_t> page) {
  Bytes stored(PageCodec::bound(page.size()));
  const Result<size_t> bytes = codec.encode(encoding, page, stored);
  EXPECT_TRUE(bytes.ok()) << bytes.status().message();
  stored.resize(bytes.ok() ? *bytes : 0);
  return stored;
}

TEST(BytePlanes, JoinWhatWasSplit) {
  for (const uint32_t width : {2u, 4u}) {
    for (const size_t size : {size_t{1}, size_t{7}, size_t{64}, size_t{65537}}) {
      const Bytes bytes = random_bytes(size, size);
      Bytes planes(size), joined(size);
      split_planes(bytes.data(), planes.data(), size, width);
      join_planes(planes.data(), joined.data(), size, width);
      EXPECT_EQ(joined, bytes);
    }
  }
  const Bytes words = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  Bytes planes(words.size());
  split_planes(words.data(), planes.data(), words.size(), 4);
  EXPECT_EQ(planes, (Bytes{1, 5, 2, 6, 3, 7, 4, 8, 9}));
}

TEST(PageCodec, EveryEncodingAndProtectionBringsEveryPageBack) {
  auto cipher = PageCipher::create();
  ASSERT_TRUE(cipher.ok()) << cipher.status().message();
  for (const Protection protection : {Protection::kHeader, Protection::kChecksum, Protection::kSealed}) {
    PageCodec codec(protection, protection == Protection::kSealed ? cipher->get() : nullptr);
    for (const PageEncoding encoding : kPageEncodings) {
      for (const size_t size : {size_t{1}, size_t{4096}, size_t{65537}, size_t{2} << 20}) {
        for (const Bytes& page : {Bytes(size), random_bytes(size, 1), floats(size), Bytes(size, 'x')}) {
          const Bytes stored = stored_of(codec, encoding, page);
          Bytes back(size, 0xcc);
          const Status decoded = codec.decode(stored, back);
          ASSERT_TRUE(decoded.ok()) << decoded.message();
          ASSERT_EQ(back, page);
        }
      }
    }
  }
}

TEST(PageCodec, RandomPagesGrowByLessThanAThousandth) {
  auto cipher = PageCipher::create();
  ASSERT_TRUE(cipher.ok());
  constexpr size_t kPage = 64 << 10;
  const Bytes page = random_bytes(kPage, 1);
  PageCodec codec(Protection::kSealed, cipher->get());
  for (const PageEncoding encoding : kPageEncodings) {
    EXPECT_LE(stored_of(codec, encoding, page).size(), kPage + kPage / 1000);
  }
}

TEST(PageCodec, PlanesMakeFloatsSmaller) {
  PageCodec codec;
  const Bytes page = floats(64 << 10);
  const size_t plain = stored_of(codec, {Compression::kZstd, 1}, page).size();
  const size_t planes = stored_of(codec, {Compression::kZstd, 4}, page).size();
  EXPECT_LT(planes, plain * 95 / 100);
}

TEST(PageCodec, AnyDamageToAProtectedPageIsSeen) {
  auto cipher = PageCipher::create();
  ASSERT_TRUE(cipher.ok());
  for (const Protection protection : {Protection::kChecksum, Protection::kSealed}) {
    PageCodec codec(protection, protection == Protection::kSealed ? cipher->get() : nullptr);
    const Bytes stored = stored_of(codec, {Compression::kLz4, 2}, floats(4096));
    Bytes page(4096);
    for (size_t at = 0; at < stored.size(); ++at) {
      Bytes damaged = stored;
      damaged[at] ^= 0x10;
      ASSERT_EQ(codec.decode(damaged, page).code(), Code::kInvalidData) << "byte " << at;
    }
    for (size_t size = 0; size < stored.size(); ++size) {
      ASSERT_EQ(codec.decode(std::span(stored).first(size), page).code(), Code::kInvalidData);
    }
  }
}

TEST(PageCodec, ASealedPageCannotBePassedOffAsAnUnsealedOne) {
  auto cipher = PageCipher::create();
  ASSERT_TRUE(cipher.ok());
  PageCodec sealed(Protection::kSealed, cipher->get()), open(Protection::kHeader);
  const Bytes page(4096, 1);
  Bytes back(4096);
  EXPECT_EQ(sealed.decode(stored_of(open, {}, page), back).code(), Code::kInvalidData);
  EXPECT_EQ(open.decode(stored_of(sealed, {}, page), back).code(), Code::kInvalidData);
}

TEST(PageCodec, SealedPagesShowNothingAndNeverUseANonceTwice) {
  auto cipher = PageCipher::create();
  ASSERT_TRUE(cipher.ok());
  PageCodec codec(Protection::kSealed, cipher->get());
  const Bytes page = random_bytes(4096, 1);
  std::set<Bytes> nonces;
  for (int i = 0; i < 1000; ++i) {
    const Bytes stored = stored_of(codec, {}, page);
    nonces.emplace(stored.begin() + PageHeader::kBytes,
                   stored.begin() + PageHeader::kBytes + PageHeader::kNonceBytes);
    ASSERT_EQ(std::search(stored.begin(), stored.end(), page.begin(), page.begin() + 16), stored.end());
  }
  EXPECT_EQ(nonces.size(), 1000u);
}

TEST(PageCipher, TheKeyIsNeitherAnotherCiphersNorAChilds) {
  auto cipher = PageCipher::create(), other = PageCipher::create();
  ASSERT_TRUE(cipher.ok() && other.ok());
  PageCodec codec(Protection::kSealed, cipher->get()), strange(Protection::kSealed, other->get());
  const Bytes page(4096, 1), stored = stored_of(codec, {}, page);
  Bytes back(4096), room(PageCodec::bound(page.size()));
  EXPECT_EQ(strange.decode(stored, back).code(), Code::kInvalidData);
  const pid_t child = fork();
  if (child == 0) {
    const bool refused = codec.decode(stored, back).code() == Code::kFailedPrecondition &&
                         codec.encode({}, page, room).status().code() == Code::kFailedPrecondition;
    _exit(refused ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TEST(PageCodec, RefusesPagesThatAreTooLongOrEmpty) {
  PageCodec codec;
  Bytes room(PageCodec::bound(1));
  EXPECT_EQ(codec.encode({}, {}, room).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(codec.encode({}, Bytes(PageHeader::kMostPageBytes + 1), room).status().code(),
            Code::kInvalidArgument);
}

// Costs by a table instead of a clock: which encoding is best is known, and how far from it the choice was.
class TableOfCosts {
 public:
  // Nanoseconds a byte to encode and to decode, and the share of the page that is stored.
  struct Cost {
    double encode, decode, stored;
  };
  TableOfCosts() {
    std::mt19937_64 random(7);
    std::uniform_real_distribution<> any(0.1, 1);
    for (auto& of_class : costs_) {
      for (Cost& cost : of_class) cost = {any(random) * 2, any(random), any(random)};
      of_class[0] = {0.1, 0.1, 1};
    }
  }
  EncodingChoice::Outcome outcome(PageLooks looks, uint8_t encoding, double noise) const {
    constexpr double kBytes = 65536;
    const Cost& cost = costs_[looks % 4][encoding];
    return {65536, static_cast<uint64_t>(cost.stored * kBytes),
            static_cast<uint64_t>(cost.encode * kBytes * noise),
            static_cast<uint64_t>(cost.decode * kBytes * noise)};
  }
  double of(PageLooks looks, uint8_t encoding, double bandwidth) const {
    const Cost& cost = costs_[looks % 4][encoding];
    return 65536 * (cost.encode + cost.decode + cost.stored * 1e9 / bandwidth);
  }

 private:
  std::array<std::array<Cost, kEncodings>, 4> costs_;
};

// One page: on trial if one is due, and by the best known encoding otherwise.
template <typename Costs>
uint8_t use_one(EncodingChoice& choice, PageLooks looks, Costs costs) {
  if (const std::optional<uint8_t> trial = choice.trial(looks)) {
    choice.report_trial(looks, *trial, costs(*trial));
    return *trial;
  }
  const uint8_t best = choice.best(looks);
  choice.report(looks, best, costs(best));
  return best;
}

TEST(EncodingChoice, ComesWithinFivePercentOfTheBest) {
  for (const double bandwidth : {1e8, 1e9, 1e10}) {
    const TableOfCosts table;
    EncodingChoice choice(bandwidth);
    std::mt19937_64 random(1);
    double spent = 0, least = 0;
    for (int page = 0; page < 20000; ++page) {
      const auto looks = static_cast<PageLooks>(random() % 4);
      const double noise = random() % 50 == 0 ? 20 : 1 + static_cast<double>(random() % 100) / 1000;
      const uint8_t chosen =
          use_one(choice, looks, [&](uint8_t encoding) { return table.outcome(looks, encoding, noise); });
      double best = table.of(looks, 0, bandwidth);
      for (uint8_t encoding = 1; encoding < kEncodings; ++encoding) {
        best = std::min(best, table.of(looks, encoding, bandwidth));
      }
      spent += table.of(looks, chosen, bandwidth);
      least += best;
    }
    EXPECT_LE(spent, least / 0.95) << bandwidth << " bytes a second";
  }
}

TEST(EncodingChoice, NoticesThatTheBestHasChanged) {
  EncodingChoice choice(1e9);
  const auto run = [&](uint8_t good, int pages) {
    int used = 0;
    for (int page = 0; page < pages; ++page) {
      const uint8_t chosen = use_one(choice, 0, [&](uint8_t encoding) {
        return EncodingChoice::Outcome{65536, encoding == good ? 30000u : 60000u, 10000, 5000};
      });
      used += chosen == good ? 1 : 0;
    }
    return used;
  };
  EXPECT_GE(run(2, 1000), 950);
  (void)run(5, 4000);
  EXPECT_GE(run(5, 1000), 950);
}

// One that halves the page at the pace of the way is worth it only where the work goes on beside the
// transfer; one that saves next to nothing never is.
TEST(EncodingChoice, WorkBesideTheTransferHidesInIt) {
  const auto best = [](Work work, double bandwidth) {
    EncodingChoice choice(bandwidth, work);
    for (int page = 0; page < 100; ++page) {
      (void)use_one(choice, 0, [&](uint8_t encoding) {
        if (encoding == 1) return EncodingChoice::Outcome{65536, 32768, 40000, 10000};
        if (encoding == 2) return EncodingChoice::Outcome{65536, 65400, 30000, 1000};
        return EncodingChoice::Outcome{65536, 65536, 3000, 3000};
      });
    }
    return choice.best(0);
  };
  EXPECT_EQ(best(Work::kBesideTransfer, 1e9), 1);
  EXPECT_EQ(best(Work::kAroundTransfer, 1e9), 0);
  EXPECT_EQ(best(Work::kAroundTransfer, 1e8), 1);
  EXPECT_EQ(best(Work::kBesideTransfer, 1e10), 0);
}

TEST(PageLooks, TellsDataOfDifferentKindsApart) {
  constexpr size_t kPage = 64 << 10;
  std::set<PageLooks> all;
  for (const Bytes& page : {Bytes(kPage), random_bytes(kPage, 1), floats(kPage)})
    all.insert(page_looks(page));
  EXPECT_EQ(all.size(), 3u);
  EXPECT_EQ(page_looks(random_bytes(kPage, 1)), page_looks(random_bytes(kPage, 2)));
  (void)page_looks(Bytes(1, 1));
}

TEST(AdaptiveCodec, LeavesWhatIsBestAsItIsWhereItLies) {
  static uint64_t now = 0;
  AdaptiveCodec codec(
      1e6, [] { return now += 1000; }, Work::kBesideTransfer);
  const Bytes noise = random_bytes(256 << 10, 3), numbers = floats(256 << 10), zeros(256 << 10);
  Bytes room(PageCodec::bound(noise.size())), back(noise.size());
  size_t last = 1;
  for (int i = 0; i < 60; ++i) {
    last = codec.encode_or_leave(noise, room).value();
    const size_t stored = codec.encode_or_leave(numbers, room).value();
    if (stored == 0) continue;
    ASSERT_TRUE(codec.decode(std::span(room).first(stored), back).ok());
    ASSERT_EQ(back, numbers);
  }
  EXPECT_EQ(last, 0u);
  EXPECT_GT(codec.encode_or_leave(numbers, room).value(), 0u);
  EXPECT_EQ(codec.encode_or_leave(zeros, room).value(), PageHeader::kBytes);
}

// Each run of 1 KiB twice: their bytes look as those of noise do.
Bytes twice(size_t bytes, unsigned seed) {
  Bytes page = random_bytes(bytes, seed);
  for (size_t at = 0; at + 2048 <= bytes; at += 2048)
    std::copy_n(page.begin() + static_cast<ptrdiff_t>(at), 1024,
                page.begin() + static_cast<ptrdiff_t>(at) + 1024);
  return page;
}

TEST(AdaptiveCodec, NoiseDoesNotHideWhatRepeatsItself) {
  static uint64_t now = 0;
  AdaptiveCodec codec(
      1e6, [] { return now += 1000; }, Work::kBesideTransfer);
  constexpr size_t kLarge = 1 << 20;
  Bytes room(PageCodec::bound(kLarge));
  const Bytes noise = random_bytes(kLarge, 7), repeating = twice(kLarge, 8);
  for (int i = 0; i < 64; ++i) EXPECT_EQ(codec.encode_or_leave(noise, room).value(), 0u);
  // Once the encodings have been tried.
  size_t stored = 0;
  for (int i = 0; i < 32; ++i) stored = codec.encode_or_leave(repeating, room).value();
  EXPECT_GT(stored, 0u);
  EXPECT_LT(stored, kLarge * 6 / 10);
  EXPECT_EQ(codec.encode_or_leave(noise, room).value(), 0u);
}

TEST(AdaptiveCodec, SettlesOnWhatMakesPagesSmallWhereTheWayIsSlow) {
  static uint64_t now = 0;
  AdaptiveCodec codec(1e6, [] { return now += 1000; });
  const Bytes page = floats(64 << 10);
  size_t last = 0;
  Bytes back(page.size()), room(PageCodec::bound(page.size()));
  for (int i = 0; i < 60; ++i) {
    const Result<size_t> stored = codec.encode(page, room);
    ASSERT_TRUE(stored.ok());
    last = *stored;
    ASSERT_TRUE(codec.decode(std::span(room).first(last), back).ok());
    ASSERT_EQ(back, page);
  }
  PageCodec plain;
  for (const PageEncoding encoding : kPageEncodings) {
    EXPECT_LE(last, stored_of(plain, encoding, page).size());
  }
}

}  // namespace
}  // namespace tessera::memory

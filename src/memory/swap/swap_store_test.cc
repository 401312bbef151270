#include "memory/swap/swap_store.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <random>

namespace tessera::memory {
namespace {

constexpr uint64_t kGranule = uint64_t{1} << 20;
using Where = SwapStore::Kept::Where;
using Bytes = std::vector<uint8_t>;

class Bounded : public SwapStore::Budget {
 public:
  explicit Bounded(uint64_t bytes) : left_(bytes) {}
  Status charge(uint64_t bytes) override {
    if (bytes > left_) return Status(Code::kResourceExhausted, "no more of the host's memory");
    left_ -= bytes;
    return {};
  }
  void credit(uint64_t bytes) override { left_ += bytes; }
  uint64_t left() const { return left_; }

 private:
  uint64_t left_;
};

// A device whose granules are vectors.
class FakeCopies : public SwapStore::Transfer {
 public:
  explicit FakeCopies(std::vector<Bytes>& granules, bool out) : granules_(granules), out_(out) {}
  Status begin(size_t number, uint8_t* host) override {
    if (number == fails_at) return Status(Code::kInternal, "the device is gone");
    Bytes& granule = granules_[number];
    out_ ? memcpy(host, granule.data(), granule.size()) : memcpy(granule.data(), host, granule.size());
    return {};
  }
  Status wait() override { return {}; }

  size_t fails_at = SIZE_MAX;

 private:
  std::vector<Bytes>& granules_;
  const bool out_;
};

Bytes random_granule(uint32_t seed) {
  Bytes granule(kGranule);
  std::mt19937 dice(seed);
  for (size_t i = 0; i < granule.size(); i += 4) {
    const uint32_t value = dice();
    memcpy(granule.data() + i, &value, 4);
  }
  return granule;
}

// Zeros, noise, text, and numbers that compress.
std::vector<Bytes> many_granules() {
  std::vector<Bytes> granules;
  for (uint32_t i = 0; i < 12; ++i) {
    granules.push_back(random_granule(i));
    if (i % 4 == 0) std::fill(granules.back().begin(), granules.back().end(), uint8_t{0});
    if (i % 4 == 1) {
      for (size_t at = 0; at < kGranule; ++at) granules.back()[at] = "what is said again and again "[at % 29];
    }
    if (i % 4 == 2) {
      for (size_t at = 0; at < kGranule; at += 4) granules.back()[at] = granules.back()[at + 1] = 0;
    }
  }
  return granules;
}

struct Case {
  SwapOptions options;
  uint64_t host_bytes = uint64_t{1} << 40;
};

class SwapStoreTest : public testing::Test {
 protected:
  std::unique_ptr<SwapStore> make(const SwapOptions& options) {
    auto made = SwapStore::create(kGranule, options, budget_);
    EXPECT_TRUE(made.ok()) << made.status().message();
    return std::move(made).value();
  }
  size_t put(SwapStore& store, std::vector<Bytes>& granules) {
    kept_.resize(granules.size());
    FakeCopies out(granules, true);
    return store.put(kept_, out, status_);
  }

  Bounded budget_{uint64_t{1} << 40};
  std::vector<SwapStore::Kept> kept_;
  Status status_;
};

std::vector<SwapOptions> all_ways() {
  std::vector<SwapOptions> ways;
  for (SwapEncoding encoding : {SwapEncoding::kNone, SwapEncoding::kAdaptive, SwapEncoding::kLz4,
                                SwapEncoding::kZstd, SwapEncoding::kSnappy}) {
    for (bool encrypt : {false, true}) {
      for (const std::string& directory : {std::string(), testing::TempDir()}) {
        ways.push_back({encoding, encrypt, directory});
      }
    }
  }
  return ways;
}

TEST_F(SwapStoreTest, WhatIsPutComesBackWhicheverWayItIsKept) {
  for (const SwapOptions& options : all_ways()) {
    // Room in the host's memory for some of it, where there is a file for the rest.
    for (uint64_t bytes : {uint64_t{1} << 40, 5 * kGranule}) {
      if (options.directory.empty() && bytes == 5 * kGranule) continue;
      SCOPED_TRACE(std::string(swap_encoding_name(options.encoding)) + (options.encrypt ? " encrypted" : "") +
                   options.directory + " " + std::to_string(bytes));
      Bounded budget(bytes);
      auto store = std::move(SwapStore::create(kGranule, options, budget)).value();
      for (int round = 0; round < 3; ++round) {
        std::vector<Bytes> granules = many_granules();
        const std::vector<Bytes> before = granules;
        ASSERT_EQ(put(*store, granules), granules.size()) << status_.message();
        EXPECT_EQ(store->sizes().granule_bytes, granules.size() * kGranule);
        EXPECT_LE(store->sizes().host_bytes, bytes);
        EXPECT_EQ(kept_[0].where, Where::kNowhere) << "zeros";
        for (Bytes& granule : granules) std::fill(granule.begin(), granule.end(), uint8_t{0xaa});
        FakeCopies in(granules, false);
        ASSERT_TRUE(store->get(kept_, in).ok());
        EXPECT_TRUE(granules == before);
        for (const SwapStore::Kept& kept : kept_) store->give_back(kept);
        EXPECT_EQ(store->sizes().granule_bytes + store->sizes().host_bytes + store->sizes().file_bytes, 0u);
        EXPECT_EQ(budget.left(), bytes) << "all that was charged is given back";
      }
    }
  }
}

TEST_F(SwapStoreTest, WhatCompressesTakesLess) {
  std::vector<Bytes> granules = many_granules();
  auto raw = make({SwapEncoding::kNone, false, ""}), packed = make({SwapEncoding::kAdaptive, false, ""});
  put(*raw, granules);
  put(*packed, granules);
  EXPECT_EQ(raw->sizes().host_bytes, 9 * kGranule) << "all but the zeros";
  EXPECT_LT(packed->sizes().host_bytes, 8 * kGranule);
}

// What does not compress is stored in a block more at most.
TEST_F(SwapStoreTest, NoiseGrowsByABlock) {
  std::vector<Bytes> granules = {random_granule(1), random_granule(2)};
  for (const SwapOptions& options : all_ways()) {
    auto store = make(options);
    ASSERT_EQ(put(*store, granules), granules.size());
    EXPECT_LE(store->sizes().host_bytes, granules.size() * (kGranule + FileStore::kBlockBytes));
  }
}

TEST_F(SwapStoreTest, WhereTheHostHasNoMoreItSaysHowFarItCame) {
  for (SwapEncoding encoding : {SwapEncoding::kNone, SwapEncoding::kAdaptive}) {
    Bounded budget(3 * kGranule + 3 * FileStore::kBlockBytes);
    auto store = std::move(SwapStore::create(kGranule, {encoding, false, ""}, budget)).value();
    std::vector<Bytes> granules;
    for (uint32_t i = 0; i < 6; ++i) granules.push_back(random_granule(i));
    const std::vector<Bytes> before = granules;
    ASSERT_EQ(put(*store, granules), 3u);
    EXPECT_EQ(status_.code(), Code::kResourceExhausted);
    EXPECT_NE(status_.message().find("host's memory"), std::string::npos);
    FakeCopies in(granules, false);
    ASSERT_TRUE(store->get(std::span(kept_).first(3), in).ok());
    EXPECT_TRUE(granules == before);
  }
}

TEST_F(SwapStoreTest, AHostThatIsShortOfMemoryIsNotTakenMore) {
  const auto poor = [] { return HostStore::Memory{.available_bytes = uint64_t{100} << 20}; };
  auto store =
      std::move(SwapStore::create(kGranule, {SwapEncoding::kNone, false, ""}, budget_, poor)).value();
  std::vector<Bytes> granules = {random_granule(1)};
  EXPECT_EQ(put(*store, granules), 0u);
  EXPECT_EQ(status_.code(), Code::kResourceExhausted);
  auto with_file =
      std::move(SwapStore::create(kGranule, {SwapEncoding::kNone, false, testing::TempDir()}, budget_, poor))
          .value();
  EXPECT_EQ(put(*with_file, granules), 1u) << status_.message();
  EXPECT_EQ(kept_[0].where, Where::kFile);
}

// A limit on the size of files stands in for a disk that is full: the first write beyond it fails likewise.
TEST_F(SwapStoreTest, AFullDiskIsARefusalAndNothingIsLost) {
  signal(SIGXFSZ, SIG_IGN);
  Bounded nothing(0);
  auto store =
      std::move(SwapStore::create(kGranule, {SwapEncoding::kNone, false, testing::TempDir()}, nothing))
          .value();
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit less{5 * kGranule / 2, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &less), 0);
  std::vector<Bytes> granules;
  for (uint32_t i = 0; i < 6; ++i) granules.push_back(random_granule(i));
  const std::vector<Bytes> originals = granules;
  const size_t done = put(*store, granules);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_GE(done, 1u);
  EXPECT_LT(done, granules.size());
  EXPECT_EQ(status_.code(), Code::kResourceExhausted);
  FakeCopies in(granules, false);
  ASSERT_TRUE(store->get(std::span(kept_).first(done), in).ok());
  EXPECT_TRUE(granules == originals);
}

TEST_F(SwapStoreTest, ACopyThatFailsKeepsNothing) {
  for (SwapEncoding encoding : {SwapEncoding::kNone, SwapEncoding::kLz4}) {
    auto store = make({encoding, false, ""});
    std::vector<Bytes> granules = {random_granule(1), random_granule(2), random_granule(3)};
    kept_.resize(3);
    FakeCopies out(granules, true);
    out.fails_at = 1;
    const size_t done = store->put(kept_, out, status_);
    EXPECT_EQ(done, 1u);
    EXPECT_EQ(status_.code(), Code::kInternal);
    EXPECT_EQ(store->sizes().granule_bytes, done * kGranule);
  }
}

TEST_F(SwapStoreTest, AFolderThatIsNotThereIsNamed) {
  const auto made = SwapStore::create(kGranule, {SwapEncoding::kNone, false, "/nowhere/at/all"}, budget_);
  EXPECT_NE(made.status().message().find("/nowhere/at/all"), std::string::npos);
}

TEST_F(SwapStoreTest, TheFileHasNoName) {
  const std::string folder = testing::TempDir() + "/unnamed";
  std::filesystem::create_directory(folder);
  Bounded nothing(0);
  auto store = std::move(SwapStore::create(kGranule, {SwapEncoding::kNone, false, folder}, nothing)).value();
  std::vector<Bytes> granules = {random_granule(1)};
  ASSERT_EQ(put(*store, granules), 1u);
  EXPECT_TRUE(std::filesystem::is_empty(folder));
}

TEST(SwapEncodings, HaveNames) {
  for (const char* name : {"none", "adaptive", "lz4", "zstd", "snappy"})
    EXPECT_STREQ(swap_encoding_name(*parse_swap_encoding(name)), name);
  EXPECT_FALSE(parse_swap_encoding("gzip"));
}

}  // namespace
}  // namespace tessera::memory

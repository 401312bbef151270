#include "memory/pool/pool.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <random>
#include <thread>

#include "memory/pool/pool_check.h"
#include "memory/testing/fake_device.h"

namespace tessera::memory {
namespace {

constexpr uint64_t kKiB = 1024, kMiB = kKiB * 1024, kGiB = kMiB * 1024;
constexpr uint64_t kGranule = FakeDevice::kGranule;

uint64_t must(const Result<uint64_t>& address) {
  EXPECT_TRUE(address.ok()) << address.status().message();
  return address.ok() ? *address : 0;
}

TEST(Pool, FindsABlockByAnyAddressInIt) {
  FakeDevice device(64);
  Pool pool(device);
  for (const uint64_t bytes : {uint64_t{1}, 700 * uint64_t{1}, 16 * kKiB, 17 * kKiB, 3 * kMiB + 5}) {
    const uint64_t begin = must(pool.allocate(bytes));
    for (const uint64_t inner : {begin, begin + bytes / 2, begin + bytes - 1}) {
      const auto block = pool.find(inner);
      ASSERT_TRUE(block.has_value());
      EXPECT_EQ(block->begin, begin);
      EXPECT_EQ(block->bytes, bytes);
    }
    EXPECT_FALSE(pool.find(begin + bytes).has_value()) << "beyond what was asked for";
  }
  EXPECT_FALSE(pool.find(0).has_value());
  EXPECT_FALSE(pool.find(~uint64_t{0}).has_value());
}

TEST(Pool, RefusesWhatIsNoBlock) {
  FakeDevice device(64);
  Pool pool(device);
  EXPECT_EQ(pool.allocate(0).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(pool.allocate(~uint64_t{0}).status().code(), Code::kResourceExhausted);
  EXPECT_EQ(pool.free(0).code(), Code::kNotFound);
  for (const uint64_t bytes : {kKiB, kMiB}) {
    const uint64_t block = must(pool.allocate(bytes));
    EXPECT_EQ(pool.free(block + 512).code(), Code::kNotFound);
    EXPECT_TRUE(pool.free(block).ok());
    EXPECT_EQ(pool.free(block).code(), Code::kNotFound) << "freed twice";
    EXPECT_EQ(pool.free_on(1, 1, block).code(), Code::kNotFound) << "freed twice";
  }
  EXPECT_EQ(pool.stats().active_bytes, 0u);
}

TEST(Pool, LargeBlocksShareTheGranulesAtTheirEnds) {
  FakeDevice device(1024);
  Pool pool(device);
  constexpr uint64_t kBytes = kGranule + kGranule / 4;
  for (int i = 0; i < 100; ++i) must(pool.allocate(kBytes));
  EXPECT_EQ(device.created(), (100 * kBytes + kGranule - 1) / kGranule);
}

TEST(Pool, SmallerBlocksDoNotHoldTheGranulesThatLargerOnesLeave) {
  FakeDevice device(1024);
  Pool pool(device);
  std::vector<uint64_t> large;
  uint64_t kept = 0;
  for (uint64_t i = 0; i < 50; ++i) {
    large.push_back(must(pool.allocate(3 * kGranule + i * 11 * kKiB)));
    must(pool.allocate(50 * kKiB + i * kKiB));
    kept += 50 * kKiB + i * kKiB;
  }
  for (const uint64_t block : large) ASSERT_TRUE(pool.free(block).ok());
  ASSERT_TRUE(pool.trim(0).ok());
  // Those aside that lay in what others left over, which is used when it has become much.
  EXPECT_LE(device.created(), kept / kGranule + 4);
}

TEST(Pool, StitchesFreeGranulesForABlockThatFitsNowhere) {
  FakeDevice device(100);
  Pool pool(device);
  std::vector<uint64_t> blocks(100);
  for (uint64_t& block : blocks) block = must(pool.allocate(kGranule));
  EXPECT_EQ(pool.allocate(kGranule).status().code(), Code::kResourceExhausted);
  for (size_t i = 0; i < blocks.size(); i += 2) ASSERT_TRUE(pool.free(blocks[i]).ok());
  const uint64_t large = must(pool.allocate(50 * kGranule));  // no two of the free ones adjoin
  EXPECT_TRUE(device.mapped(large, large + 50 * kGranule));
  EXPECT_EQ(device.created(), 100u);
  for (size_t i = 1; i < blocks.size(); i += 2) {
    EXPECT_EQ(pool.find(blocks[i])->begin, blocks[i]);
    EXPECT_TRUE(device.mapped(blocks[i], blocks[i] + kGranule));
  }
  EXPECT_EQ(device.nonsense(), "");
  EXPECT_EQ(PoolCheck::defect(pool), "");
}

// Fewer than the slack, for which new granules are made as long as there are any.
TEST(Pool, StitchesEvenTheLastFewGranulesOfAFullDevice) {
  FakeDevice device(1000);
  Pool pool(device);
  std::vector<uint64_t> blocks(1000);
  for (uint64_t& block : blocks) block = must(pool.allocate(kGranule));
  for (size_t i = 0; i < 40; i += 2) ASSERT_TRUE(pool.free(blocks[i]).ok());
  must(pool.allocate(20 * kGranule));
  EXPECT_EQ(device.created(), 1000u);
}

TEST(Pool, ARefusedRequestLeavesEverythingAsItWas) {
  FakeDevice device(10);
  Pool pool(device);
  const uint64_t block = must(pool.allocate(7 * kGranule));
  const PoolStats before = pool.stats();
  EXPECT_EQ(pool.allocate(4 * kGranule).status().code(), Code::kResourceExhausted);
  const PoolStats after = pool.stats();
  EXPECT_EQ(after.active_bytes, before.active_bytes);
  EXPECT_EQ(after.reserved_bytes - after.free_granule_bytes, before.reserved_bytes);
  EXPECT_TRUE(pool.find(block).has_value());
  must(pool.allocate(3 * kGranule));
}

TEST(Pool, CachedSmallBlocksDoNotKeepALargeOneFromFitting) {
  FakeDevice device(4);
  Pool pool(device);
  std::vector<uint64_t> blocks(1000);
  for (uint64_t& block : blocks) block = must(pool.allocate(4 * kKiB));
  for (const uint64_t block : blocks) ASSERT_TRUE(pool.free(block).ok());
  must(pool.allocate(4 * kGranule));
  EXPECT_EQ(PoolCheck::defect(pool), "");
}

TEST(Pool, CachedSmallBlocksDoNotKeepOneOfAnotherSizeFromFitting) {
  FakeDevice device(1);
  Pool pool(device);
  for (uint32_t number = 0; number < kGranule / Slab::kBytes; ++number) {
    ASSERT_TRUE(pool.free(must(pool.allocate(class_bytes(number)))).ok());
  }
  must(pool.allocate(kLargestSmall));  // every slab of the only granule has a size, and no live block
}

TEST(Pool, SlabsEmptyOutWhereMostBlocksAreFreed) {
  FakeDevice device(1024);
  Pool pool(device, {.keep_bytes = 0});
  std::vector<uint64_t> blocks;
  for (uint64_t bytes = 0; bytes < 64 * kMiB; bytes += kKiB) blocks.push_back(must(pool.allocate(kKiB)));
  std::mt19937_64 random(1);
  std::shuffle(blocks.begin(), blocks.end(), random);
  const auto free_last = [&](size_t count) {
    for (; count > 0; --count, blocks.pop_back()) ASSERT_TRUE(pool.free(blocks.back()).ok());
  };
  // Half end, wherever they are; then a quarter of the others, again and again, and new ones take their
  // places.
  free_last(blocks.size() / 2);
  for (int turn = 0; turn < 40; ++turn) {
    std::shuffle(blocks.begin(), blocks.end(), random);
    const size_t before = blocks.size();
    free_last(before / 4);
    while (blocks.size() < before) blocks.push_back(must(pool.allocate(kKiB)));
  }
  EXPECT_LE(pool.stats().reserved_bytes, 40 * kMiB) << "32 MiB are in use";
}

TEST(Pool, AStreamHasItsOwnFreesAtOnceAndOthersWhenItHasPassed) {
  FakeDevice device(64);
  Pool pool(device);
  for (const uint64_t bytes : {kKiB, 3 * kMiB}) {
    const uint64_t block = must(pool.allocate_on(1, bytes));
    ASSERT_TRUE(pool.free_on(1, 7, block).ok());
    EXPECT_NE(must(pool.allocate_on(2, bytes)), block);
    EXPECT_NE(must(pool.allocate(bytes)), block);
    EXPECT_EQ(must(pool.allocate_on(1, bytes)), block);
    ASSERT_TRUE(pool.free_on(1, 8, block).ok());
    pool.passed(1, 7);
    EXPECT_FALSE(pool.free(block).ok());
    EXPECT_GE(pool.stats().pending_bytes, bytes);
    pool.passed(1, 8);
    EXPECT_EQ(pool.stats().pending_bytes, 0u);
    EXPECT_EQ(must(pool.allocate_on(2, bytes)), block);
  }
}

TEST(Pool, PassingAnEarlierFreeKeepsWhatTheStreamHasAgain) {
  FakeDevice device(64);
  Pool pool(device);
  const uint64_t block = must(pool.allocate_on(1, kMiB));
  ASSERT_TRUE(pool.free_on(1, 1, block).ok());
  ASSERT_EQ(must(pool.allocate_on(1, kMiB)), block);
  pool.passed(1, 1);
  EXPECT_TRUE(pool.find(block).has_value());
  EXPECT_NE(must(pool.allocate(kMiB)), block);
}

TEST(Pool, KeepsFreeGranulesUpToItsLimitAndGivesThemBackWhenAsked) {
  FakeDevice device(1024);
  Pool pool(device, {.keep_bytes = 16 * kGranule, .slack_percent = 0});
  const uint64_t block = must(pool.allocate(100 * kGranule));
  ASSERT_TRUE(pool.free(block).ok());
  EXPECT_EQ(device.created(), 16u);
  EXPECT_TRUE(pool.try_trim(5 * kGranule));
  EXPECT_EQ(device.created(), 5u);
  EXPECT_TRUE(pool.trim(0).ok());
  EXPECT_EQ(device.created(), 0u);
}

TEST(Pool, GivesEverythingBackWhenClosed) {
  FakeDevice device(1024);
  Pool pool(device);
  for (const uint64_t bytes : {kKiB, kMiB, 50 * kMiB}) must(pool.allocate(bytes));
  ASSERT_TRUE(pool.free(must(pool.allocate(9 * kMiB))).ok());
  ASSERT_TRUE(pool.close().ok());
  EXPECT_EQ(device.created(), 0u);
  EXPECT_EQ(device.mapped_granules(), 0u);
  EXPECT_EQ(device.reservations(), 0u);
  EXPECT_EQ(pool.allocate(kKiB).status().code(), Code::kFailedPrecondition);
  EXPECT_EQ(device.nonsense(), "");
}

TEST(Pool, ReservesMoreAddressesWhereARegionIsFull) {
  FakeDevice device(1024);
  Pool pool(device, {.region_bytes = 8 * kGranule});
  for (int i = 0; i < 20; ++i) must(pool.allocate(3 * kGranule));
  must(pool.allocate(100 * kGranule));
  EXPECT_GT(device.reservations(), 2u);
  EXPECT_EQ(PoolCheck::defect(pool), "");
  ASSERT_TRUE(pool.close().ok());
  EXPECT_EQ(device.reservations(), 0u);
}

TEST(Pool, AChildOfForkDropsItWithoutACall) {
  FakeDevice device(64);
  auto pool = std::make_unique<Pool>(device);
  must(pool->allocate(kKiB));
  must(pool->allocate(kMiB));
  const pid_t child = fork();
  if (child == 0) {
    device.refuses = []() -> bool { _exit(1); };
    pool.reset();
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TEST(Pool, ThreadsShareItWithoutLosingABlock) {
  FakeDevice device(512);
  Pool pool(device, {.keep_bytes = 4 * kGranule});
  std::vector<std::thread> threads;
  for (StreamId stream = 0; stream < 4; ++stream) {
    threads.emplace_back([&pool, stream] {
      std::mt19937_64 random(stream);
      std::vector<uint64_t> blocks;
      uint64_t token = 0;
      for (int step = 0; step < 5000; ++step) {
        if (blocks.size() > 50 || (random() % 2 == 0 && !blocks.empty())) {
          std::swap(blocks[random() % blocks.size()], blocks.back());
          const uint64_t block = blocks.back();
          blocks.pop_back();
          ASSERT_TRUE((random() % 2 == 0 ? pool.free(block) : pool.free_on(stream, ++token, block)).ok());
        } else {
          const uint64_t bytes = uint64_t{1} << random() % 22;
          blocks.push_back(must(random() % 2 == 0 ? pool.allocate(bytes) : pool.allocate_on(stream, bytes)));
          ASSERT_EQ(pool.find(blocks.back())->bytes, bytes);
        }
        if (step % 64 == 0) pool.passed(stream, token);
        if (step % 256 == 0) (void)pool.try_trim(0);
      }
      for (const uint64_t block : blocks) ASSERT_TRUE(pool.free(block).ok());
      pool.passed(stream, token);
    });
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_TRUE(pool.trim(0).ok());
  EXPECT_EQ(device.created(), 0u);
  EXPECT_EQ(device.nonsense(), "");
  EXPECT_EQ(PoolCheck::defect(pool), "");
}

// Sizes log-uniform from 512 bytes to 64 MiB, at 90 % of what the device holds.
TEST(Pool, NothingFailsAtNinetyPercentFill) {
  constexpr uint64_t kCapacity = 8 * kGiB;
  FakeDevice device(kCapacity / kGranule);
  Pool pool(device);
  std::mt19937_64 random(1);
  std::uniform_real_distribution<> bits(9, 26);
  struct Live {
    uint64_t address, bytes;
  };
  std::vector<Live> live;
  uint64_t bytes_live = 0;
  for (int request = 0; request < 200'000; ++request) {
    const auto bytes = static_cast<uint64_t>(std::exp2(bits(random)));
    while (bytes_live + bytes > kCapacity / 10 * 9) {
      std::swap(live[random() % live.size()], live.back());
      bytes_live -= live.back().bytes;
      ASSERT_TRUE(pool.free(live.back().address).ok());
      live.pop_back();
    }
    live.push_back({must(pool.allocate(bytes)), bytes});
    bytes_live += bytes;
    if (HasFailure()) FAIL() << "request " << request << " of " << bytes << " bytes";
  }
  EXPECT_EQ(device.nonsense(), "");
  EXPECT_EQ(PoolCheck::defect(pool), "");
  const PoolStats stats = pool.stats();
  RecordProperty("stitched_granules", std::to_string(stats.stitched_granules));
}

}  // namespace
}  // namespace tessera::memory

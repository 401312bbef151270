#include "memory/space/memory_space.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <thread>

#include "memory/testing/fake_device.h"

namespace tessera::memory {
namespace {

constexpr uint64_t kGranule = FakeDevice::kGranule;

// Contents of the fake device: they go with the granule that they are in.
class FakeCopies : public HostCopies {
 public:
  explicit FakeCopies(FakeDevice& device) : device_(device) {}
  Status to_host(std::byte* to, uint64_t from, uint64_t bytes) override {
    if (fails) return {Code::kInternal, "refused by the test"};
    memcpy(to, place(from, bytes), bytes);
    return {};
  }
  Status to_device(uint64_t to, const std::byte* from, uint64_t bytes) override {
    if (fails) return {Code::kInternal, "refused by the test"};
    memcpy(place(to, bytes), from, bytes);
    return {};
  }
  Status wait_for_device() override {
    ++waits;
    return {};
  }

  bool fails = false;
  int waits = 0;

 private:
  std::byte* place(uint64_t address, uint64_t bytes) {
    EXPECT_TRUE(device_.mapped(address, address + bytes));
    auto& contents = contents_[device_.handle_at(address)];
    contents.resize(kGranule);
    return contents.data() + address % kGranule;
  }

  FakeDevice& device_;
  std::map<uint64_t, std::vector<std::byte>> contents_;
};

class MemorySpaceTest : public testing::Test {
 protected:
  uint64_t allocate(uint64_t bytes) {
    const Result<uint64_t> address = space.allocate(bytes);
    EXPECT_TRUE(address.ok()) << address.status().message();
    return address.ok() ? *address : 0;
  }
  Status acquire(std::vector<uint64_t> addresses) { return space.acquire(addresses); }
  Status release(std::vector<uint64_t> addresses) { return space.release(addresses); }
  uint64_t on_device(uint64_t address) { return space.query(address)->on_device_bytes; }

  FakeDevice device{1000};
  FakeCopies copies{device};
  MemorySpace space{device, copies, 4 * kGranule};
};

TEST_F(MemorySpaceTest, BlocksNeedNoDeviceBeforeTheyAreUsed) {
  const uint64_t block = allocate(100 * kGranule);
  EXPECT_EQ(device.created(), 0u);
  EXPECT_EQ(on_device(block), 0u);
  EXPECT_EQ(space.query(block + 5)->begin, block);
  EXPECT_EQ(space.query(block + 100 * kGranule).status().code(), Code::kNotFound);
}

TEST_F(MemorySpaceTest, WhatIsAcquiredIsThereAndTheRestMakesRoom) {
  const uint64_t first = allocate(3 * kGranule), second = allocate(3 * kGranule);
  ASSERT_TRUE(acquire({first}).ok());
  EXPECT_EQ(on_device(first), 3 * kGranule);
  EXPECT_EQ(acquire({second}).code(), Code::kResourceExhausted);
  EXPECT_EQ(space.query(second)->acquired, 0u);
  ASSERT_TRUE(release({first}).ok());
  ASSERT_TRUE(acquire({second}).ok());
  EXPECT_EQ(on_device(second), 3 * kGranule);
  EXPECT_EQ(device.created(), 4u);
  EXPECT_GT(copies.waits, 0);
}

TEST_F(MemorySpaceTest, ContentsSurviveEveryMove) {
  const uint64_t first = allocate(4 * kGranule), second = allocate(4 * kGranule);
  std::vector<uint32_t> words(kGranule / 2), read(kGranule / 2);
  for (size_t i = 0; i < words.size(); ++i) words[i] = static_cast<uint32_t>(i * 7);
  ASSERT_TRUE(
      space.write(first + 8, words.data(), words.size() * 4).ok());  // to the host, over granules' ends
  ASSERT_TRUE(acquire({first}).ok());
  ASSERT_TRUE(release({first}).ok());
  ASSERT_TRUE(acquire({second}).ok());
  EXPECT_EQ(on_device(first), 0u);
  ASSERT_TRUE(space.read(first + 8, read.data(), read.size() * 4).ok());
  EXPECT_EQ(words, read);
  ASSERT_TRUE(release({second}).ok());
  ASSERT_TRUE(space.move_in(first).ok());
  std::fill(read.begin(), read.end(), 0);
  ASSERT_TRUE(space.read(first + 8, read.data(), read.size() * 4).ok());
  EXPECT_EQ(words, read);
  EXPECT_GT(space.figures().swap.moved_in_bytes, 0u);
}

TEST_F(MemorySpaceTest, AdviceSaysWhoGoes) {
  const uint64_t kept = allocate(2 * kGranule), other = allocate(2 * kGranule),
                 third = allocate(2 * kGranule);
  ASSERT_TRUE(space.advise(kept, Keep::kMost).ok());
  ASSERT_TRUE(space.move_in(kept).ok());
  ASSERT_TRUE(space.move_in(other).ok());
  ASSERT_TRUE(space.move_in(third).ok());
  EXPECT_EQ(on_device(kept), 2 * kGranule);  // though it was used longest ago
  EXPECT_EQ(on_device(other), 0u);
  ASSERT_TRUE(space.advise(kept, Keep::kLeast).ok());
  ASSERT_TRUE(space.move_in(other).ok());
  EXPECT_EQ(on_device(kept), 0u);
  EXPECT_EQ(on_device(third), 2 * kGranule);
}

// Blocks that are used in a loop which is longer than the device: who let go of the one used longest ago
// would bring each of them in each time.
TEST(MemorySpace, LearnsWhichBlocksAreUsedInALoop) {
  constexpr uint64_t kRoom = 16, kBlocks = 20, kRounds = 50;
  FakeDevice device{1000};
  FakeCopies copies{device};
  MemorySpace space{device, copies, kRoom * kGranule};
  std::vector<uint64_t> blocks;
  for (uint64_t i = 0; i < kBlocks; ++i) blocks.push_back(*space.allocate(kGranule));
  for (uint64_t use = 0; use < kRounds * kBlocks; ++use) {
    const uint64_t block[] = {blocks[use % kBlocks]};
    ASSERT_TRUE(space.acquire(block).ok());
    ASSERT_TRUE(space.release(block).ok());
  }
  EXPECT_LT(space.figures().swap.moved_in_bytes, kRounds * kBlocks * kGranule / 2);
}

TEST_F(MemorySpaceTest, WrongCallsAreRefusedAndChangeNothing) {
  const uint64_t block = allocate(kGranule);
  EXPECT_EQ(space.allocate(0).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(space.free(block + 1).code(), Code::kNotFound);
  EXPECT_EQ(release({block}).code(), Code::kFailedPrecondition);
  ASSERT_TRUE(acquire({block, block}).ok());
  EXPECT_EQ(space.query(block)->acquired, 2u);
  EXPECT_EQ(release({block, block, block}).code(), Code::kFailedPrecondition);
  EXPECT_EQ(space.query(block)->acquired, 2u);
  EXPECT_EQ(space.free(block).code(), Code::kFailedPrecondition);
  EXPECT_EQ(space.move_out(block).code(), Code::kFailedPrecondition);
  EXPECT_EQ(acquire({block, block + 512}).code(), Code::kNotFound);
  uint32_t word = 0;
  EXPECT_EQ(space.write(block + kGranule - 2, &word, 4).code(), Code::kInvalidArgument);
  EXPECT_EQ(space.read(block, &word, ~uint64_t{0}).code(), Code::kInvalidArgument);
  ASSERT_TRUE(release({block, block}).ok());
  EXPECT_TRUE(space.free(block).ok());
  EXPECT_EQ(space.free(block).code(), Code::kNotFound);
}

TEST_F(MemorySpaceTest, ACopyThatFailsLosesNothing) {
  const uint64_t first = allocate(4 * kGranule), second = allocate(kGranule);
  const uint32_t word = 12345;
  uint32_t read = 0;
  ASSERT_TRUE(space.write(first, &word, 4).ok());
  ASSERT_TRUE(space.move_in(first).ok());
  copies.fails = true;
  EXPECT_FALSE(acquire({second}).ok());
  copies.fails = false;
  ASSERT_TRUE(acquire({second}).ok());
  ASSERT_TRUE(space.read(first, &read, 4).ok());
  EXPECT_EQ(read, word);
}

TEST(MemorySpace, GivesWayWhereOthersHaveTheDevice) {
  FakeDevice device(3);
  FakeCopies copies(device);
  MemorySpace space(device, copies, 0);
  const uint64_t first = *space.allocate(2 * kGranule), second = *space.allocate(2 * kGranule);
  ASSERT_TRUE(space.move_in(first).ok());
  ASSERT_TRUE(space.move_in(second).ok());
  EXPECT_EQ(device.created(), 3u);
  const uint64_t large = *space.allocate(4 * kGranule);
  EXPECT_EQ(space.move_in(large).code(), Code::kResourceExhausted);
}

TEST(MemorySpace, GivesEverythingBack) {
  FakeDevice device(100);
  FakeCopies copies(device);
  {
    MemorySpace space(device, copies, 0);
    for (const uint64_t bytes : {uint64_t{100}, 3 * kGranule, kGranule / 2})
      ASSERT_TRUE(space.move_in(*space.allocate(bytes)).ok());
  }
  EXPECT_EQ(device.created(), 0u);
  EXPECT_EQ(device.reservations(), 0u);
  EXPECT_EQ(device.nonsense(), "");
}

// Against a plain map of what each block holds.
class RandomUse {
 public:
  explicit RandomUse(uint64_t seed) : random_(seed) {}

  void run(int steps) {
    for (int step = 0; step < steps; ++step) {
      one();
      ASSERT_LE(space_.figures().swap.on_device_bytes, kMost);
      ASSERT_EQ(device_.nonsense(), "");
    }
    for (auto& [address, words] : model_) check(address, words);
  }

 private:
  static constexpr uint64_t kMost = 6 * kGranule;
  using Words = std::vector<uint64_t>;

  uint64_t below(uint64_t end) { return random_() % end; }
  auto any() { return std::next(model_.begin(), static_cast<int64_t>(below(model_.size()))); }
  void check(uint64_t address, const Words& words) {
    Words read(words.size());
    ASSERT_TRUE(space_.read(address, read.data(), read.size() * 8).ok());
    ASSERT_EQ(read, words);
  }

  void allocate() {
    const uint64_t words = 1 + below(below(2) == 0 ? 2000 : 3 * kGranule / 8);
    const Result<uint64_t> made = space_.allocate(words * 8);
    ASSERT_TRUE(made.ok());
    Words contents(words);
    for (uint64_t& word : contents) word = random_();
    ASSERT_TRUE(space_.write(*made, contents.data(), words * 8).ok());
    model_.emplace(*made, std::move(contents));
  }

  void one() {
    if (model_.empty() || (model_.size() < 12 && below(4) == 0)) return allocate();
    const auto block = any();
    const uint64_t address[] = {block->first};
    switch (below(6)) {
      case 0:
        check(block->first, block->second);
        ASSERT_TRUE(space_.free(block->first).ok());
        model_.erase(block);
        break;
      case 1: {
        ASSERT_TRUE(space_.acquire(address).ok());
        ASSERT_EQ(space_.query(block->first)->on_device_bytes, block->second.size() * 8);
        check(block->first, block->second);
        ASSERT_TRUE(space_.release(address).ok());
        break;
      }
      case 2:
        ASSERT_TRUE(space_.move_out(block->first).ok());
        break;
      case 3:
        ASSERT_TRUE(space_.advise(block->first, static_cast<Keep>(below(3))).ok());
        break;
      case 4: {
        const uint64_t at = below(block->second.size());
        block->second[at] = random_();
        ASSERT_TRUE(space_.write(block->first + at * 8, &block->second[at], 8).ok());
        break;
      }
      default:
        check(block->first, block->second);
    }
  }

  std::mt19937_64 random_;
  FakeDevice device_{1000};
  FakeCopies copies_{device_};
  MemorySpace space_{device_, copies_, kMost};
  std::map<uint64_t, Words> model_;
};

TEST(MemorySpace, RandomUseLosesNothing) {
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    SCOPED_TRACE(seed);
    RandomUse(seed).run(300);
  }
}

TEST(MemorySpace, ThreadsShareASpace) {
  FakeDevice device(1000);
  FakeCopies copies(device);
  MemorySpace space(device, copies, 8 * kGranule);
  const auto use = [&](uint64_t number) {
    for (uint64_t round = 0; round < 50; ++round) {
      const Result<uint64_t> made = space.allocate(kGranule + 8);
      ASSERT_TRUE(made.ok());
      const uint64_t address[] = {*made};
      const uint64_t word = number << 32 | round;
      uint64_t read = 0;
      ASSERT_TRUE(space.write(*made + kGranule, &word, 8).ok());
      ASSERT_TRUE(space.acquire(address).ok());
      ASSERT_TRUE(space.read(*made + kGranule, &read, 8).ok());
      ASSERT_EQ(read, word);
      ASSERT_TRUE(space.release(address).ok());
      ASSERT_TRUE(space.free(*made).ok());
    }
  };
  std::vector<std::thread> threads;
  for (uint64_t number = 0; number < 4; ++number) threads.emplace_back(use, number);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(space.figures().blocks, 0u);
}

}  // namespace
}  // namespace tessera::memory

// Random calls against a model of what a pool owes its callers, with a device that refuses at random.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>

#include "memory/pool/pool.h"
#include "memory/pool/pool_check.h"
#include "memory/testing/fake_device.h"

namespace tessera::memory {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

class Model {
 public:
  Model(uint64_t seed, uint64_t granules, uint64_t refused_of_1000)
      : random_(seed),
        granules_(granules),
        refused_of_1000_(refused_of_1000),
        device_(granules),
        pool_(device_, {.region_bytes = 256 * kMiB, .keep_bytes = 8 * kMiB}) {
    device_.refuses = [this] { return random_() % 1000 < refused_of_1000_; };
  }

  void step() {
    switch (random_() % 16) {
      case 0:
        pass();
        break;
      case 1:
        (void)pool_.trim(random_() % (16 * kMiB));
        break;
      case 2:
        bad_free();
        break;
      case 3:
      case 4:
      case 5:
        release(true);
        break;
      case 6:
      case 7:
      case 8:
        release(false);
        break;
      default:
        allocate();
    }
  }

  void check() {
    ASSERT_EQ(device_.nonsense(), "");
    ASSERT_EQ(PoolCheck::defect(pool_), "");
    uint64_t bytes = 0;
    for (const auto& [begin, block_here] : live_) {
      const uint64_t size = block_here.bytes;
      bytes += size;
      ASSERT_TRUE(device_.mapped(begin, begin + size));
      const uint64_t inner = begin + random_() % size;
      const std::optional<Block> block = pool_.find(inner);
      ASSERT_TRUE(block && block->begin == begin && block->bytes == size);
      ASSERT_EQ(pool_.backing(inner)->granules.front(), device_.handle_at(begin));
    }
    const PoolStats stats = pool_.stats();
    ASSERT_EQ(stats.active_bytes, bytes);
    ASSERT_EQ(stats.active_blocks, live_.size());
    ASSERT_EQ(stats.reserved_bytes, device_.created() * FakeDevice::kGranule);
    ASSERT_GE(stats.reserved_bytes, bytes);
  }

  void end() {
    device_.refuses = [] { return false; };
    for (const auto& [begin, block] : live_) ASSERT_TRUE(pool_.free(begin).ok());
    for (StreamId stream = 0; stream < kStreams; ++stream) pool_.passed(stream, tokens_[stream]);
    live_.clear();
    ASSERT_TRUE(pool_.trim(0).ok());
    ASSERT_EQ(PoolCheck::defect(pool_), "");
    ASSERT_EQ(pool_.stats().pending_bytes, 0u);
    ASSERT_EQ(device_.created(), 0u);
    ASSERT_EQ(device_.mapped_granules(), 0u);
    ASSERT_TRUE(pool_.close().ok());
    ASSERT_EQ(device_.reservations(), 0u);
    ASSERT_EQ(device_.nonsense(), "");
  }

 private:
  static constexpr StreamId kStreams = 3;
  struct Live {
    uint64_t bytes, room;  // asked for, and certainly the block's
  };
  struct Pending {
    StreamId stream;
    uint64_t token, room;
  };

  static uint64_t room_of(uint64_t bytes) {
    return bytes <= kLargestSmall ? class_bytes(size_class(bytes)) : (bytes + 511) / 512 * 512;
  }

  uint64_t random_size() {
    const double bits = std::uniform_real_distribution<>(0, 23.5)(random_);
    return static_cast<uint64_t>(std::exp2(bits));
  }

  template <typename Blocks>
  void expect_apart_from(const Blocks& blocks, uint64_t begin, uint64_t size) {
    const auto after = blocks.lower_bound(begin);
    if (after != blocks.end()) {
      EXPECT_LE(begin + size, after->first) << "blocks overlap";
    }
    if (after == blocks.begin()) return;
    const auto& [before, block] = *std::prev(after);
    EXPECT_LE(before + block.room, begin) << "blocks overlap";
  }

  void allocate() {
    const uint64_t size = random_size();
    const bool on_stream = random_() % 2 == 0;
    const StreamId stream = random_() % kStreams;
    const Result<uint64_t> made = on_stream ? pool_.allocate_on(stream, size) : pool_.allocate(size);
    if (!made.ok()) {
      expect_short_of(size);
      return;
    }
    EXPECT_EQ(*made % 512, 0u);
    uint64_t room = room_of(size);
    if (const auto own = pending_.find(*made); own != pending_.end()) {
      EXPECT_TRUE(on_stream && own->second.stream == stream) << "another stream's block";
      EXPECT_GE(own->second.room, size);
      room = own->second.room;
      pending_.erase(own);
    }
    expect_apart_from(live_, *made, room);
    expect_apart_from(pending_, *made, room);
    live_[*made] = {size, room};
  }

  // Where the device does not lie, only too few free granules are a reason to fail.
  void expect_short_of(uint64_t size) {
    if (refused_of_1000_ > 0) return;
    const uint64_t free =
        pool_.stats().free_granule_bytes / FakeDevice::kGranule + granules_ - device_.created();
    EXPECT_LT(free, (size + FakeDevice::kGranule - 1) / FakeDevice::kGranule);
  }

  std::map<uint64_t, Live>::iterator any() {
    auto found = live_.lower_bound(live_.begin()->first +
                                   random_() % (live_.rbegin()->first - live_.begin()->first + 1));
    return found == live_.end() ? live_.begin() : found;
  }

  void release(bool on_stream) {
    if (live_.empty()) return;
    const auto block = any();
    const auto [begin, freed] = *block;
    live_.erase(block);
    if (on_stream) {
      const StreamId stream = random_() % kStreams;
      ASSERT_TRUE(pool_.free_on(stream, ++tokens_[stream], begin).ok());
      pending_[begin] = {stream, tokens_[stream], freed.room};
    } else {
      ASSERT_TRUE(pool_.free(begin).ok());
    }
    EXPECT_EQ(pool_.free(begin).code(), Code::kNotFound);
    EXPECT_EQ(pool_.free_on(0, 0, begin).code(), Code::kNotFound);
    EXPECT_FALSE(pool_.find(begin).has_value());
  }

  void pass() {
    const StreamId stream = random_() % kStreams;
    const uint64_t token = tokens_[stream] - std::min<uint64_t>(tokens_[stream], random_() % 4);
    pool_.passed(stream, token);
    std::erase_if(pending_, [&](const auto& block) {
      return block.second.stream == stream && block.second.token <= token;
    });
  }

  void bad_free() {
    EXPECT_FALSE(pool_.free(random_()).ok());
    if (live_.empty()) return;
    const auto [begin, block] = *any();
    if (block.bytes > 1) {
      EXPECT_EQ(pool_.free(begin + 1 + random_() % (block.bytes - 1)).code(), Code::kNotFound);
    }
  }

  std::mt19937_64 random_;
  const uint64_t granules_, refused_of_1000_;
  FakeDevice device_;
  Pool pool_;
  std::map<uint64_t, Live> live_;
  std::map<uint64_t, Pending> pending_;
  std::array<uint64_t, kStreams> tokens_{};
};

void run(uint64_t seed, uint64_t granules, uint64_t refused_of_1000) {
  SCOPED_TRACE(testing::Message() << "seed " << seed << ", " << refused_of_1000 << " of 1000 calls refused");
  Model model(seed, granules, refused_of_1000);
  for (int step = 0; step < 4000; ++step) {
    model.step();
    if (step % 16 == 0) model.check();
    if (testing::Test::HasFailure()) return;
  }
  model.end();
}

TEST(PoolModel, KeepsWhatItOwesWhateverTheDeviceRefuses) {
  for (uint64_t seed = 1; seed <= 24; ++seed) {
    for (const uint64_t refused : {0, 30, 300}) {
      run(seed, 8 + seed * 4, refused);
      if (HasFailure()) return;
    }
  }
}

}  // namespace
}  // namespace tessera::memory

#include "softgpu/memory/managed_pages.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace tessera::softgpu {
namespace {

constexpr uint64_t kPage = ManagedPages::kPageBytes;
constexpr uint64_t kBegin = 16 * kPage;
constexpr PageLocation kHost{PageLocation::Kind::kHost, 0};
constexpr PageLocation on_device(int16_t id) { return {PageLocation::Kind::kDevice, id}; }

// Two devices of four pages each.
class FakeDevices : public ManagedPages::Devices {
 public:
  bool take(uint32_t device, uint64_t bytes) override {
    if (used[device] + bytes > capacity) return false;
    used[device] += bytes;
    return true;
  }
  void give_back(uint32_t device, uint64_t bytes) override {
    EXPECT_GE(used[device], bytes);
    used[device] -= bytes;
  }
  void unmapped(uint32_t device) override { ++generation[device]; }

  uint64_t capacity = 4 * kPage;
  std::array<uint64_t, 2> used{};
  std::array<uint64_t, 2> generation{};
};

class ManagedPagesTest : public testing::Test {
 protected:
  void SetUp() override { pages.insert(kBegin, 10 * kPage, false); }
  AddressRange touch(uint32_t device, uint64_t page, bool write = false) {
    return pages.touch(device, kBegin + page * kPage + 8, 8, write);
  }
  uint64_t faults(uint32_t device) { return pages.figures(device).faults; }

  FakeDevices devices;
  ManagedPages pages{devices};
};

TEST_F(ManagedPagesTest, TheFirstTouchFaultsAndBringsThePage) {
  EXPECT_EQ(devices.used[0], 0u);
  const AddressRange range = touch(0, 2, true);
  EXPECT_EQ(range.begin, kBegin + 2 * kPage);
  EXPECT_EQ(range.end, kBegin + 3 * kPage);
  EXPECT_TRUE(range.writable);
  EXPECT_EQ(devices.used[0], kPage);
  EXPECT_EQ(faults(0), 1u);
  touch(0, 2, true);
  EXPECT_EQ(faults(0), 1u);
  touch(0, 3);
  EXPECT_EQ(touch(0, 3).begin, kBegin + 2 * kPage);  // they adjoin
  EXPECT_EQ(faults(0), 2u);
}

TEST_F(ManagedPagesTest, WhatIsThereLongestLeavesAFullDevice) {
  for (uint64_t page = 0; page < 6; ++page) touch(0, page);
  EXPECT_EQ(devices.used[0], 4 * kPage);
  EXPECT_EQ(pages.figures(0).evicted_bytes, 2 * kPage);
  EXPECT_GT(devices.generation[0], 0u);
  EXPECT_EQ(touch(0, 2).begin, kBegin + 2 * kPage);
  EXPECT_EQ(faults(0), 6u);
  touch(0, 0);
  EXPECT_EQ(faults(0), 7u);
}

TEST_F(ManagedPagesTest, AnotherDevicesTouchTakesThePage) {
  touch(0, 1);
  touch(1, 1);
  EXPECT_EQ(devices.used[0], 0u);
  EXPECT_EQ(devices.used[1], kPage);
  EXPECT_EQ(devices.generation[0], 1u);
  touch(0, 1);
  EXPECT_EQ(faults(0), 2u);
}

TEST_F(ManagedPagesTest, ReadMostlyPagesAreWithAllWhoReadUntilOneWrites) {
  pages.set_read_mostly(kBegin, kPage, true);
  EXPECT_TRUE(touch(0, 0).writable);
  const AddressRange copy = touch(1, 0);
  EXPECT_FALSE(copy.writable);
  EXPECT_FALSE(touch(0, 0).writable);
  EXPECT_EQ(devices.generation[0], 1u);  // it was told that it might write
  EXPECT_EQ(devices.used, (std::array<uint64_t, 2>{kPage, kPage}));
  EXPECT_TRUE(touch(1, 0, true).writable);
  EXPECT_EQ(devices.used, (std::array<uint64_t, 2>{0, kPage}));
  touch(0, 0);
  pages.set_read_mostly(kBegin, kPage, false);
  EXPECT_EQ(devices.used[0] + devices.used[1], kPage);
}

TEST_F(ManagedPagesTest, APreferredPlaceIsWhereItStays) {
  pages.set_preferred(kBegin, 2 * kPage, kHost);
  EXPECT_TRUE(touch(0, 0, true).contains(kBegin + 8, 8));
  EXPECT_EQ(devices.used[0], 0u);
  EXPECT_EQ(pages.figures(0).remote_faults, 1u);
  pages.set_preferred(kBegin + kPage, kPage, on_device(1));
  touch(1, 1);
  touch(0, 1);
  EXPECT_EQ(devices.used, (std::array<uint64_t, 2>{0, kPage}));
}

TEST_F(ManagedPagesTest, WhoIsSaidToTouchItNeverFaults) {
  pages.set_accessed_by(kBegin, kPage, 0, true);
  touch(0, 0, true);
  EXPECT_EQ(faults(0), 0u);
  touch(1, 0);
  touch(0, 0, true);
  EXPECT_EQ(faults(0), 0u);
  EXPECT_EQ(devices.used, (std::array<uint64_t, 2>{0, kPage}));
  pages.set_accessed_by(kBegin, kPage, 0, false);
  touch(0, 0);
  EXPECT_EQ(faults(0), 1u);
}

TEST_F(ManagedPagesTest, PrefetchedPagesDoNotFault) {
  touch(0, 9);
  pages.prefetch(kBegin, 4 * kPage, on_device(0));
  EXPECT_EQ(devices.used[0], 4 * kPage);
  for (uint64_t page = 0; page < 4; ++page) touch(0, page, true);
  EXPECT_EQ(faults(0), 1u);
  pages.prefetch(kBegin, 10 * kPage, kHost);
  EXPECT_EQ(devices.used[0], 0u);
  touch(0, 0);
  EXPECT_EQ(faults(0), 2u);
  pages.prefetch(kBegin, 10 * kPage, on_device(0));  // more than it has room for: the rest stays
  EXPECT_EQ(devices.used[0], 4 * kPage);
}

TEST_F(ManagedPagesTest, WithoutRoomThePageIsMappedWhereItIs) {
  devices.capacity = 0;
  EXPECT_TRUE(touch(0, 0, true).writable);
  EXPECT_EQ(devices.used[0], 0u);
  touch(0, 0, true);
  EXPECT_EQ(faults(0), 1u);
}

TEST_F(ManagedPagesTest, AnAccessOverSeveralPagesHasThemAll) {
  const AddressRange range = pages.touch(0, kBegin + 1, 4 * kPage - 1, true);
  EXPECT_TRUE(range.contains(kBegin + 1, 4 * kPage - 1));
  EXPECT_EQ(pages.touch(0, kBegin + 9 * kPage, 2 * kPage, false).end, 0u);
  EXPECT_EQ(pages.touch(0, kBegin - 1, 1, false).end, 0u);
  EXPECT_TRUE(
      pages.touch(0, kBegin, 10 * kPage, true).contains(kBegin, 10 * kPage));  // more than the device has
}

TEST_F(ManagedPagesTest, SmallMemoryIsAPageOfItsOwn) {
  pages.insert(kBegin - 512, 512, false);
  pages.insert(kBegin - kPage / 2, kPage / 2 - 512, false);
  EXPECT_EQ(pages.touch(0, kBegin - 8, 8, true).begin, kBegin - 512);
  EXPECT_EQ(devices.used[0], 512u);
  pages.erase(kBegin - 512);
  EXPECT_EQ(devices.used[0], 0u);
}

TEST_F(ManagedPagesTest, FixedMemoryOnlyTakesAdvice) {
  pages.insert(100 * kPage, 2 * kPage, true);
  EXPECT_TRUE(pages.touch(0, 100 * kPage, 8, true).contains(100 * kPage, 2 * kPage));
  pages.prefetch(100 * kPage, kPage, on_device(1));
  EXPECT_EQ(faults(0), 0u);
  EXPECT_EQ(devices.used, (std::array<uint64_t, 2>{}));
  EXPECT_EQ(pages.advice(100 * kPage, kPage).prefetched, on_device(1));
}

TEST_F(ManagedPagesTest, AdviceIsWhatAllPagesAgreeOn) {
  pages.set_preferred(kBegin, 4 * kPage, on_device(1));
  pages.set_read_mostly(kBegin, 2 * kPage, true);
  pages.set_accessed_by(kBegin, 3 * kPage, 0, true);
  pages.set_accessed_by(kBegin, kPage, ManagedPages::kHostBit, true);
  EXPECT_TRUE(pages.advice(kBegin, 2 * kPage).read_mostly);
  EXPECT_FALSE(pages.advice(kBegin, 3 * kPage).read_mostly);
  EXPECT_EQ(pages.advice(kBegin, 4 * kPage).preferred, on_device(1));
  EXPECT_EQ(pages.advice(kBegin, 5 * kPage).preferred, std::nullopt);
  EXPECT_EQ(pages.advice(kBegin, kPage).accessed_by, 1u | uint64_t{1} << ManagedPages::kHostBit);
  EXPECT_EQ(pages.advice(kBegin, 2 * kPage).accessed_by, 1u);
  EXPECT_EQ(pages.advice(kBegin, 4 * kPage).accessed_by, 0u);
}

TEST_F(ManagedPagesTest, PagesCanBeTakenBack) {
  for (uint64_t page = 0; page < 4; ++page) touch(0, page);
  EXPECT_EQ(pages.reclaim(0, kPage + 1), 2 * kPage);
  EXPECT_EQ(pages.reclaim(0, 100 * kPage), 2 * kPage);
  EXPECT_EQ(devices.used[0], 0u);
}

// Whatever is done, a touch is answered, and the books agree.
TEST(ManagedPages, RandomUse) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    FakeDevices devices;
    ManagedPages pages(devices);
    pages.insert(kBegin + 512, 9 * kPage, false);
    for (int step = 0; step < 2000; ++step) {
      const uint64_t begin = kBegin + 512 + random() % (8 * kPage), bytes = 1 + random() % kPage;
      const auto device = static_cast<uint32_t>(random() % 2);
      const bool on = random() % 2 == 0;
      switch (random() % 8) {
        case 0:
          pages.prefetch(begin, bytes, on ? on_device(static_cast<int16_t>(device)) : kHost);
          break;
        case 1:
          pages.set_read_mostly(begin, bytes, on);
          break;
        case 2:
          pages.set_preferred(begin, bytes, on ? on_device(static_cast<int16_t>(device)) : PageLocation());
          break;
        case 3:
          pages.set_accessed_by(begin, bytes, device, on);
          break;
        case 4:
          devices.capacity = std::max(devices.used[0], devices.used[1]) + random() % (3 * kPage);
          break;
        default: {
          const AddressRange range = pages.touch(device, begin, bytes, on);
          ASSERT_TRUE(range.contains(begin, bytes));
          ASSERT_TRUE(!on || range.writable);
        }
      }
      for (uint32_t i = 0; i < 2; ++i) ASSERT_EQ(devices.used[i], pages.figures(i).resident_bytes);
    }
    pages.erase(kBegin + 512);
    EXPECT_EQ(devices.used, (std::array<uint64_t, 2>{}));
  }
}

}  // namespace
}  // namespace tessera::softgpu

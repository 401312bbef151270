#include "softgpu/memory/range_allocator.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <vector>

namespace tessera::softgpu {
namespace {

constexpr uint64_t kGrain = 512;

TEST(RangeAllocatorTest, TakesTheSmallestHoleThatFits) {
  RangeAllocator allocator(0, 64 * kGrain, kGrain);
  auto a = allocator.allocate(8 * kGrain, kGrain);
  auto b = allocator.allocate(kGrain, kGrain);
  auto c = allocator.allocate(2 * kGrain, kGrain);
  auto d = allocator.allocate(kGrain, kGrain);
  ASSERT_TRUE(a && b && c && d);
  allocator.free(*a);
  allocator.free(*c);
  EXPECT_EQ(allocator.allocate(2 * kGrain, kGrain)->begin, c->begin);
}

TEST(RangeAllocatorTest, FreeingEverythingLeavesOneHole) {
  RangeAllocator allocator(kGrain, 16 * kGrain, kGrain);
  std::vector<RangeAllocator::Range> held;
  while (auto range = allocator.allocate(kGrain, kGrain)) held.push_back(*range);
  EXPECT_EQ(held.size(), 16u);
  EXPECT_EQ(allocator.free_bytes(), 0u);
  for (size_t i : {3, 1, 2, 0}) {
    for (size_t j = i; j < held.size(); j += 4) allocator.free(held[j]);
  }
  EXPECT_EQ(allocator.largest_free(), 16 * kGrain);
}

TEST(RangeAllocatorTest, RefusesWhatDoesNotFit) {
  RangeAllocator allocator(0, 4 * kGrain, kGrain);
  EXPECT_FALSE(allocator.allocate(0, kGrain));
  EXPECT_FALSE(allocator.allocate(5 * kGrain, kGrain));
  EXPECT_FALSE(allocator.allocate(UINT64_MAX, kGrain));
}

// Against a shadow model: no overlap, right alignment, nothing lost, and a refusal only where no hole would
// do.
TEST(RangeAllocatorTest, AgreesWithAShadowModel) {
  constexpr uint64_t kBase = 7 * kGrain;
  constexpr uint64_t kTotal = 512 * kGrain;
  for (unsigned seed = 1; seed <= 20; ++seed) {
    std::mt19937 random(seed);
    RangeAllocator allocator(kBase, kTotal, kGrain);
    std::map<uint64_t, uint64_t> held;  // begin -> size
    uint64_t held_bytes = 0;
    for (int step = 0; step < 2000; ++step) {
      if (random() % 5 < 3) {
        const uint64_t size = 1 + random() % (40 * kGrain);
        const uint64_t alignment = kGrain << (random() % 5);
        auto range = allocator.allocate(size, alignment);
        if (!range) {
          uint64_t cursor = kBase;
          held.emplace(kBase + kTotal, 0);
          for (const auto& [begin, taken] : held) {
            const uint64_t first = (cursor + alignment - 1) / alignment * alignment;
            ASSERT_TRUE(first > begin || begin - first < size) << "a hole at " << cursor << " would do";
            cursor = begin + taken;
          }
          held.erase(kBase + kTotal);
          continue;
        }
        ASSERT_EQ(range->begin % alignment, 0u);
        ASSERT_GE(range->size, size);
        ASSERT_GE(range->begin, kBase);
        ASSERT_LE(range->end(), kBase + kTotal);
        auto next = held.lower_bound(range->begin);
        ASSERT_TRUE(next == held.end() || range->end() <= next->first);
        ASSERT_TRUE(next == held.begin() || std::prev(next)->first + std::prev(next)->second <= range->begin);
        held[range->begin] = range->size;
        held_bytes += range->size;
      } else if (!held.empty()) {
        auto victim = std::next(held.begin(), static_cast<long>(random() % held.size()));
        allocator.free({victim->first, victim->second});
        held_bytes -= victim->second;
        held.erase(victim);
      }
      ASSERT_EQ(allocator.free_bytes(), kTotal - held_bytes);
    }
    for (const auto& [begin, size] : held) allocator.free({begin, size});
    ASSERT_EQ(allocator.largest_free(), kTotal);
  }
}

}  // namespace
}  // namespace tessera::softgpu

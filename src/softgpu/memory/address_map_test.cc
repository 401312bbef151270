#include "softgpu/memory/address_map.h"

#include <gtest/gtest.h>

#include <thread>

namespace tessera::softgpu {
namespace {

TEST(AddressMap, FindsTheRangeThatHoldsAnAddress) {
  AddressMap map;
  ASSERT_TRUE(map.insert({0x2000, 0x3000, true}).ok());
  ASSERT_TRUE(map.insert({0x1000, 0x1800, false}).ok());
  EXPECT_EQ(map.find(0x1000).end, 0x1800u);
  EXPECT_FALSE(map.find(0x17ff).writable);
  EXPECT_EQ(map.find(0x1800).end, 0u);
  EXPECT_EQ(map.find(0x2fff).begin, 0x2000u);
  EXPECT_EQ(map.find(0x3000).end, 0u);
  EXPECT_EQ(map.find(0).end, 0u);
}

TEST(AddressMap, RefusesOverlapAndEmptyRanges) {
  AddressMap map;
  ASSERT_TRUE(map.insert({0x1000, 0x2000, true}).ok());
  EXPECT_EQ(map.insert({0x1fff, 0x3000, true}).code(), Code::kAlreadyExists);
  EXPECT_EQ(map.insert({0x0800, 0x1001, true}).code(), Code::kAlreadyExists);
  EXPECT_EQ(map.insert({0x1400, 0x1500, true}).code(), Code::kAlreadyExists);
  EXPECT_EQ(map.insert({0x5000, 0x5000, true}).code(), Code::kInvalidArgument);
  EXPECT_TRUE(map.insert({0x2000, 0x2001, true}).ok());
}

TEST(AddressMap, EveryChangeMovesTheGeneration) {
  AddressMap map;
  const uint64_t start = map.generation();
  ASSERT_TRUE(map.insert({0x1000, 0x2000, true}).ok());
  EXPECT_NE(map.generation(), start);
  const uint64_t inserted = map.generation();
  EXPECT_EQ(map.erase(0x1001).code(), Code::kNotFound);
  EXPECT_EQ(map.generation(), inserted);
  ASSERT_TRUE(map.erase(0x1000).ok());
  EXPECT_NE(map.generation(), inserted);
  EXPECT_EQ(map.find(0x1000).end, 0u);
}

TEST(AddressMap, ContainsDoesNotOverflow) {
  const AddressRange range{0x1000, 0x2000, true};
  EXPECT_TRUE(range.contains(0x1ffc, 4));
  EXPECT_FALSE(range.contains(0x1ffd, 4));
  EXPECT_FALSE(range.contains(0x1000, ~uint64_t{0}));
}

TEST(AddressMap, ReadersSeeWholeSnapshotsWhileAWriterWorks) {
  AddressMap map;
  ASSERT_TRUE(map.insert({0x1000, 0x2000, true}).ok());
  std::thread writer([&] {
    for (int i = 0; i < 500; ++i) {
      ASSERT_TRUE(map.insert({0x10000, 0x20000, true}).ok());
      ASSERT_TRUE(map.erase(0x10000).ok());
    }
  });
  for (int i = 0; i < 500; ++i) EXPECT_EQ(map.find(0x1800).begin, 0x1000u);
  writer.join();
}

TEST(AddressMap, HolesAreNoPartOfAnyRange) {
  AddressMap map;
  ASSERT_TRUE(map.insert({0x1000, 0x5000}).ok());
  map.set_holes({{0x2000, 0x3000}, {0x8000, 0x9000}});
  EXPECT_TRUE(map.find(0x1fff).contains(0x1fff, 1));
  EXPECT_FALSE(map.find(0x1fff).contains(0x1fff, 2));
  EXPECT_EQ(map.find(0x2000).end, 0u);
  EXPECT_EQ(map.find(0x2fff).end, 0u);
  EXPECT_TRUE(map.find(0x3000).contains(0x3000, 0x2000));
  ASSERT_TRUE(map.insert({0x7000, 0x9000}).ok());  // one that comes later
  EXPECT_EQ(map.find(0x8000).end, 0u);
  EXPECT_FALSE(map.insert({0x2000, 0x2100}).ok());  // still somebody's
  ASSERT_TRUE(map.erase(0x1000).ok());
  EXPECT_EQ(map.find(0x3000).end, 0u);
  map.set_holes({});
  EXPECT_TRUE(map.find(0x8000).contains(0x8000, 0x1000));
}

}  // namespace
}  // namespace tessera::softgpu

#include "softgpu/memory/address_cover.h"

#include <gtest/gtest.h>

namespace tessera::softgpu {
namespace {

TEST(AddressCover, RangesThatAdjoinCoverTogether) {
  AddressMap map;
  EXPECT_FALSE(covers(map, 0x1000, 1, false));
  ASSERT_TRUE(map.insert({0x1000, 0x2000, true}).ok());
  ASSERT_TRUE(map.insert({0x2000, 0x3000, false}).ok());
  ASSERT_TRUE(map.insert({0x4000, 0x5000, true}).ok());
  EXPECT_TRUE(covers(map, 0x1800, 0x1800, false));
  EXPECT_FALSE(covers(map, 0x1800, 0x1800, true));
  EXPECT_TRUE(covers(map, 0x1800, 0x800, true));
  EXPECT_FALSE(covers(map, 0x1800, 0x1801, false));
  EXPECT_FALSE(covers(map, 0x2fff, 0x1002, false));
  EXPECT_FALSE(covers(map, 0xfff, 2, false));
  EXPECT_FALSE(covers(map, 0x3800, 1, false));
  EXPECT_FALSE(covers(map, 0x4000, ~uint64_t{0}, false));
}

}  // namespace
}  // namespace tessera::softgpu

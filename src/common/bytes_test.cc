#include "common/bytes.h"

#include <gtest/gtest.h>

#include <array>

namespace tessera {
namespace {

TEST(Bytes, RangeFitsDoesNotOverflow) {
  EXPECT_TRUE(range_fits(0, 0, 0));
  EXPECT_TRUE(range_fits(4, 4, 8));
  EXPECT_FALSE(range_fits(5, 4, 8));
  EXPECT_FALSE(range_fits(UINT64_MAX, 2, 8));
  EXPECT_FALSE(range_fits(2, UINT64_MAX, 8));
}

TEST(Bytes, ReadAtIsUnalignedAndBounded) {
  std::array<std::byte, 5> bytes{std::byte{0}, std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}};
  EXPECT_EQ(read_at<uint32_t>(bytes, 1), 0x04030201u);
  EXPECT_FALSE(read_at<uint32_t>(bytes, 2).has_value());
  EXPECT_FALSE(slice_at(bytes, 3, 3).has_value());
  EXPECT_EQ(slice_at(bytes, 3, 2)->size(), 2u);
}

}  // namespace
}  // namespace tessera

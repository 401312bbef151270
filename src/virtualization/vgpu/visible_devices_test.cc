#include "virtualization/vgpu/visible_devices.h"

#include <gtest/gtest.h>

namespace tessera::vgpu {
namespace {

const std::vector<std::string> kSlice = {"GPU-aaaa1111", "GPU-aaaa2222", "GPU-bbbb3333"};

TEST(VisibleDevices, WithoutAWishTheWholeSlice) {
  EXPECT_EQ(visible_devices(kSlice, std::nullopt), "GPU-aaaa1111,GPU-aaaa2222,GPU-bbbb3333");
}

TEST(VisibleDevices, NumbersAndUuidsNameMembersOfTheSlice) {
  EXPECT_EQ(visible_devices(kSlice, "2,0"), "GPU-bbbb3333,GPU-aaaa1111");
  EXPECT_EQ(visible_devices(kSlice, " GPU-b , GPU-aaaa2222"), "GPU-bbbb3333,GPU-aaaa2222");
  // What we have set before means the same again: children inherit it.
  EXPECT_EQ(visible_devices(kSlice, visible_devices(kSlice, "1,2")), "GPU-aaaa2222,GPU-bbbb3333");
}

TEST(VisibleDevices, EndsAtTheFirstEntryThatNamesNone) {
  EXPECT_EQ(visible_devices(kSlice, "1,-1,2"), "GPU-aaaa2222");
  EXPECT_EQ(visible_devices(kSlice, "0,GPU-aaaa"), "GPU-aaaa1111");  // two begin so
  for (const char* none : {"", "-1", "3", "none", "GPU-cccc", ",0", "18446744073709551616"}) {
    EXPECT_EQ(visible_devices(kSlice, none), "-1") << none;
  }
}

TEST(VisibleDevices, UuidsAreComparedByTheirDigits) {
  EXPECT_TRUE(same_uuid("GPU-12-34", "GPU-12-34"));
  EXPECT_TRUE(same_uuid("MIG-12-34", "GPU-12-34"));
  EXPECT_FALSE(same_uuid("GPU-12-34", "GPU-12-35"));
  EXPECT_FALSE(same_uuid("", ""));
}

}  // namespace
}  // namespace tessera::vgpu

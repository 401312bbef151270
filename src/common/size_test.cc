#include "common/size.h"

#include <gtest/gtest.h>

namespace tessera {
namespace {

TEST(Size, ParsesWhatPeopleWrite) {
  EXPECT_EQ(*parse_size("4096"), 4096u);
  EXPECT_EQ(*parse_size("2GiB"), 2 * kGiB);
  EXPECT_EQ(*parse_size("512m"), 512 * kMiB);
  EXPECT_EQ(*parse_size(" 1.5 GB "), kGiB + 512 * kMiB);
  EXPECT_EQ(*parse_size("1TiB"), kTiB);
}

TEST(Size, RefusesTheRest) {
  for (const char* text :
       {"", "GiB", "0", "-1GiB", "2XiB", "2GiBs", "1.5", "99999999T", "nan", "inf", "0x10"}) {
    EXPECT_FALSE(parse_size(text).ok()) << text;
  }
  EXPECT_EQ(parse_size("2XiB").status().message(),
            "size '2XiB' has an unknown unit; write it like 512MiB or 2GiB");
}

TEST(Size, FormatsShortly) {
  EXPECT_EQ(format_size(17), "17B");
  EXPECT_EQ(format_size(2 * kGiB), "2GiB");
  EXPECT_EQ(format_size(kGiB + 512 * kMiB), "1.5GiB");
  EXPECT_EQ(format_size(640 * kMiB), "640MiB");
}

}  // namespace
}  // namespace tessera

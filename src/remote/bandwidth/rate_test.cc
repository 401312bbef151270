#include "remote/bandwidth/rate.h"

#include <gtest/gtest.h>

namespace tessera::remote {
namespace {

TEST(Rate, IsReadAndWritten) {
  EXPECT_EQ(*parse_rate("1Gbit"), 125'000'000u);
  EXPECT_EQ(*parse_rate("800Mbit/s"), 100'000'000u);
  EXPECT_EQ(*parse_rate("1.5MB/s"), 1'500'000u);
  EXPECT_EQ(*parse_rate("64MiB"), 67'108'864u);
  EXPECT_EQ(*parse_rate("125000"), 125'000u);
  EXPECT_EQ(format_rate(125'000'000), "1Gbit/s");
  EXPECT_EQ(format_rate(187'500), "1.5Mbit/s");
  for (const char* text :
       {"", "x", "1", "-5MB", "1Xbit", "1e9", "nan", "infGB", "9999TB", "1MB/h", "0Gbit", "1 GB"})
    EXPECT_FALSE(parse_rate(text).ok()) << text;
}

}  // namespace
}  // namespace tessera::remote

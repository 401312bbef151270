#include "common/huge_pages.h"

#include <gtest/gtest.h>

namespace tessera {
namespace {

TEST(HugePages, TheSettingInBracketsCounts) {
  EXPECT_TRUE(allows_huge_pages("always within_size [advise] never deny force\n"));
  EXPECT_TRUE(allows_huge_pages("[always] within_size advise never deny force\n"));
  EXPECT_FALSE(allows_huge_pages("always within_size advise [never] deny force\n"));
  EXPECT_FALSE(allows_huge_pages("always within_size advise never [deny] force\n"));
  EXPECT_FALSE(allows_huge_pages(""));
}

}  // namespace
}  // namespace tessera

#include "common/index_set.h"

#include <gtest/gtest.h>

namespace tessera {
namespace {

TEST(IndexSet, TextGoesThereAndBack) {
  for (const char* text : {"0", "0-3,6", "5,7,9-10", "1023", "0-1023", "63-64"}) {
    auto set = IndexSet::parse(text);
    ASSERT_TRUE(set.ok()) << set.status().message();
    EXPECT_EQ(set->text(), text);
  }
  EXPECT_EQ(IndexSet().text(), "");
}

TEST(IndexSet, RefusesWhatIsNoList) {
  for (const char* text : {"", "a", "1,1", "3-1", "2,1", "1024", "0-1024", "1,", "-1", "1-", "0-2,2"}) {
    EXPECT_FALSE(IndexSet::parse(text).ok()) << text;
  }
}

TEST(IndexSet, CountsAndCombines) {
  const IndexSet low = IndexSet::below(70);
  IndexSet some;
  some.add(3);
  some.add(69);
  some.add(70);
  EXPECT_EQ(low.count(), 70u);
  EXPECT_EQ((low & some).text(), "3,69");
  EXPECT_EQ((some - low).text(), "70");
  EXPECT_EQ((low | some).count(), 71u);
  EXPECT_TRUE(low.intersects(some));
  EXPECT_FALSE((some - low).intersects(low));
  EXPECT_EQ(some.lowest(2).text(), "3,69");
  EXPECT_EQ(some.lowest(9), some);
  EXPECT_EQ(IndexSet::of_words(some.words()), some);
  EXPECT_FALSE(some.contains(5000));
}

}  // namespace
}  // namespace tessera

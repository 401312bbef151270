#include "partitioning/sm_lending.h"

#include <gtest/gtest.h>

#include <random>

namespace tessera::partitioning {
namespace {

IndexSet set(const char* text) { return *IndexSet::parse(text); }

std::vector<std::string> texts(const std::vector<IndexSet>& sets) {
  std::vector<std::string> all;
  for (const IndexSet& each : sets) all.push_back(each.text());
  return all;
}

using Texts = std::vector<std::string>;
const IndexSet kAll = IndexSet::below(8);

TEST(SmLending, WhoeverIsBusyHasItsOwn) {
  const SmHolder holders[] = {{set("0-1"), true, true}, {set("2-4"), true, true}, {{}, true, true}};
  EXPECT_EQ(texts(lend_sms(kAll, holders)), (Texts{"0-1", "2-4", "5-7"}));
}

TEST(SmLending, WhatIdlesGoesToThoseThatTakeTurns) {
  const SmHolder holders[] = {
      {set("0-1"), false, true}, {set("2-4"), true, true}, {{}, true, true}, {{}, false, true}};
  EXPECT_EQ(texts(lend_sms(kAll, holders)), (Texts{"0-1", "2-4", "0-1,5-7", "0-1,5-7"}));
}

TEST(SmLending, OrIsPartedAmongTheOthersByWhatTheyOwn) {
  const SmHolder holders[] = {
      {set("0"), true, true}, {set("1-2"), true, true}, {set("3"), false, true}, {{}, false, true}};
  EXPECT_EQ(texts(lend_sms(kAll, holders)), (Texts{"0,3-4", "1-2,5-7", "3", "4-7"}));
}

TEST(SmLending, ACeilingKeepsASliceToItsOwn) {
  const SmHolder holders[] = {{set("0-1"), true, false}};
  EXPECT_EQ(texts(lend_sms(kAll, holders)), (Texts{"0-1"}));
}

TEST(SmLending, NoSmIsTwoBusySlicesAndNoneIdlesThatSomebodyMayUse) {
  std::mt19937_64 dice(7);
  for (int round = 0; round < 20'000; ++round) {
    const IndexSet all = IndexSet::below(1 + dice() % 24);
    std::vector<SmHolder> holders(dice() % 7);
    IndexSet left = all;
    for (SmHolder& holder : holders) {
      holder = {left.lowest(dice() % 5), dice() % 2 == 0, dice() % 3 != 0};
      left -= holder.own;
    }
    const std::vector<IndexSet> sets = lend_sms(all, holders);
    IndexSet used;
    bool anyone_could = false, in_time_counted = false;
    for (size_t i = 0; i < holders.size(); ++i) {
      if (!holders[i].busy) continue;
      anyone_could |= holders[i].own.empty() || holders[i].may_borrow;
      ASSERT_TRUE((holders[i].own - sets[i]).empty()) << "round " << round;
      if (!holders[i].may_borrow && !holders[i].own.empty()) {
        ASSERT_EQ(sets[i], holders[i].own);
      }
      if (holders[i].own.empty() && std::exchange(in_time_counted, true)) continue;
      ASSERT_FALSE(used.intersects(sets[i])) << "round " << round;
      used |= sets[i];
    }
    if (anyone_could) {
      ASSERT_EQ(used, all) << "round " << round;
    }
  }
}

}  // namespace
}  // namespace tessera::partitioning

#include "partitioning/residency.h"

#include <gtest/gtest.h>

#include <iterator>

namespace tessera::partitioning {
namespace {

constexpr uint64_t kMs = 1'000'000, kSecond = 1000 * kMs;

ResidentTenant tenant(uint64_t resident, uint64_t since_ns, Presence presence = Presence::kIn) {
  ResidentTenant made;
  made.resident_bytes = resident;
  made.since_ns = since_ns;
  made.presence = presence;
  return made;
}

ResidentTenant out(uint64_t resident, uint64_t since_ns, bool wants) {
  ResidentTenant made = tenant(resident, since_ns, Presence::kOut);
  made.out_bytes = 100;
  made.wants = wants;
  return made;
}

std::vector<size_t> indices(const std::vector<Victim>& victims) {
  std::vector<size_t> found;
  for (const Victim& victim : victims) found.push_back(victim.index);
  return found;
}

using Indices = std::vector<size_t>;

TEST(LongestTurn, LetsEverybodyHaveOneWithinTheRound) {
  constexpr uint64_t kRound = 24 * kSecond;
  const ResidentTenant two[] = {tenant(6, 0), tenant(6, 0)};
  EXPECT_EQ(longest_turn_ns(two, 8, kRound, 0), kRound);
  // Two of five at a time: whoever goes waits for three others, in two places.
  const ResidentTenant five[] = {tenant(3, 0), tenant(3, 0), tenant(2, 0), tenant(3, 0), tenant(3, 0)};
  EXPECT_EQ(longest_turn_ns(five, 8, kRound, 0), kRound * 2 / 3);
}

// Who goes waits for the moves of those before it, and for its own.
TEST(LongestTurn, MovesAreWithinTheRound) {
  constexpr uint64_t kRound = 24 * kSecond;
  const ResidentTenant two[] = {tenant(6, 0), tenant(6, 0)};
  EXPECT_EQ(longest_turn_ns(two, 8, kRound, 3 * kSecond), 18 * kSecond);
  const ResidentTenant five[] = {tenant(3, 0), tenant(3, 0), tenant(2, 0), tenant(3, 0), tenant(3, 0)};
  EXPECT_EQ(longest_turn_ns(five, 8, kRound, 3 * kSecond), 11 * kSecond);
  EXPECT_EQ(longest_turn_ns(five, 8, kRound, 7 * kSecond), 7 * kSecond) << "half of the time is work";
}

TEST(LongestTurn, AnExchangeIsWhatDoesNotFitBesideTheOthers) {
  const ResidentTenant two[] = {tenant(6, 0), out(3, 0, true)};
  EXPECT_EQ(exchanged_bytes(two, 100), 9u);
  const ResidentTenant five[] = {tenant(30, 0), tenant(30, 0), tenant(20, 0), tenant(30, 0), tenant(30, 0)};
  EXPECT_EQ(exchanged_bytes(five, 80), 30u) << "all of one, if none of it is there";
  EXPECT_EQ(exchanged_bytes(five, 140), 0u);
  const ResidentTenant asleep[] = {tenant(6, 0), out(0, 0, false)};
  EXPECT_EQ(exchanged_bytes(asleep, 10), 0u);
}

TEST(LongestTurn, IsNeverLongerThanTheRound) {
  const ResidentTenant most_fit[] = {tenant(2, 0), tenant(2, 0), tenant(2, 0), tenant(2, 0), tenant(2, 0)};
  EXPECT_EQ(longest_turn_ns(most_fit, 8, kSecond, 0), kSecond);
}

TEST(LongestTurn, HasNoBoundWhereNobodyWaits) {
  const ResidentTenant fit[] = {tenant(4, 0), tenant(4, 0)};
  EXPECT_GT(longest_turn_ns(fit, 8, kSecond, kSecond), 1000 * kSecond);
  const ResidentTenant asleep[] = {tenant(6, 0), out(0, 0, false), out(0, 0, false)};
  EXPECT_GT(longest_turn_ns(asleep, 120, kSecond, kSecond), 1000 * kSecond);
  EXPECT_GT(longest_turn_ns({}, 8, kSecond, kSecond), 1000 * kSecond);
}

// Turns that began together end together: of five of which two fit the last one would wait for two turns.
TEST(TurnLengths, NobodyIsWaitedForLongerThanTheRulesSay) {
  ResidentTenant early = out(0, 0, true), late = out(0, 0, true), returns = out(0, 0, true);
  early.waits_since_ns = 300 * kMs;
  late.waits_since_ns = 500 * kMs;
  returns.presence = Presence::kReturning;
  returns.waits_since_ns = 0;
  const ResidentTenant tenants[] = {tenant(10, 200 * kMs), tenant(10, 1200 * kMs), early, late, returns};
  const TurnLengths turns(tenants, {.turn_ns = 1500 * kMs, .least_ns = 100 * kMs, .wait_ns = 1000 * kMs});
  EXPECT_EQ(turns.end_ns(tenants[0]), 1300 * kMs);
  EXPECT_EQ(turns.end_ns(tenants[1]), 1300 * kMs) << "a tenth of a second is the least";
  const TurnLengths longer(tenants, {.turn_ns = 1500 * kMs, .least_ns = 400 * kMs, .wait_ns = 1000 * kMs});
  EXPECT_EQ(longer.end_ns(tenants[1]), 1600 * kMs) << "or it would come for its moves alone";
  const TurnLengths patient(tenants, {.turn_ns = 1500 * kMs});
  EXPECT_EQ(patient.end_ns(tenants[0]), 1700 * kMs);
}

// 35 cannot be had unless both go that work.
TEST(Victims, WhoWantsNothingComesFirstAndWhoGoesBeforeWhoWaits) {
  const ResidentTenant tenants[] = {tenant(10, 0), out(10, 500 * kMs, true), tenant(10, 100 * kMs),
                                    out(10, 400 * kMs, false)};
  const auto victims = choose_victims(tenants, Need{.least = 35}, {.turn_ns = 100 * kMs}, 1000 * kMs);
  EXPECT_EQ(indices(victims), (Indices{3, 0, 2, 1})) << "one that does not want to come back first of all";
  EXPECT_EQ(victims.back().bytes, 5u);
  const auto enough = choose_victims(tenants, Need{.least = 20}, {.turn_ns = 100 * kMs}, 1000 * kMs);
  EXPECT_EQ(indices(enough), (Indices{3, 1})) << "nobody who works has to go";
}

TEST(Victims, OfThoseWhoseTurnIsFurthestAway) {
  const ResidentTenant tenants[] = {out(10, 300 * kMs, true), out(10, 500 * kMs, true),
                                    out(10, 400 * kMs, true)};
  EXPECT_EQ(indices(choose_victims(tenants, Need{.least = 30}, {.turn_ns = 0}, 1000 * kMs)),
            (Indices{1, 2, 0}));
}

TEST(Victims, ThenWhoHasBeenThereLongest) {
  const ResidentTenant tenants[] = {tenant(10, 300 * kMs), tenant(10, 100 * kMs), tenant(10, 200 * kMs)};
  EXPECT_EQ(indices(choose_victims(tenants, Need{.least = 15}, {.turn_ns = 100 * kMs}, 1000 * kMs)),
            (Indices{1, 2}));
}

// Several that load their data at once, and fill the GPU before one of them has all: the first one goes on.
TEST(Victims, WhoIsBlockedHasNoTurn) {
  ResidentTenant second = tenant(10, 200 * kMs), third = tenant(10, 300 * kMs);
  second.blocked = third.blocked = true;
  const ResidentTenant tenants[] = {tenant(10, 100 * kMs), second, third};
  EXPECT_EQ(indices(choose_victims(tenants, Need{.least = 20}, {.turn_ns = 1000 * kMs}, 400 * kMs)),
            (Indices{2, 1}));
  EXPECT_TRUE(choose_victims(tenants, Need{.least = 30}, {.turn_ns = 1000 * kMs}, 400 * kMs).empty());
}

TEST(Victims, WhoWaitsGivesNothingToThoseBehind) {
  ResidentTenant first = tenant(10, 0), second = tenant(10, 0), third = out(5, 900 * kMs, true);
  first.blocked = second.blocked = true;
  first.waits_since_ns = 300 * kMs;
  third.waits_since_ns = 500 * kMs;
  second.waits_since_ns = 600 * kMs;
  const ResidentTenant tenants[] = {first, second, third};
  EXPECT_EQ(indices(choose_victims(tenants, {.least = 8, .who = 0}, {.turn_ns = 0}, 1000 * kMs)),
            (Indices{2, 1}));
  EXPECT_EQ(indices(choose_victims(tenants, {.least = 8, .who = 2}, {.turn_ns = 0}, 1000 * kMs)),
            (Indices{1}));
  EXPECT_TRUE(choose_victims(tenants, {.least = 8, .who = 1}, {.turn_ns = 0}, 1000 * kMs).empty());
}

TEST(Victims, OfWhoWorksNoMoreIsAskedThanMustBe) {
  const ResidentTenant tenants[] = {out(10, 0, false), tenant(50, 0)};
  const auto of_one = choose_victims(tenants, {.least = 5, .most = 30}, {.turn_ns = 0}, 1000 * kMs);
  EXPECT_EQ(indices(of_one), (Indices{0}));
  EXPECT_EQ(of_one[0].bytes, 10u) << "as it is out anyway";
  const auto of_both = choose_victims(tenants, {.least = 15, .most = 30}, {.turn_ns = 0}, 1000 * kMs);
  EXPECT_EQ(indices(of_both), (Indices{0, 1}));
  EXPECT_EQ(of_both[1].bytes, 5u);
}

// Of five that take turns, two at a time: what the one has that comes next stays where it is, and so does
// what the others have, as far as all of who goes suffices.
TEST(Victims, WhoseTurnEndsGivesBeforeThoseWhoseTurnsAreNearer) {
  const ResidentTenant tenants[] = {tenant(30, 0), tenant(30, 900 * kMs), out(10, 300 * kMs, true),
                                    out(10, 200 * kMs, true), out(0, 100 * kMs, true)};
  const TurnRules rules{.turn_ns = 500 * kMs};
  const auto of_one = choose_victims(tenants, Need{.least = 30, .who = 4}, rules, 1000 * kMs);
  EXPECT_EQ(indices(of_one), (Indices{0}));
  const auto of_three = choose_victims(tenants, Need{.least = 35, .who = 4}, rules, 1000 * kMs);
  EXPECT_EQ(indices(of_three), (Indices{0, 2})) << "who went last comes back last";
}

TEST(PlaceInLine, WhoseTurnItIsComesBeforeThoseThatWait) {
  ResidentTenant returns = out(5, 0, true), early = tenant(5, 100 * kMs), late = tenant(5, 200 * kMs),
                 newcomer = tenant(0, 0), waits = out(5, 50 * kMs, true);
  returns.presence = Presence::kReturning;
  waits.waits_since_ns = 60 * kMs;
  newcomer.blocked = true;
  newcomer.waits_since_ns = 250 * kMs;
  const ResidentTenant tenants[] = {returns, early, late, waits, newcomer};
  const TurnLengths turns(tenants, {.turn_ns = 1000 * kMs});
  for (size_t i = 1; i < std::size(tenants); ++i)
    EXPECT_LT(place_in_line(tenants[i - 1], turns, 300 * kMs), place_in_line(tenants[i], turns, 300 * kMs));
  EXPECT_GT(place_in_line(early, turns, 5000 * kMs), place_in_line(waits, turns, 5000 * kMs))
      << "its turn is over";
}

TEST(Victims, NobodyGivesOfHisMinimum) {
  ResidentTenant first = tenant(10, 0), second = tenant(10, 0);
  first.min_bytes = 10;
  second.min_bytes = 4;
  const ResidentTenant tenants[] = {first, second};
  const auto victims = choose_victims(tenants, Need{.least = 6}, {.turn_ns = 0}, 1000 * kMs);
  EXPECT_EQ(indices(victims), (Indices{1}));
  EXPECT_TRUE(choose_victims(tenants, Need{.least = 7}, {.turn_ns = 0}, 1000 * kMs).empty());
}

TEST(Victims, TurnsAreAsLongAsTheirWeights) {
  ResidentTenant light = tenant(10, 0), heavy = tenant(10, 0);
  heavy.weight = 300;
  const ResidentTenant tenants[] = {light, heavy};
  const TurnLengths turns(tenants, {.turn_ns = 1000 * kMs});
  EXPECT_EQ(turns.end_ns(light), 500 * kMs) << "together as long as two";
  EXPECT_EQ(turns.end_ns(heavy), 1500 * kMs);
  EXPECT_EQ(next_choice_ns(tenants, {.turn_ns = 1000 * kMs}, 0), 500 * kMs);
  EXPECT_EQ(indices(choose_victims(tenants, Need{.least = 5}, {.turn_ns = 1000 * kMs}, 600 * kMs)),
            (Indices{0}));
  EXPECT_EQ(indices(choose_victims(tenants, Need{.least = 15}, {.turn_ns = 1000 * kMs}, 2000 * kMs)),
            (Indices{0, 1}));
}

// One that is small and two that do not fit beside each other: the small one need not take turns.
TEST(Victims, WhoHasNoMoreThanItsShareStays) {
  ResidentTenant tenants[] = {tenant(10, 0), tenant(60, 500 * kMs), out(0, 400 * kMs, true)};
  tenants[2].out_bytes = 60;
  mark_shares(tenants, 80);
  EXPECT_TRUE(tenants[0].within_share);
  EXPECT_FALSE(tenants[1].within_share);
  EXPECT_TRUE(choose_victims(tenants, Need{.least = 10}, {.turn_ns = 1000 * kMs}, 1400 * kMs).empty())
      << "the large one's turn will be over";
  EXPECT_EQ(indices(choose_victims(tenants, Need{.least = 10}, {.turn_ns = 1000 * kMs}, 1500 * kMs)),
            (Indices{1}));
  EXPECT_EQ(indices(choose_victims(tenants, Need{.least = 65}, {.turn_ns = 1000 * kMs}, 1500 * kMs)),
            (Indices{1, 0}))
      << "all of it is needed";
}

TEST(Victims, WhoWorksMayShrinkBeforeItsTurnIsOver) {
  ResidentTenant silent = tenant(10, 0), blocked = tenant(10, 0);
  silent.can_be_asked = false;
  blocked.blocked = true;
  const ResidentTenant tenants[] = {tenant(10, 0),    silent,        blocked,
                                    out(10, 0, true), tenant(10, 0), tenant(0, 0)};
  EXPECT_EQ(choose_to_shrink(tenants, 0), (Indices{4}));
  EXPECT_EQ(choose_to_shrink(tenants, {}), (Indices{0, 4}));
}

TEST(Victims, WhatIsStuckIsAskedForLast) {
  ResidentTenant stuck = out(10, 0, true);
  stuck.stuck_bytes = 8;
  const ResidentTenant tenants[] = {stuck, tenant(10, 0)};
  const auto victims = choose_victims(tenants, Need{.least = 5}, {.turn_ns = 0}, 1000 * kMs);
  EXPECT_EQ(indices(victims), (Indices{1}));
  EXPECT_EQ(victims[0].bytes, 5u);
  const auto more = choose_victims(tenants, Need{.least = 12}, {.turn_ns = 0}, 1000 * kMs);
  EXPECT_EQ(indices(more), (Indices{1, 0}));
  EXPECT_EQ(more[1].bytes, 2u);
  EXPECT_EQ(choose_victims(tenants, Need{.least = 15}, {.turn_ns = 0}, 1000 * kMs).size(), 2u);
  ResidentTenant first = stuck, second = stuck;
  first.stuck_bytes = second.stuck_bytes = 10;
  first.not_before_ns = 500 * kMs;
  const ResidentTenant both[] = {first, second};
  EXPECT_EQ(indices(choose_victims(both, Need{.least = 5}, {.turn_ns = 0}, 1000 * kMs)), (Indices{1}))
      << "asked longer ago";
}

TEST(Victims, NobodyBeforeHisTime) {
  const ResidentTenant tenants[] = {tenant(10, 300 * kMs), tenant(10, 100 * kMs)};
  EXPECT_TRUE(choose_victims(tenants, Need{.least = 5}, {.turn_ns = 1000 * kMs}, 1000 * kMs).empty());
  EXPECT_EQ(next_choice_ns(tenants, {.turn_ns = 1000 * kMs}, 1000 * kMs), 1100 * kMs);
  EXPECT_FALSE(choose_victims(tenants, Need{.least = 5}, {.turn_ns = 1000 * kMs}, 1100 * kMs).empty());
  EXPECT_TRUE(choose_victims(tenants, Need{.least = 15}, {.turn_ns = 1000 * kMs}, 1100 * kMs).empty())
      << "nobody goes for what does not suffice";
}

TEST(Victims, NobodyGivesWhatHeCannot) {
  ResidentTenant silent = tenant(10, 0), paused = tenant(10, 0);
  silent.can_be_asked = false;
  paused.not_before_ns = 2000 * kMs;
  const ResidentTenant tenants[] = {silent, paused, tenant(0, 0), tenant(10, 0, Presence::kReturning)};
  EXPECT_TRUE(choose_victims(tenants, Need{.least = 5}, {.turn_ns = 0}, 1000 * kMs).empty());
  EXPECT_EQ(next_choice_ns(tenants, {.turn_ns = 0}, 1000 * kMs), 2000 * kMs);
}

}  // namespace
}  // namespace tessera::partitioning

#include "remote/link/stripe_choice.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>

namespace tessera::remote {
namespace {

// Payloads on a way that carries so much over so many connections: how many are used most in the end.
size_t settles(size_t most, const std::function<double(size_t)>& rate) {
  constexpr int kPayloads = 500, kLast = 200;
  StripeChoice choice(most);
  std::map<size_t, int> used;
  for (int i = 0; i < kPayloads; ++i) {
    const size_t count = choice.count();
    EXPECT_LE(count, most);
    if (i >= kPayloads - kLast) ++used[count];
    choice.report(StripeChoice::kLeastBytes,
                  static_cast<uint64_t>(StripeChoice::kLeastBytes * 1e9 / rate(count)));
  }
  return std::max_element(used.begin(), used.end(),
                          [](const auto& a, const auto& b) { return a.second < b.second; })
      ->first;
}

TEST(StripeChoice, UsesAsManyAsCarryMore) {
  EXPECT_EQ(settles(8, [](size_t count) { return 10e6 * static_cast<double>(count); }), 8u);
  EXPECT_EQ(settles(4, [](size_t count) { return 10e6 * static_cast<double>(count); }), 4u);
  EXPECT_EQ(settles(8, [](size_t count) { return count >= 2 ? 20e6 : 10e6; }), 2u);
}

TEST(StripeChoice, OneIsEnoughWhereMoreCarryNoMore) {
  EXPECT_EQ(settles(8, [](size_t) { return 100e6; }), 1u);
  EXPECT_EQ(settles(8, [](size_t count) { return 100e6 / static_cast<double>(count); }), 1u);
  EXPECT_EQ(settles(1, [](size_t count) { return 10e6 * static_cast<double>(count); }), 1u);
}

TEST(StripeChoice, AWayThatIsFastEnoughIsNotTriedOut) {
  StripeChoice choice(8);
  for (int i = 0; i < 200; ++i) {
    ASSERT_EQ(choice.count(), 1u);
    choice.report(StripeChoice::kLeastBytes, static_cast<uint64_t>(StripeChoice::kLeastBytes / 2e9 * 1e9));
  }
}

// As memory is touched for the first time, or as somebody else has the processors for a while.
TEST(StripeChoice, AWayThatGetsFasterByItselfNeedsNoMore) {
  StripeChoice choice(8);
  double rate = 100e6;
  for (int i = 0; i < 200; ++i, rate = std::min(rate * 1.3, 3e9)) {
    choice.report(StripeChoice::kLeastBytes, static_cast<uint64_t>(StripeChoice::kLeastBytes * 1e9 / rate));
    ASSERT_LE(choice.count(), 2u);
  }
  EXPECT_EQ(choice.count(), 1u);
}

TEST(StripeChoice, TheFirstPayloadTellsNothing) {
  StripeChoice choice(8);
  choice.report(StripeChoice::kLeastBytes, 1'000'000'000);
  EXPECT_EQ(choice.count(), 1u);
}

TEST(StripeChoice, SmallPayloadsTellNothing) {
  StripeChoice choice(8);
  for (int i = 0; i < 200; ++i) choice.report(StripeChoice::kLeastBytes - 1, 1'000'000'000);
  EXPECT_EQ(choice.count(), 1u);
}

TEST(StripeChoice, FewerAreUsedWhereThereAreNoMore) {
  StripeChoice choice(8);
  for (int i = 0; i < 100; ++i) choice.report(StripeChoice::kLeastBytes, 1'000'000'000 / choice.count());
  EXPECT_GT(choice.count(), 2u);
  choice.bound(2);
  EXPECT_LE(choice.count(), 2u);
  choice.bound(0);
  EXPECT_EQ(choice.count(), 1u);
}

}  // namespace
}  // namespace tessera::remote

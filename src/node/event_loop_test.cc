#include "node/event_loop.h"

#include <gtest/gtest.h>

namespace tessera::node {
namespace {

constexpr uint64_t kSecond = 1'000'000'000, kHour = 3600 * kSecond;

uint64_t clock_says = 0;
uint64_t settable_clock() { return clock_says; }

class EventLoopTime : public testing::Test {
 protected:
  void SetUp() override { clock_says = 10 * kHour; }
  EventLoop loop_ = EventLoop::create(settable_clock).value();
};

TEST_F(EventLoopTime, IsTheClocks) {
  EXPECT_EQ(loop_.now_ns(), 10 * kHour);
  clock_says += 5;
  EXPECT_EQ(loop_.now_ns(), 10 * kHour + 5);
}

TEST_F(EventLoopTime, GoesOnWhereTheClockWasSetBackWhileItWaited) {
  const uint64_t before = loop_.now_ns();
  ASSERT_TRUE(loop_.run_once(0).ok());
  clock_says = kHour;
  EXPECT_EQ(loop_.now_ns(), before);
  clock_says += kSecond;
  EXPECT_EQ(loop_.now_ns(), before + kSecond);
  EXPECT_EQ(loop_.when(kHour), before) << "what a child read by the same clock";
}

TEST_F(EventLoopTime, WhatAChildReadWhileItWaitedIsNotMadeOlder) {
  loop_.now_ns();
  ASSERT_TRUE(loop_.run_once(0).ok());
  clock_says += 5;
  EXPECT_EQ(loop_.when(clock_says - 2), 10 * kHour + 3);
}

TEST_F(EventLoopTime, ALeapIsNoLongerThanItsWaitMayHaveBeen) {
  const uint64_t before = loop_.now_ns();
  ASSERT_TRUE(loop_.run_once(0).ok());
  clock_says += kHour;
  EXPECT_EQ(loop_.now_ns(), before + SteadyTime::kMostLateNs);
}

}  // namespace
}  // namespace tessera::node

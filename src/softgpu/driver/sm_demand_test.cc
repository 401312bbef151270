#include "softgpu/driver/sm_demand.h"

#include <gtest/gtest.h>

namespace tessera::softgpu {
namespace {

constexpr uint64_t kSms = 8;

TEST(SmDemand, OneBlockWantsOneSm) {
  SmDemand demand(kSms);
  demand.add(1, 100);
  EXPECT_EQ(demand.figures(150).ready_ns, 50u) << "while it runs";
  demand.remove(1, 200);
  const SmDemand::Figures figures = demand.figures(500);
  EXPECT_EQ(figures.ready_ns, 100u);
  EXPECT_EQ(figures.ready_sm_ns, 100u);
}

TEST(SmDemand, MoreBlocksThanSmsWantAllOfThem) {
  SmDemand demand(kSms);
  demand.add(1'000, 0);
  demand.remove(1'000, 100);
  EXPECT_EQ(demand.figures(100).ready_sm_ns, 100u * kSms);
}

TEST(SmDemand, KernelsSideBySideAddUp) {
  SmDemand demand(kSms);
  demand.add(2, 0);
  demand.add(3, 10);
  demand.add(7, 20);
  demand.remove(3, 30);
  demand.remove(2, 40);
  demand.remove(7, 50);
  const SmDemand::Figures figures = demand.figures(60);
  EXPECT_EQ(figures.ready_ns, 50u);
  EXPECT_EQ(figures.ready_sm_ns, 10u * (2 + 5 + 8 + 8 + 7));
}

TEST(SmDemand, WhatWaitsWhilePausedWantsNothing) {
  SmDemand demand(kSms);
  demand.add(4, 0);
  demand.pause(true, 10);
  demand.add(4, 20);
  demand.pause(false, 100);
  demand.remove(8, 110);
  const SmDemand::Figures figures = demand.figures(110);
  EXPECT_EQ(figures.ready_ns, 20u);
  EXPECT_EQ(figures.ready_sm_ns, 10u * 4 + 10u * 8);
}

TEST(SmDemand, AClockThatIsBehindTakesNothingBack) {
  SmDemand demand(kSms);
  demand.add(1, 100);
  demand.add(1, 50);
  demand.remove(2, 200);
  EXPECT_EQ(demand.figures(150).ready_sm_ns, 200u);
}

}  // namespace
}  // namespace tessera::softgpu

#include "node/residency_simulation.h"

#include <gtest/gtest.h>

#include <random>

namespace tessera::node {
namespace {

using Program = ResidencySimulation::Program;
constexpr uint64_t kMib = ResidencySimulation::kMib, kSecond = ResidencySimulation::kSecondNs;
constexpr double kBytesPerNs = 1;  // 1 GB/s, each way

struct Case {
  size_t programs;
  uint64_t mib, capacity_mib, working_s;
};

struct Outcome {
  ResidencySimulation::Figures figures;
  double throughput = 0;  // of one after the other
  double moved = 0;       // of all that they have
};

Outcome play(const Case& what, uint64_t most_ns = 3600 * kSecond, double bytes_per_ns = kBytesPerNs) {
  ResidencySimulation simulation(what.capacity_mib * kMib, bytes_per_ns);
  for (size_t i = 0; i < what.programs; ++i) {
    Program program;
    program.bytes = what.mib * kMib;
    program.limit_bytes = (what.mib + 16) * kMib;
    program.working_ns = what.working_s * kSecond;
    program.begins_ns = i * 10'000'000;
    simulation.add(program);
  }
  Outcome outcome{simulation.run(most_ns)};
  EXPECT_TRUE(simulation.check().ok()) << simulation.check().message();
  outcome.throughput =
      static_cast<double>(simulation.alone_ns()) / static_cast<double>(outcome.figures.took_ns);
  outcome.moved =
      static_cast<double>(outcome.figures.moved_bytes) / static_cast<double>(what.programs * what.mib * kMib);
  return outcome;
}

TEST(ResidencySimulation, WhatFitsIsNotMoved) {
  const Outcome outcome = play({2, 100, 256, 8});
  EXPECT_TRUE(outcome.figures.all_ended);
  EXPECT_EQ(outcome.moved, 0);
  EXPECT_GT(outcome.throughput, 0.99);
}

// In 1.8 to 3.6 times what there is: programs get on side by side, none waits for the ends of others, and
// most of the time is work.
TEST(ResidencySimulation, ManyGetOnTogether) {
  for (const Case& what : {Case{5, 291, 819, 8}, Case{5, 291, 819, 30}, Case{5, 3000, 8192, 30},
                           Case{10, 291, 819, 30}, Case{3, 400, 819, 30}}) {
    SCOPED_TRACE(testing::Message() << what.programs << " x " << what.mib << ", " << what.working_s << " s");
    const Outcome outcome = play(what);
    EXPECT_TRUE(outcome.figures.all_ended);
    EXPECT_GT(outcome.throughput, 0.93);
    EXPECT_LT(outcome.figures.longest_wait_ns, 30 * kSecond);
    EXPECT_GT(outcome.figures.least_done, 0.5) << "they ran one after the other";
  }
}

// Of two only one is there at a time, so the other's way in and out is lost.
TEST(ResidencySimulation, TwoOfThreeQuartersTakeTurns) {
  for (const Case& what : {Case{2, 598, 819, 8}, Case{2, 598, 819, 30}, Case{2, 598, 819, 100}}) {
    SCOPED_TRACE(testing::Message() << what.working_s << " s");
    const Outcome outcome = play(what);
    EXPECT_TRUE(outcome.figures.all_ended);
    EXPECT_GT(outcome.throughput, 0.9);
    EXPECT_LT(outcome.figures.longest_wait_ns, 30 * kSecond);
  }
}

// At the sizes and speeds of a real device, of any number of programs: nobody waits for longer than half a
// minute unless moving takes more than half of the time, and they get on together.
TEST(ResidencySimulation, NobodyWaitsForHalfAMinute) {
  constexpr uint64_t kCapacityMib = 8192, kLongest = 30 * kSecond;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 dice(seed);
    const auto roll = [&](uint64_t least, uint64_t most) {
      return std::uniform_int_distribution<uint64_t>(least, most)(dice);
    };
    const double bytes_per_ns = static_cast<double>(roll(20, 60)) / 10;
    ResidencySimulation simulation(kCapacityMib * kMib, bytes_per_ns);
    const uint64_t programs = roll(2, 6), most_mib = roll(1500, 6500);
    for (uint64_t i = 0; i < programs; ++i) {
      Program program;
      const uint64_t mib = roll(0, 1) == 0 ? most_mib : roll(1000, most_mib);
      program.bytes = mib * kMib;
      program.limit_bytes = (mib + 16) * kMib;
      program.growing_ns = roll(1, 10) * kSecond;
      program.working_ns = roll(5, 60) * kSecond;
      program.begins_ns = roll(0, 20) * kSecond / 2;
      simulation.add(program);
    }
    const auto figures = simulation.run(3600 * kSecond);
    EXPECT_TRUE(figures.all_ended);
    EXPECT_TRUE(simulation.check().ok()) << simulation.check().message();
    EXPECT_LT(figures.longest_wait_ns, kLongest);
  }
}

// Two of 6 GiB, and five of 3, on 8 GiB that move as fast as between memories of the host.
TEST(ResidencySimulation, FullSizesGetOn) {
  for (const Case& what : {Case{2, 6128, 8192, 40}, Case{2, 6128, 8192, 200}, Case{5, 3056, 8192, 10},
                           Case{5, 3056, 8192, 100}, Case{10, 3056, 8192, 50}}) {
    SCOPED_TRACE(testing::Message() << what.programs << " x " << what.mib << ", " << what.working_s << " s");
    const Outcome outcome = play(what, 3600 * kSecond, 3);
    EXPECT_TRUE(outcome.figures.all_ended);
    EXPECT_GT(outcome.throughput, 0.9);
    EXPECT_LT(outcome.figures.longest_wait_ns, 30 * kSecond);
    EXPECT_GT(outcome.figures.least_done, 0.2) << "they ran one after the other";
  }
}

// Of five two work at a time, and there is room for two thirds of a third one: so much of each stays, at
// best, and a turn moves the rest, not all of who goes.
TEST(ResidencySimulation, WhatIsNeededSoonStays) {
  const Case what{5, 3056, 8192, 40};
  const Outcome outcome = play(what, 3600 * kSecond, 3);
  EXPECT_TRUE(outcome.figures.all_ended);
  EXPECT_LT(outcome.moved, 4.7) << "5.2 where each turn moves all of one";
}

// Those that load their data at once do not push each other out in turn, none of them getting on: what two of
// them need comes from those that began last.
TEST(ResidencySimulation, WhoGrowsDoesNotDriveOthersRound) {
  const Outcome outcome = play({5, 3000, 8192, 2});
  EXPECT_TRUE(outcome.figures.all_ended);
  EXPECT_LT(outcome.moved, 0.3);
  const Outcome small = play({2, 598, 819, 2});
  EXPECT_LT(small.moved, 0.2);
}

// Of programs that come and go all the time none keeps out who was there before. Where so many wait turns are
// short, for each of them to get on soon: moving takes more of the time than it does otherwise.
TEST(ResidencySimulation, NewcomersStandInLine) {
  ResidencySimulation simulation(800 * kMib, kBytesPerNs);
  Program program;
  program.bytes = 500 * kMib;
  program.limit_bytes = 516 * kMib;
  program.working_ns = 60 * kSecond;
  simulation.add(program);
  program.working_ns = 2 * kSecond;
  for (uint64_t i = 1; i <= 40; ++i) {
    program.begins_ns = i * kSecond;
    simulation.add(program);
  }
  const auto figures = simulation.run(3600 * kSecond);
  EXPECT_TRUE(figures.all_ended);
  EXPECT_GT(static_cast<double>(simulation.alone_ns()) / static_cast<double>(figures.took_ns), 0.6);
}

}  // namespace
}  // namespace tessera::node

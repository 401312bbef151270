#include "memory/qos/copy_shares.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>

namespace tessera::memory {
namespace {

constexpr double kSecond = 1e9;

// A program that copies over and over, as fast as it can by itself, or so much in every so many rounds.
struct Program {
  RateTerms terms;
  double own = 1e12;  // bytes a second, if nobody disturbs it
  unsigned every = 1;
  double burst = 0;  // 0: all the time
  bool runs = true;
  double waiting = 0;  // of its burst
  double copied = 0;
  uint64_t rate = CopyShares::kUnlimited;
};

// A link that gives everybody the same, up to what each can take.
class Link {
 public:
  Link(double bytes_per_second, std::vector<Program> all, unsigned seed = 1)
      : speed(bytes_per_second), programs(std::move(all)), random_(seed) {}

  void run(unsigned rounds) {
    for (unsigned i = 0; i < rounds; ++i) round();
  }
  void forget() {
    for (Program& program : programs) program.copied = 0;
  }
  double part(size_t which) const {
    double all = 0;
    for (const Program& program : programs) all += program.copied;
    return programs[which].copied / all;
  }
  double copied() const {
    double all = 0;
    for (const Program& program : programs) all += program.copied;
    return all;
  }

  double speed;
  double noise = 0;  // of the speed, from round to round
  std::vector<Program> programs;
  CopyShares shares;

 private:
  static constexpr double kRound = CopyShares::kRoundNs / kSecond;

  void round() {
    std::vector<RateClaim> free, paced;
    for (Program& program : programs) {
      if (program.burst != 0 && now_ % program.every == 0) program.waiting += program.burst;
      double wants = program.runs ? program.own * kRound : 0;
      if (program.burst != 0) wants = std::min(wants, program.waiting);
      free.push_back({{}, static_cast<uint64_t>(wants)});
      paced.push_back(
          {{}, static_cast<uint64_t>(std::min(wants, static_cast<double>(program.rate) * kRound))});
    }
    const double now = speed * kRound * (1 + noise * std::uniform_real_distribution(-1.0, 1.0)(random_));
    const std::vector<uint64_t> gone = share_rate(static_cast<uint64_t>(now), paced);
    std::vector<CopyShares::Tenant> told;
    for (size_t i = 0; i < programs.size(); ++i) {
      const bool held = paced[i].wanted < free[i].wanted && gone[i] == paced[i].wanted;
      programs[i].copied += static_cast<double>(gone[i]);
      programs[i].waiting -= std::min(programs[i].waiting, static_cast<double>(gone[i]));
      told.push_back({i, programs[i].terms, gone[i], held});
    }
    const std::vector<uint64_t> rates = shares.round(told, CopyShares::kRoundNs);
    for (size_t i = 0; i < programs.size(); ++i) programs[i].rate = rates[i];
    ++now_;
  }

  std::mt19937 random_;
  unsigned now_ = 0;
};

Program with_weight(uint32_t weight) { return {.terms = {.weight = weight}}; }

TEST(CopyShares, WhoIsAloneHasAllOfTheLink) {
  Link link(20e9, {with_weight(1), with_weight(1000)});
  link.programs[1].runs = false;
  link.run(1000);
  EXPECT_EQ(link.programs[0].rate, CopyShares::kUnlimited);
  EXPECT_FALSE(link.shares.contended());
  EXPECT_NEAR(link.copied(), 20e9 * 10, 1e6);
}

TEST(CopyShares, BytesFollowWeights) {
  Link link(20e9, {with_weight(300), with_weight(100)});
  link.run(100);
  link.forget();
  link.run(1000);
  EXPECT_NEAR(link.part(0), 0.75, 0.03);
  EXPECT_GT(link.copied(), 0.95 * 20e9 * 10);
}

TEST(CopyShares, BytesFollowWeightsWhateverTheyAre) {
  for (unsigned seed = 1; seed <= 60; ++seed) {
    std::mt19937 random(seed);
    std::vector<Program> programs;
    double weights = 0;
    const unsigned count = std::uniform_int_distribution(2U, 6U)(random);
    for (unsigned i = 0; i < count; ++i) {
      programs.push_back(with_weight(std::uniform_int_distribution(50U, 500U)(random)));
      weights += programs.back().terms.weight;
    }
    const double speed = std::exp2(std::uniform_real_distribution(28.0, 36.0)(random));
    Link link(speed, programs, seed);
    link.noise = 0.1;
    link.run(200);
    link.forget();
    link.run(2000);
    for (unsigned i = 0; i < count; ++i)
      EXPECT_NEAR(link.part(i), programs[i].terms.weight / weights, 0.04) << "seed " << seed;
    EXPECT_GT(link.copied(), 0.9 * speed * 20) << "seed " << seed;
  }
}

TEST(CopyShares, WhoCannotUseItsPartLeavesIt) {
  Link link(20e9, {with_weight(300), with_weight(100)});
  link.programs[0].own = 2e9;
  link.run(200);
  link.forget();
  link.run(1000);
  EXPECT_GT(link.programs[0].copied, 0.95 * 2e9 * 10);
  EXPECT_GT(link.programs[1].copied, 0.8 * 18e9 * 10);
}

// A program that computes most of the time, and copies a little between: neither it nor the other suffers.
TEST(CopyShares, BurstsAreNotDrawnOut) {
  Link link(20e9, {with_weight(300), with_weight(100)});
  link.programs[0].burst = 8e6;
  link.programs[0].every = 3;
  link.run(200);
  link.forget();
  link.run(999);
  EXPECT_NEAR(link.programs[0].copied, 333 * 8e6, 2e7);
  EXPECT_LE(link.programs[0].waiting, 8e6);
  EXPECT_GT(link.programs[1].copied, 0.8 * 19e9 * 10);
}

TEST(CopyShares, ALinkThatChangesIsFollowed) {
  Link link(20e9, {with_weight(300), with_weight(100)});
  link.run(300);
  for (const double speed : {5e9, 25e9, 1e9}) {
    link.speed = speed;
    link.run(1000);
    link.forget();
    link.run(500);
    EXPECT_NEAR(link.part(0), 0.75, 0.03) << speed;
    EXPECT_GT(link.copied(), 0.9 * speed * 5) << speed;
  }
}

TEST(CopyShares, WhatIsLeftIsThereAtOnce) {
  Link link(20e9, {with_weight(300), with_weight(100)});
  link.run(300);
  link.programs[0].runs = false;
  link.run(CopyShares::kQuiet + 1);
  EXPECT_EQ(link.programs[1].rate, CopyShares::kUnlimited);
}

TEST(CopyShares, GuaranteesAndCeilingsHold) {
  Link link(10e9, {Program{.terms = {.guaranteed = 4'000'000'000, .weight = 1}},
                   Program{.terms = {.ceiling = 1'000'000'000, .weight = 1000}}, with_weight(100)});
  link.run(200);
  link.forget();
  link.run(1000);
  EXPECT_GT(link.programs[0].copied, 0.93 * 4e9 * 10);
  EXPECT_LE(link.programs[1].copied, 1.001 * 1e9 * 10);
  EXPECT_GT(link.programs[1].copied, 0.9 * 1e9 * 10);
  link.programs[0].runs = link.programs[2].runs = false;
  link.forget();
  link.run(100);
  EXPECT_LE(link.programs[1].copied, 1.001 * 1e9);
}

// Whatever is told: nobody waits for ever, and who does not copy is not held.
TEST(CopyShares, NobodyIsHeldForEver) {
  std::mt19937_64 random(7);
  CopyShares shares;
  for (int i = 0; i < 20'000; ++i) {
    std::vector<CopyShares::Tenant> told;
    const size_t count = random() % 5;
    for (size_t j = 0; j < count; ++j) {
      const uint64_t bytes = random() % 3 == 0 ? 0 : random() >> (random() % 64);
      told.push_back({random() % 8 * 8 + j,
                      {.weight = static_cast<uint32_t>(random() % 10'000)},
                      bytes,
                      random() % 2 == 0});
    }
    const auto rates = shares.round(told, random() % 4 == 0 ? random() % 3 : random() % 1'000'000'000);
    ASSERT_EQ(rates.size(), told.size());
    for (const uint64_t rate : rates) EXPECT_GE(rate, uint64_t{1} << 20);
  }
}

}  // namespace
}  // namespace tessera::memory

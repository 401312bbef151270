#include "partitioning/program/churn.h"

#include <gtest/gtest.h>

namespace tessera::partitioning {
namespace {

ChurnOptions small(uint64_t seed) {
  ChurnOptions options;
  options.gpus = 1 + static_cast<uint32_t>(seed % 5);
  options.sms = 1 + static_cast<uint32_t>(seed * 7 % 40);
  options.memory_bytes = 1 << 20;
  options.arrivals = 300;
  options.load = 0.3 + static_cast<double>(seed % 9) * 0.2;
  options.seed = seed;
  return options;
}

TEST(Churn, ThePlannersPromisesHoldForEverySeed) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    for (SmMode mode : {SmMode::kAuto, SmMode::kTime, SmMode::kSpace}) {
      const Packing packing = seed % 2 == 0 ? Packing::kSpread : Packing::kBinpack;
      const ChurnResult result = run_churn(small(seed), {"", mode, packing});
      ASSERT_TRUE(result.broken.ok()) << result.broken.message() << ", seed " << seed;
      ASSERT_EQ(result.arrivals, 300u);
    }
  }
}

TEST(Churn, TheSameSeedMakesTheSameDecisions) {
  const ChurnPolicy policy{"", SmMode::kAuto, Packing::kBinpack};
  EXPECT_EQ(run_churn(small(3), policy).hash, run_churn(small(3), policy).hash);
  EXPECT_NE(run_churn(small(3), policy).hash, run_churn(small(8), policy).hash);
}

// What fits in turns is not refused for the sake of space.
TEST(Churn, SpaceWhereItFitsRefusesNoMoreThanTimeAlone) {
  ChurnOptions options;
  options.arrivals = 5000;
  const ChurnResult hybrid = run_churn(options, {"", SmMode::kAuto, Packing::kSpread});
  const ChurnResult time = run_churn(options, {"", SmMode::kTime, Packing::kSpread});
  EXPECT_GT(hybrid.in_space, 0u);
  EXPECT_LE(hybrid.refused, time.refused + options.arrivals / 100);
}

}  // namespace
}  // namespace tessera::partitioning

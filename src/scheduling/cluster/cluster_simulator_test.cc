#include "scheduling/cluster/cluster_simulator.h"

#include <gtest/gtest.h>

namespace tessera::scheduling {
namespace {

ClusterResult simulate(ClusterConfig config) {
  auto result = ClusterSimulator(config).run();
  EXPECT_TRUE(result.ok()) << result.status().message();
  EXPECT_FALSE(result->broken) << "seed " << config.seed << ": " << *result->broken;
  return std::move(*result);
}

// Crowded and idle clusters, packed and spread, with many faults: no job is lost, no GPU given out twice or
// idle beside work, nobody starves.
TEST(ClusterSimulator, HoldsItsInvariantsForEverySeed) {
  uint64_t moves = 0, restarts = 0, faults = 0, dropped = 0;
  for (uint64_t seed = 0; seed < 60; ++seed) {
    Random random(seed);
    ClusterConfig config;
    config.seed = seed;
    config.gpus = static_cast<uint32_t>(random.between(1, 40));
    config.jobs = 1000;
    config.load = 0.2 + random.uniform();
    config.policy = random.one_in(2) ? BalancePolicy::kSpread : BalancePolicy::kPack;
    config.between_faults_ns = random.between(200, 2000) * kSecond / config.gpus;  // a GPU's own: minutes
    const ClusterResult result = simulate(config);
    EXPECT_EQ(result.finished + result.dropped, config.jobs);
    moves += result.moves;
    restarts += result.restarts;
    faults += result.gpu_faults;
    dropped += result.dropped;
  }
  EXPECT_GT(moves, 0u);
  EXPECT_GT(restarts, 0u);
  EXPECT_GT(faults, 0u);
  EXPECT_GT(dropped, 0u);
}

TEST(ClusterSimulator, TheSameSeedIsTheSameRun) {
  ClusterConfig config;
  config.jobs = 2000;
  const ClusterResult once = simulate(config), again = simulate(config);
  EXPECT_EQ(once.trace_hash, again.trace_hash);
  EXPECT_EQ(once.elapsed_ns, again.elapsed_ns);
  config.seed = 2;
  EXPECT_NE(simulate(config).trace_hash, once.trace_hash);
}

TEST(ClusterSimulator, UtilisationFollowsTheLoad) {
  ClusterConfig config;
  config.jobs = 40'000;
  config.between_faults_ns = 3600 * kSecond;
  EXPECT_NEAR(simulate(config).utilisation, config.load, 0.1);
}

// --- planted bugs

class Canary : public DeviceScheduler {
 public:
  explicit Canary(const SchedulerConfig& config) : DeviceScheduler(config) {}
  using DeviceScheduler::make_policies;
};

class LosesWakeups : public Canary {
 public:
  using Canary::Canary;
  void wake(TenantId id, Nanoseconds now) override {
    if (++calls_ % 64 != 0) Canary::wake(id, now);
  }

 private:
  uint64_t calls_ = 0;
};

class NobodyStarves : public Canary {  // so it believes
 public:
  using Canary::Canary;
  Nanoseconds waited_ns(const Slot&, Nanoseconds) const override { return 0; }
};

template <typename Planted>
class ClusterCanary : public testing::Test {};
using Canaries = testing::Types<LosesWakeups, NobodyStarves>;
TYPED_TEST_SUITE(ClusterCanary, Canaries);

TYPED_TEST(ClusterCanary, IsFoundWithinTwentySeeds) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    ClusterConfig config;
    config.seed = seed;
    config.gpus = 20;
    config.load = 1;
    config.jobs = 5000;
    const auto make = [](const SchedulerConfig& terms) -> Result<std::unique_ptr<DeviceScheduler>> {
      auto canary = std::make_unique<TypeParam>(terms);
      TESSERA_RETURN_IF_ERROR(canary->make_policies());
      return std::unique_ptr<DeviceScheduler>(std::move(canary));
    };
    const auto result = ClusterSimulator(config, make).run();
    ASSERT_TRUE(result.ok()) << result.status().message();
    if (result->broken) return;
  }
  FAIL() << "no seed shows it";
}

}  // namespace
}  // namespace tessera::scheduling

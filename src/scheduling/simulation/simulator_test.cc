// The scheduler's promises over drawn workloads, and whether the checks would notice: every planted bug has
// to be found.
#include "scheduling/simulation/simulator.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace tessera::scheduling {
namespace {

constexpr uint64_t kSeeds = 1000;

// The soak asks for more.
SimulationLimits limits() {
  SimulationLimits limits;
  if (const char* asked = std::getenv("TESSERA_SIMULATION_DECISIONS"))
    limits.decisions = strtoull(asked, nullptr, 10);
  return limits;
}

TEST(Simulator, HoldsEveryInvariantForEverySeed) {
  uint64_t decisions = 0;
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    const auto result = simulate_seed(seed, limits());
    ASSERT_TRUE(result.ok()) << result.status().message();
    ASSERT_FALSE(result->broken) << "seed " << seed << ": " << *result->broken;
    decisions += result->decisions;
  }
  EXPECT_GT(decisions, kSeeds * limits().decisions / 2);
}

TEST(Simulator, TheSameSeedIsTheSameRun) {
  for (uint64_t seed : {1u, 7u, 191u}) {
    const auto once = simulate_seed(seed, {}), again = simulate_seed(seed, {});
    ASSERT_TRUE(once.ok() && again.ok());
    EXPECT_EQ(once->trace_hash, again->trace_hash);
    EXPECT_EQ(once->elapsed_ns, again->elapsed_ns);
  }
  EXPECT_NE(simulate_seed(1, {})->trace_hash, simulate_seed(2, {})->trace_hash);
}

// Widths are found out, some tenants say less than the truth, and some are hurt by company: nobody has less
// than in turns.
TEST(Simulator, CompanyTakesNothingFromAnybody) {
  uint64_t beside = 0;
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    const auto result = simulate_company(seed, limits());
    ASSERT_TRUE(result.ok()) << result.status().message();
    ASSERT_FALSE(result->broken) << "seed " << seed << ": " << *result->broken;
    beside += result->company_ns > result->elapsed_ns / 4;
  }
  EXPECT_GT(beside, kSeeds / 10) << "many do run side by side";
}

// Once a tenant that came while another ran alone was given all the time that it had not been there.
TEST(Simulator, ANewcomerGetsNoCreditForTheTimeBeforeItCame) {
  for (uint64_t seed : {191u, 683u, 1097u, 1338u, 1352u, 1401u, 1817u, 2326u, 2423u, 2610u}) {
    const auto result = simulate_seed(seed, {});
    ASSERT_TRUE(result.ok());
    EXPECT_FALSE(result->broken) << "seed " << seed << ": " << *result->broken;
  }
}

// Once waits that began under a greater bound were held to the one that weights and company had made of it.
TEST(Simulator, ABoundThatShrinksDuringAWaitIsNotBroken) {
  for (uint64_t seed : {3286u, 3792u, 6661u}) {
    const auto result = simulate_seed(seed, {});
    ASSERT_TRUE(result.ok());
    EXPECT_FALSE(result->broken) << "seed " << seed << ": " << *result->broken;
  }
}

// --- planted bugs

class Canary : public DeviceScheduler {
 public:
  explicit Canary(const SchedulerConfig& config) : DeviceScheduler(config) {}
  using DeviceScheduler::make_policies;
};

template <typename Planted>
Result<std::unique_ptr<DeviceScheduler>> make_canary(const SchedulerConfig& config) {
  auto canary = std::make_unique<Planted>(config);
  TESSERA_RETURN_IF_ERROR(canary->make_policies());
  return std::unique_ptr<DeviceScheduler>(std::move(canary));
}

class LosesWakeups : public Canary {
 public:
  using Canary::Canary;
  void wake(TenantId id, Nanoseconds now) override {
    if (++calls_ % 64 != 0) Canary::wake(id, now);
  }

 private:
  uint64_t calls_ = 0;
};

class KeepsTheGrantOfTheIdle : public Canary {
 public:
  using Canary::Canary;
  void sleep(TenantId id, Nanoseconds now) override {
    if (!slot(id).granted || ++calls_ % 64 != 0) Canary::sleep(id, now);
  }

 private:
  uint64_t calls_ = 0;
};

class ForgetsCharges : public Canary {
 public:
  using Canary::Canary;
  void charge(TenantId id, Nanoseconds busy_ns, uint32_t kernels, Nanoseconds now) override {
    Canary::charge(id, id == 0 ? 0 : busy_ns, kernels, now);
  }
};

class NeverEndsGrants : public Canary {
 public:
  using Canary::Canary;
  void end_expired(Nanoseconds) override {}
};

class LetsCeilingsBe : public Canary {
 public:
  using Canary::Canary;
  void refresh(TenantId id, Nanoseconds now) override {
    Canary::refresh(id, now);
    slot(id).throttled = false;
  }
};

class NobodyStarves : public Canary {  // so it believes
 public:
  using Canary::Canary;
  Nanoseconds waited_ns(const Slot&, Nanoseconds) const override { return 0; }
};

class ChargesForWidthAlone : public Canary {  // whoever waits for the rest
 public:
  using Canary::Canary;
  bool pays_whole(const Grant&, bool) const override { return false; }
};

class SeesNoRoom : public Canary {
 public:
  using Canary::Canary;
  bool fits(const Slot& slot) const override { return grants().empty() && Canary::fits(slot); }
};

template <typename Planted>
class CanaryTest : public testing::Test {};
using Canaries = testing::Types<LosesWakeups, KeepsTheGrantOfTheIdle, ForgetsCharges, NeverEndsGrants,
                                LetsCeilingsBe, NobodyStarves, SeesNoRoom>;
TYPED_TEST_SUITE(CanaryTest, Canaries);

TYPED_TEST(CanaryTest, IsFoundWithinAThousandSeeds) {
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    const auto result = simulate_seed(seed, {}, make_canary<TypeParam>);
    ASSERT_TRUE(result.ok()) << result.status().message();
    if (result->broken) {
      this->RecordProperty("seed", static_cast<int>(seed));
      return;
    }
  }
  FAIL() << "no seed below " << kSeeds << " shows it";
}

// What the clock says, as it says it: who waits when it is set back waits until it has caught up.
TEST(ClockCanary, IsFoundWithinAThousandSeeds) {
  SimulationLimits raw_clock;
  raw_clock.steady_time = false;
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    const auto result = simulate_seed(seed, raw_clock);
    ASSERT_TRUE(result.ok()) << result.status().message();
    if (!result->broken) continue;
    RecordProperty("seed", static_cast<int>(seed));
    return;
  }
  FAIL() << "no seed below " << kSeeds << " shows it";
}

TEST(CompanyCanary, IsFoundWithinAThousandSeeds) {
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    const auto result = simulate_company(seed, {}, make_canary<ChargesForWidthAlone>);
    ASSERT_TRUE(result.ok()) << result.status().message();
    if (!result->broken) continue;
    RecordProperty("seed", static_cast<int>(seed));
    return;
  }
  FAIL() << "no seed below " << kSeeds << " shows it";
}

}  // namespace
}  // namespace tessera::scheduling

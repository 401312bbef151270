#include "scheduling/qos/qos_controller.h"

#include <gtest/gtest.h>

#include "scheduling/simulation/simulator.h"

namespace tessera::scheduling {
namespace {

TenantSpec guaranteed(uint32_t share) {
  TenantSpec spec;
  spec.share_permille = share;
  spec.qos = QosClass::kGuaranteed;
  return spec;
}
TenantSpec with_target(Nanoseconds target) {
  TenantSpec spec;
  spec.target_wait_ns = target;
  return spec;
}

// A scheduler and its controller, windows at one's will.
struct Bench {
  explicit Bench(const std::vector<TenantSpec>& specs) {
    auto made = DeviceScheduler::create({});
    scheduler = std::move(*made);
    for (const TenantSpec& spec : specs) controller.add(*scheduler->add(spec, now), spec, now);
  }
  // `waits` of each tenant, then the window ends.
  void window(const std::vector<Nanoseconds>& waits) {
    now += QosController::kWindowNs;
    for (TenantId id = 0; id < waits.size(); ++id) {
      for (int i = 0; i < 100; ++i) controller.waited(id, waits[id], now);
    }
    controller.adjust(*scheduler, now);
  }
  uint32_t boost(TenantId id) const { return scheduler->tenant(id).boost_permille; }

  std::unique_ptr<DeviceScheduler> scheduler;
  QosController controller;
  Nanoseconds now = kSecond;
};

TEST(QosClass, FollowsFromThePromisesUnlessSaid) {
  EXPECT_EQ(qos_class({}), QosClass::kBestEffort);
  EXPECT_EQ(qos_class(with_target(kMillisecond)), QosClass::kBurstable);
  TenantSpec spec;
  spec.share_permille = 300;
  EXPECT_EQ(qos_class(spec), QosClass::kBurstable);
  spec.cap_permille = 300;
  EXPECT_EQ(qos_class(spec), QosClass::kGuaranteed);
  spec.qos = QosClass::kBurstable;
  EXPECT_EQ(qos_class(spec), QosClass::kBurstable);
  EXPECT_TRUE(check_spec(spec).ok());
  spec.qos = QosClass::kBestEffort;
  EXPECT_EQ(check_spec(spec).code(), Code::kInvalidArgument);
  spec = TenantSpec();
  spec.qos = QosClass::kGuaranteed;
  EXPECT_EQ(check_spec(spec).code(), Code::kInvalidArgument);
}

TEST(QosController, RaisesFastAndLowersSlowly) {
  Bench bench({with_target(kMillisecond)});
  int rising = 0, falling = 0;
  while (bench.boost(0) < QosController::kMostBoost && ++rising < 1000) bench.window({2 * kMillisecond});
  while (bench.boost(0) > kWhole && ++falling < 1000) bench.window({kMicrosecond});
  EXPECT_LE(rising, 10);
  EXPECT_GE(falling, 5 * rising);
  EXPECT_LT(falling, 1000);
}

TEST(QosController, BestEffortYieldsFirst) {
  Bench bench({guaranteed(300), with_target(kMillisecond), {}});
  bench.window({0, 2 * kMillisecond, 0});
  EXPECT_EQ(bench.boost(0), kWhole);
  EXPECT_GT(bench.boost(1), kWhole);
  EXPECT_LT(bench.boost(2), kWhole);
}

// The guaranteed one waits all the time: only when the best-effort one has no more to give does the burstable
// one yield.
TEST(QosController, BurstableYieldsToABrokenGuaranteeLast) {
  Bench bench({guaranteed(300), with_target(kMillisecond), {}});
  bench.scheduler->wake(1, bench.now);
  bench.scheduler->decide(bench.now);
  bench.scheduler->wake(0, bench.now);
  for (int i = 0; i < 12; ++i) {
    const uint32_t best_effort = bench.boost(2), burstable = bench.boost(1);
    bench.window({0, 2 * kMillisecond, 0});
    if (bench.boost(1) < burstable) {
      EXPECT_EQ(best_effort, QosController::kLeastBoost);
    }
  }
  EXPECT_GT(bench.boost(0), kWhole);
  EXPECT_EQ(bench.boost(1), QosController::kLeastBurstable);
}

TEST(QosController, HasNothingToDoWhereNothingIsPromised) {
  Bench bench({{}, {}});
  EXPECT_EQ(bench.controller.next_adjustment_ns(), kNever);
}

// --- in the simulator

Program endless(const char* name, TenantSpec spec, Nanoseconds kernel) {
  Program program;
  program.name = name;
  program.spec = spec;
  program.kernels_per_burst = 0;
  program.kernel_ns = kernel;
  return program;
}
Program requests(const char* name, TenantSpec spec, Nanoseconds pause) {
  Program program = endless(name, spec, 500 * kMicrosecond);
  program.kernels_per_burst = 2;
  program.pause_ns = pause;
  return program;
}

SimulationResult simulate(const Workload& workload, uint64_t seed, bool qos) {
  SimulationLimits limits;
  limits.decisions = UINT64_MAX;
  limits.duration_ns = 40 * kSecond;
  limits.qos = qos;
  limits.keep_waits = !qos;
  auto result = Simulator(workload, seed, limits, DeviceScheduler::create).run();
  EXPECT_TRUE(result.ok());
  EXPECT_FALSE(result->broken) << *result->broken;
  return std::move(*result);
}

double share(const SimulationResult& result, size_t tenant) {
  return static_cast<double>(result.tenants[tenant].served_ns) / static_cast<double>(result.elapsed_ns);
}

// About 5 ms: the end of a bucket of the histogram, so that a quantile is exact there.
constexpr Nanoseconds kTarget = (10u << 19) - 1;

// Requests for 9 % of the GPU, to be begun within 5 ms, among tenants that take all they get in turns of 6 ms
// and more.
Workload inference_among_training(uint32_t weight) {
  Workload workload;
  TenantSpec spec = with_target(kTarget);
  spec.weight = weight;
  workload.programs = {requests("inference", spec, 10 * kMillisecond),
                       endless("guaranteed", guaranteed(300), kMillisecond)};
  for (int i = 0; i < 4; ++i) workload.programs.push_back(endless("rest", {}, kMillisecond));
  return workload;
}

TEST(QosInTheSimulator, ATargetThatCanBeMetIsMetAndSharesAreKept) {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    const SimulationResult result = simulate(inference_among_training(40), seed, true);
    EXPECT_LE(result.tenants[0].turn_waits.quantile(990), kTarget) << seed;
    EXPECT_GE(share(result, 1), 0.29) << seed;
    EXPECT_GE(result.tenants[1].boost_permille, kWhole) << seed;
    for (size_t rest = 2; rest < result.tenants.size(); ++rest) {
      EXPECT_LE(result.tenants[rest].boost_permille, kWhole) << seed;
    }
  }
}

// What the controller is for: the same weight without it is not enough.
TEST(QosInTheSimulator, TheTargetIsNotMetByTheWeightAlone) {
  const SimulationResult result = simulate(inference_among_training(40), 1, false);
  WaitHistogram all;
  for (Nanoseconds wait : result.tenants[0].waits_ns) all.add(wait);
  EXPECT_GT(all.quantile(990), kTarget);
}

// One that can never be met takes no guaranteed share, and no more than its bound.
TEST(QosInTheSimulator, AnImpossibleTargetHarmsNoGuarantee) {
  Workload workload = inference_among_training(100);
  workload.programs[0].spec.target_wait_ns = kMicrosecond;
  workload.programs[0].kernels_per_burst = 0;
  const SimulationResult result = simulate(workload, 1, true);
  EXPECT_GE(share(result, 1), 0.29);
  EXPECT_LE(result.tenants[0].boost_permille, QosController::kMostBoost);
}

// Whatever is drawn: a best-effort tenant is never above its weight, a guaranteed one never below, and shares
// and bounds hold as they do without the controller (Invariants).
TEST(QosInTheSimulator, BoundsHoldForEverySeed) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    SimulationLimits limits;
    limits.decisions = 3000;
    const auto result = simulate_seed(seed, limits);
    ASSERT_TRUE(result.ok());
    ASSERT_FALSE(result->broken) << "seed " << seed << ": " << *result->broken;
    for (const TenantReport& tenant : result->tenants) {
      const QosClass qos = qos_class(tenant.spec);
      EXPECT_GE(tenant.boost_permille, qos == QosClass::kGuaranteed ? kWhole : QosController::kLeastBoost);
      EXPECT_LE(tenant.boost_permille, qos == QosClass::kBestEffort ? kWhole : QosController::kMostBoost);
    }
  }
}

}  // namespace
}  // namespace tessera::scheduling

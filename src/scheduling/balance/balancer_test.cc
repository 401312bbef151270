#include "scheduling/balance/balancer.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "scheduling/random.h"

namespace tessera::scheduling {
namespace {

constexpr uint64_t kGiB = uint64_t{1} << 30;

std::vector<GpuShape> equal(size_t count) { return std::vector<GpuShape>(count, GpuShape{80 * kGiB, 1}); }

TEST(Balancer, SpreadTakesTheLeastLoadedAndPackTheFullest) {
  Balancer spread(equal(3), BalancePolicy::kSpread), pack(equal(3), BalancePolicy::kPack);
  const JobNeeds job{10 * kGiB, 0, 0.3};
  std::vector<int> spread_jobs(3), pack_jobs(3);
  for (int i = 0; i < 3; ++i) {
    ++spread_jobs[*spread.place(job)];
    ++pack_jobs[*pack.place(job)];
  }
  EXPECT_EQ(spread_jobs, (std::vector<int>{1, 1, 1}));
  EXPECT_EQ(*std::max_element(pack_jobs.begin(), pack_jobs.end()), 3);
  ++pack_jobs[*pack.place(job)];
  EXPECT_EQ(*std::max_element(pack_jobs.begin(), pack_jobs.end()), 3) << "a fourth would overload it";
}

TEST(Balancer, AFastGpuCarriesMore) {
  Balancer balancer({{80 * kGiB, 1}, {80 * kGiB, 3}}, BalancePolicy::kSpread);
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(balancer.place({0, 0, 0.1}).has_value());
  EXPECT_EQ(balancer.jobs(1), 30u);
}

TEST(Balancer, AMoveHasToPay) {
  Balancer balancer(equal(2), BalancePolicy::kPack);
  const JobNeeds job{8 * kGiB, 0, 1};
  balancer.place_on(0, job);
  balancer.place_on(0, job);
  MoveTerms terms;
  EXPECT_EQ(balancer.better_place(0, job, terms), 1u) << "half the speed for a minute costs more";
  terms.horizon_seconds = 1;
  EXPECT_FALSE(balancer.better_place(0, job, terms).has_value())
      << "it stands still for longer than it gains";
  terms = MoveTerms();
  balancer.place_on(1, job);
  balancer.place_on(1, job);
  EXPECT_FALSE(balancer.better_place(0, job, terms).has_value()) << "no better there";
}

TEST(Balancer, APromisedShareGainsNothingByMoving) {
  Balancer balancer(equal(2), BalancePolicy::kPack);
  const JobNeeds promised{kGiB, 500, 0.5}, rest{kGiB, 0, 1};
  balancer.place_on(0, promised);
  for (int i = 0; i < 3; ++i) balancer.place_on(0, rest);
  EXPECT_FALSE(balancer.better_place(0, promised, {}).has_value());
  EXPECT_EQ(balancer.better_place(0, rest, {}), 1u);
}

TEST(Balancer, KnowsItsPoliciesByName) {
  EXPECT_EQ(*parse_balance_policy("pack"), BalancePolicy::kPack);
  EXPECT_NE(parse_balance_policy("random").status().message().find("spread, pack"), std::string::npos);
}

// Random jobs come, move and go, GPUs close and open: nothing is ever given out twice or to a closed GPU,
// what fits somewhere is placed, the least loaded is chosen, and in the end everything is back.
TEST(Balancer, KeepsItsBooksForEverySeed) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Random random(seed);
    std::vector<GpuShape> shapes;
    for (uint64_t i = random.between(1, 12); i > 0; --i) {
      shapes.push_back({random.between(1, 8) * 10 * kGiB, static_cast<double>(random.between(1, 3))});
    }
    const BalancePolicy policy = random.one_in(2) ? BalancePolicy::kSpread : BalancePolicy::kPack;
    Balancer balancer(shapes, policy);
    std::vector<std::pair<GpuIndex, JobNeeds>> jobs;
    for (int step = 0; step < 500; ++step) {
      const auto at = static_cast<GpuIndex>(random.below(shapes.size()));
      if (random.one_in(20)) balancer.set_open(at, !balancer.is_open(at));
      if (!jobs.empty() && random.one_in(2)) {
        auto& [gpu, needs] = jobs[random.below(jobs.size())];
        if (auto to = balancer.better_place(gpu, needs, {}); to && random.one_in(2)) {
          const double here = balancer.rate_at(gpu, needs, balancer.load(gpu));
          balancer.remove(gpu, needs);
          balancer.place_on(*to, needs);
          EXPECT_GT(balancer.rate_at(*to, needs, balancer.load(*to)), here) << seed;
          gpu = *to;
        } else {
          balancer.remove(gpu, needs);
          std::swap(jobs.back(),
                    *std::find_if(jobs.begin(), jobs.end(), [&](auto& j) { return &j.second == &needs; }));
          jobs.pop_back();
        }
        continue;
      }
      const JobNeeds needs{random.below(30) * kGiB, static_cast<uint32_t>(random.below(4) * 100),
                           static_cast<double>(random.between(1, 100)) / 100};
      std::optional<double> least;
      for (GpuIndex gpu = 0; gpu < shapes.size(); ++gpu) {
        const double load = balancer.load(gpu) / shapes[gpu].speed;
        if (balancer.fits(gpu, needs)) least = std::min(least.value_or(load), load);
      }
      const auto placed = balancer.place(needs);
      ASSERT_EQ(placed.has_value(), least.has_value()) << seed;
      if (!placed) continue;
      ASSERT_TRUE(balancer.is_open(*placed));
      if (policy == BalancePolicy::kSpread) {
        EXPECT_NEAR((balancer.load(*placed) - needs.load) / shapes[*placed].speed, *least, 1e-9) << seed;
      }
      jobs.emplace_back(*placed, needs);
    }
    for (auto& [gpu, needs] : jobs) balancer.remove(gpu, needs);
    for (GpuIndex gpu = 0; gpu < shapes.size(); ++gpu) {
      EXPECT_EQ(balancer.free_bytes(gpu), shapes[gpu].memory_bytes);
      EXPECT_EQ(balancer.free_permille(gpu), kWhole);
      EXPECT_EQ(balancer.load(gpu), 0);
    }
  }
}

}  // namespace
}  // namespace tessera::scheduling

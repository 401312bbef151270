#include "partitioning/planner.h"

#include <gtest/gtest.h>

#include <random>

#include "common/size.h"

namespace tessera::partitioning {
namespace {

GpuState gpu(uint32_t sms = 8, uint64_t memory = 16 * kGiB) {
  GpuState state;
  state.memory_bytes = memory;
  state.sm_count = sms;
  state.control = SmControl::kSets;
  return state;
}

ComputeSpec share(uint32_t permille, SmMode mode = SmMode::kAuto) {
  ComputeSpec spec;
  spec.share_permille = permille;
  spec.mode = mode;
  return spec;
}

void place(GpuState& state, const ComputeSpec& compute, const IndexSet& sms, uint64_t bytes = 0) {
  state.parts.push_back({bytes, compute.share_permille, sms});
}

std::string planned(const GpuState& state, const ComputeSpec& compute, const IndexSet& keep = {}) {
  auto sms = plan_sms(state, 0, compute, keep);
  if (!sms.ok()) return "refused";
  return sms->empty() ? "time" : sms->text();
}

TEST(Planner, TakesSpaceWhereTheShareIsAWholeNumberOfSms) {
  GpuState state = gpu();
  EXPECT_EQ(planned(state, share(250)), "0-1");
  EXPECT_EQ(planned(state, share(300)), "time");
  EXPECT_EQ(planned(state, share(0)), "time");
  EXPECT_EQ(planned(gpu(3), share(333)), "0");
  EXPECT_EQ(planned(gpu(3), share(667)), "0-1");
  EXPECT_EQ(planned(gpu(2), share(250)), "time");
}

TEST(Planner, LeftToItselfItKeepsAnSmForThoseWhoTakeTurns) {
  GpuState state = gpu(2);
  EXPECT_EQ(planned(state, share(1000)), "time");
  EXPECT_EQ(planned(state, share(500)), "0");
  place(state, share(500), *IndexSet::parse("0"));
  EXPECT_EQ(planned(state, share(500)), "time");
  EXPECT_EQ(planned(state, share(500, SmMode::kSpace)), "1") << "who says so may have the last one";
  place(state, share(0), {});
  EXPECT_EQ(planned(state, share(500, SmMode::kSpace)), "refused");
}

TEST(Planner, SpaceThatIsAskedForHoldsTheShareAtLeast) {
  EXPECT_EQ(planned(gpu(), share(300, SmMode::kSpace)), "0-2");
  EXPECT_EQ(planned(gpu(), share(1, SmMode::kSpace)), "0");
  GpuState flat = gpu();
  flat.control = SmControl::kNone;
  EXPECT_EQ(planned(flat, share(250)), "time");
  EXPECT_EQ(plan_sms(flat, 3, share(250, SmMode::kSpace)).status().message(),
            "GPU 3 cannot keep a slice's kernels to some of its SMs; --sm-mode time can be had");
  EXPECT_EQ(plan_sms(gpu(), 0, share(0, SmMode::kSpace)).status().code(), Code::kInvalidArgument);
}

// Under MPS: a program in time has all that is shared from its start on.
TEST(Planner, NobodyIsGivenTheSmsThatProgramsKeep) {
  GpuState state = gpu();
  state.control = SmControl::kPortions;
  place(state, share(0), {});
  EXPECT_EQ(planned(state, share(250, SmMode::kSpace)), "0-1") << "none runs there yet";
  state.shared_in_use = true;
  EXPECT_EQ(planned(state, share(250)), "time");
  const Status refused = plan_sms(state, 0, share(250, SmMode::kSpace)).status();
  EXPECT_EQ(refused.code(), Code::kResourceExhausted);
  EXPECT_NE(refused.message().find("takes none from programs that run (MPS)"), std::string::npos)
      << refused.message();
  EXPECT_EQ(planned(state, share(250, SmMode::kSpace), *IndexSet::parse("2-3")), "2-3") << "its own already";
  EXPECT_EQ(planned(state, share(375, SmMode::kSpace), *IndexSet::parse("2-3")), "refused");
  state.control = SmControl::kSets;
  EXPECT_EQ(planned(state, share(250)), "0-1");
}

TEST(Planner, PortionsAreNumbersOfSmsThatPercentsCanSay) {
  GpuState state = gpu(108);
  state.control = SmControl::kPortions;
  EXPECT_EQ(planned(state, share(250, SmMode::kSpace)), "0-26");
  EXPECT_EQ(planned(state, share(125, SmMode::kSpace)), "0-14") << "12 % are 13 SMs, 13 % are 15";
  EXPECT_EQ(planned(state, share(1, SmMode::kSpace)), "0-1") << "one percent is more than one SM";
  for (uint32_t permille = 1; permille <= 1000; ++permille) {
    const auto sms = plan_sms(state, 0, share(permille, SmMode::kSpace));
    ASSERT_TRUE(sms.ok());
    const uint32_t percent = sms->count() * 100 / 108;
    ASSERT_EQ((percent * 108 + 99) / 100, sms->count()) << permille;
  }
}

TEST(Planner, WhatIsPromisedInTimeKeepsItsSms) {
  GpuState state = gpu();
  place(state, share(700, SmMode::kTime), {});
  EXPECT_EQ(planned(state, share(250)), "0-1");
  EXPECT_EQ(planned(state, share(300)), "time");
  EXPECT_EQ(planned(state, share(375)), "refused") << "only 30 % are left, in time as in space";
  EXPECT_EQ(planned(state, share(375, SmMode::kSpace)), "refused");
  place(state, share(250), *IndexSet::parse("0-1"));
  EXPECT_EQ(planned(state, share(50)), "time");
  EXPECT_EQ(planned(state, share(51)), "refused");
}

TEST(Planner, AResizedSliceKeepsWhatItCan) {
  GpuState state = gpu();
  place(state, share(250), *IndexSet::parse("2-3"));
  EXPECT_EQ(planned(state, share(500), *IndexSet::parse("4-5")), "0-1,4-5");
  EXPECT_EQ(planned(state, share(125), *IndexSet::parse("4-5")), "4");
}

TEST(Planner, ChoosesTheEmptiestOrTheFullestGpu) {
  std::vector<GpuState> gpus = {gpu(), gpu(), gpu()};
  place(gpus[0], share(0), {}, 4 * kGiB);
  place(gpus[2], share(0), {}, 8 * kGiB);
  const PartRequest request{6 * kGiB, share(250)};
  EXPECT_EQ(choose_gpu(gpus, request, Packing::kSpread)->gpu, 1u);
  auto packed = choose_gpu(gpus, request, Packing::kBinpack);
  EXPECT_EQ(packed->gpu, 2u);
  EXPECT_EQ(packed->reasons.size(), 3u);
  EXPECT_EQ(packed->reasons[2],
            "GPU 2: SMs 0-1 of 8, in space; then 2GiB of memory and 75.0 % of its compute are left");
  gpus[2].unusable = "it has fallen off the bus";
  EXPECT_EQ(choose_gpu(gpus, request, Packing::kBinpack)->gpu, 0u);
}

TEST(Planner, WhoAsksForNothingGoesWhereTheFewestAre) {
  std::vector<GpuState> gpus = {gpu(), gpu()};
  EXPECT_EQ(choose_gpu(gpus, {}, Packing::kSpread)->gpu, 0u);
  place(gpus[0], share(0), {});
  EXPECT_EQ(choose_gpu(gpus, {}, Packing::kSpread)->gpu, 1u);
}

TEST(Planner, ARefusalNamesEachGpusReason) {
  std::vector<GpuState> gpus = {gpu(8, kGiB), gpu()};
  place(gpus[1], share(900, SmMode::kTime), {});
  auto refused = choose_gpu(gpus, {2 * kGiB, share(200)}, Packing::kSpread);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.status().message().find("GPU 0 has 1GiB not reserved"), std::string::npos)
      << refused.status().message();
  EXPECT_NE(refused.status().message().find("10.0 % is not promised yet"), std::string::npos)
      << refused.status().message();
}

// Small ones first would leave no room for the large one.
TEST(Planner, ABatchIsPlacedInTheOrderThatPlacesTheMost) {
  const std::vector<GpuState> gpus = {gpu(8, 10 * kGiB), gpu(8, 10 * kGiB)};
  std::vector<PartRequest> requests(4, {3 * kGiB, {}});
  requests.push_back({8 * kGiB, {}});
  BatchPlan plan = plan_batch(gpus, requests);
  EXPECT_EQ(plan.placed, 4u);
  requests = {{3 * kGiB, {}}, {3 * kGiB, {}}, {3 * kGiB, {}}, {10 * kGiB, {}}};
  plan = plan_batch(gpus, requests);
  EXPECT_EQ(plan.placed, 4u) << plan.order;
  for (const auto& placement : plan.placements) EXPECT_TRUE(placement.ok());
}

TEST(Planner, OfEqualBatchesTheOneThatLeavesGpusWholeWins) {
  const std::vector<GpuState> gpus = {gpu(), gpu()};
  const std::vector<PartRequest> requests(2, {kGiB, share(250)});
  const BatchPlan plan = plan_batch(gpus, requests);
  EXPECT_EQ(plan.placements[0]->gpu, plan.placements[1]->gpu);
}

// What is guaranteed of a GPU that promises more than it has must leave everybody his limit.
TEST(Planner, WhatIsGuaranteedLeavesEverybodyHisLimit) {
  GpuState overcommitted = gpu();
  overcommitted.memory_bytes = 16 * kGiB;
  overcommitted.physical_bytes = 8 * kGiB;
  const std::vector<GpuState> gpus = {overcommitted, overcommitted};
  PartRequest guaranteed{4 * kGiB, {}}, large{6 * kGiB, {}};
  guaranteed.memory_min_bytes = 4 * kGiB;
  std::vector<PartRequest> requests = {guaranteed, large};
  BatchPlan plan = plan_batch(gpus, requests);
  ASSERT_EQ(plan.placed, 2u);
  EXPECT_NE(plan.placements[0]->gpu, plan.placements[1]->gpu)
      << "although both would fit on one by their sum";
  guaranteed.memory_min_bytes = 2 * kGiB;
  requests = {guaranteed, large};
  EXPECT_EQ(plan_batch(gpus, requests).placements[0]->gpu, plan_batch(gpus, requests).placements[1]->gpu);
  guaranteed.memory_min_bytes = 4 * kGiB;
  requests = {guaranteed, guaranteed, large};
  plan = plan_batch(gpus, requests);
  EXPECT_EQ(plan.placed, 3u) << "the two beside each other";
  requests = {guaranteed, guaranteed, guaranteed, guaranteed, large};
  plan = plan_batch(gpus, requests);
  EXPECT_EQ(plan.placed, 4u);
  for (const auto& placement : plan.placements) {
    if (!placement.ok()) {
      EXPECT_NE(placement.status().message().find("could never have its limit"), std::string::npos);
    }
  }
  guaranteed.memory_min_bytes = 5 * kGiB;
  EXPECT_FALSE(choose_gpu(gpus, guaranteed, Packing::kSpread).ok()) << "more than is set aside";
}

// Random slices come, change and go: what the planner's header promises holds at each step, and it refuses
// only where nothing could be done.
class PlannerWalk {
 public:
  explicit PlannerWalk(uint64_t seed) : dice_(seed), state_(gpu(1 + dice_() % 12, 1000)) {}

  void step() {
    const size_t count = state_.parts.size();
    if (count > 0 && dice_() % 3 == 0) {
      state_.parts.erase(state_.parts.begin() + static_cast<long>(dice_() % count));
    } else if (count > 0 && dice_() % 3 == 0) {
      const size_t index = dice_() % count;
      Part old = state_.parts[index];
      state_.parts.erase(state_.parts.begin() + static_cast<long>(index));
      if (!add(old.sms)) state_.parts.push_back(old);
    } else {
      add({});
    }
    check();
  }

 private:
  bool add(const IndexSet& keep) {
    PartRequest request;
    request.memory_bytes = dice_() % 400;
    request.compute = share(dice_() % 4 == 0 ? 0 : static_cast<uint32_t>(1 + dice_() % 700),
                            static_cast<SmMode>(dice_() % 3));
    if (request.compute.share_permille == 0) request.compute.mode = SmMode::kAuto;
    auto sms = keep.empty() ? plan_part(state_, 0, request) : plan_sms(state_, 0, request.compute, keep);
    if (!keep.empty()) request.memory_bytes = 0;
    EXPECT_EQ(sms.ok(), possible(request)) << sms.status().message();
    if (!sms.ok()) return false;
    EXPECT_TRUE(check_sms(state_, 0, request.compute, *sms).ok());
    if (!sms->empty()) {
      // A share is said in tenths of a percent: one of three SMs is 33.3 % as well as 33.4.
      EXPECT_GE(state_.permille_of_sms(sms->count()) + 1, request.compute.share_permille);
    }
    state_.parts.push_back({request.memory_bytes, request.compute.share_permille, *sms});
    return true;
  }

  // By counting, not as the planner does it.
  bool possible(const PartRequest& request) const {
    if (request.memory_bytes > state_.unreserved_bytes()) return false;
    uint32_t owned = 0, in_time = 0;
    bool anyone_in_time = false;
    for (const Part& part : state_.parts) {
      owned += part.sms.count();
      in_time += part.sms.empty() ? part.share_permille : 0;
      anyone_in_time |= part.sms.empty();
    }
    const uint32_t free = state_.sm_count - owned;
    auto holds = [&](uint32_t sms, uint32_t permille) { return state_.permille_of_sms(sms) >= permille; };
    const bool time = free > 0 && holds(free, in_time + request.compute.share_permille);
    if (request.compute.mode != SmMode::kSpace) return time;
    for (uint32_t take = 1; take <= free; ++take) {
      const bool rest = !anyone_in_time || (free > take && holds(free - take, in_time));
      // A share is said in tenths of a percent; an SM may lack one of them.
      if (uint64_t{take} * 1000 + state_.sm_count >=
              uint64_t{request.compute.share_permille} * state_.sm_count &&
          rest)
        return true;
    }
    return false;
  }

  void check() const {
    IndexSet owned;
    for (const Part& part : state_.parts) {
      ASSERT_FALSE(part.sms.intersects(owned));
      owned |= part.sms;
    }
    ASSERT_LE(state_.promised_in_time_permille(), state_.shared_permille());
    if (state_.has_parts_in_time()) {
      ASSERT_FALSE(state_.shared_sms().empty());
    }
  }

  std::mt19937_64 dice_;
  GpuState state_;
};

TEST(Planner, HoldsItsPromisesThroughRandomLives) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    PlannerWalk walk(seed);
    for (int step = 0; step < 100 && !::testing::Test::HasFailure(); ++step) walk.step();
    ASSERT_FALSE(::testing::Test::HasFailure()) << "seed " << seed;
  }
}

}  // namespace
}  // namespace tessera::partitioning

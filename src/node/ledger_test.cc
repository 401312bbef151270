#include "node/ledger.h"

#include <gtest/gtest.h>

#include <random>

#include "common/size.h"

namespace tessera::node {
namespace {

Token token_of(uint8_t byte) {
  Token token;
  token.fill(byte);
  return token;
}

SliceRequest request_of(uint8_t token, std::optional<uint64_t> memory, std::vector<uint32_t> gpus = {0}) {
  SliceRequest request;
  request.program = "app";
  request.token = token_of(token);
  request.gpus = std::move(gpus);
  if (memory) request.memory_bytes = {*memory};
  return request;
}

class LedgerTest : public ::testing::Test {
 protected:
  LedgerTest() { ledger_.set_gpu_totals({8 * kGiB, 4 * kGiB}); }
  LeaseId attach(uint8_t token) { return *ledger_.open_lease(token_of(token), 0, {100, 1}, 0); }

  Ledger ledger_;
};

TEST_F(LedgerTest, AdmissionNamesTheFigures) {
  ASSERT_TRUE(ledger_.open_slice(request_of(1, 6 * kGiB), 0).ok());
  auto refused = ledger_.open_slice(request_of(2, 3 * kGiB), 0);
  EXPECT_EQ(refused.status().code(), Code::kResourceExhausted);
  EXPECT_EQ(refused.status().message(),
            "GPU 0 has 2GiB not reserved by other slices (of 8GiB); 3GiB were asked for");
  EXPECT_EQ(ledger_.slices().size(), 1U);
  EXPECT_TRUE(ledger_.open_slice(request_of(2, 2 * kGiB), 0).ok());
}

TEST_F(LedgerTest, WithoutMemoryASliceReservesNothing) {
  SliceId id = *ledger_.open_slice(request_of(1, std::nullopt), 0);
  EXPECT_EQ(ledger_.find_slice(id)->devices[0].limit_bytes, 8 * kGiB);
  EXPECT_FALSE(ledger_.find_slice(id)->devices[0].reserved);
  EXPECT_EQ(ledger_.unreserved_bytes(0), 8 * kGiB);
}

// As MPS: what a process has of the SMs is settled when it starts.
TEST_F(LedgerTest, PortionsChangeForSlicesWithoutProcesses) {
  ledger_.set_gpu_facts({{8, partitioning::SmControl::kPortions}, {}});
  SliceRequest request = request_of(1, kGiB);
  request.compute.resize(1);
  request.compute[0].share_permille = 250;
  const SliceId space = *ledger_.open_slice(request, 0);
  const SliceId time = *ledger_.open_slice(request_of(2, kGiB), 0);
  const auto portion = [&](SliceId id) {
    return ledger_.portion_percent(ledger_.find_slice(id)->devices[0]);
  };
  EXPECT_EQ(portion(space), 25u);
  EXPECT_EQ(portion(time), 75u);
  const auto take = [](uint32_t permille) {
    return [permille](partitioning::ComputeSpec& spec) {
      spec.share_permille = permille;
      return Status();
    };
  };
  ASSERT_TRUE(ledger_.set_compute(space, 0, take(125)).ok());
  EXPECT_EQ(portion(space), 12u) << "one of eight";
  EXPECT_EQ(portion(time), 87u);
  attach(1);
  EXPECT_EQ(ledger_.set_compute(space, 0, take(250)).code(), Code::kFailedPrecondition);
  EXPECT_EQ(portion(space), 12u);
  EXPECT_TRUE(ledger_.set_compute(time, 0, take(100)).ok()) << "its SMs stay what they are";
  SliceDevice elsewhere;
  elsewhere.gpu = 1;
  EXPECT_EQ(ledger_.portion_percent(elsewhere), 0u);
}

TEST_F(LedgerTest, SlicesMoveAllOrNone) {
  const SliceId first = *ledger_.open_slice(request_of(1, 3 * kGiB), 0);
  const SliceId second = *ledger_.open_slice(request_of(2, 2 * kGiB), 0);
  const SliceId free = *ledger_.open_slice(request_of(3, std::nullopt), 0);
  const std::vector<Ledger::Move> too_much = {{first, 1, {}}, {free, 1, {}}, {second, 1, {}}};
  EXPECT_FALSE(ledger_.move_slices(too_much).ok());
  for (SliceId id : {first, second, free}) EXPECT_EQ(ledger_.find_slice(id)->devices[0].gpu, 0u);
  EXPECT_TRUE(ledger_.check().ok());
  ledger_.take_touched();
  EXPECT_TRUE(ledger_.move_slices(std::vector<Ledger::Move>{{first, 1, {}}, {free, 1, {}}}).ok());
  EXPECT_EQ(ledger_.unreserved_bytes(1), kGiB);
  EXPECT_EQ(ledger_.unreserved_bytes(0), 6 * kGiB);
  EXPECT_EQ(ledger_.find_slice(free)->devices[0].limit_bytes, 4 * kGiB) << "what the other GPU has";
  EXPECT_EQ(ledger_.take_touched().slices, std::set<SliceId>({first, free}));
  attach(2);
  EXPECT_FALSE(ledger_.move_slices(std::vector<Ledger::Move>{{second, 1, {}}}).ok()) << "it has a process";
}

TEST_F(LedgerTest, PicksTheGpuWithTheMostUnreserved) {
  ASSERT_TRUE(ledger_.open_slice(request_of(1, 5 * kGiB), 0).ok());
  SliceId id = *ledger_.open_slice(request_of(2, kGiB, {}), 0);
  EXPECT_EQ(ledger_.find_slice(id)->devices[0].gpu, 1U);
}

TEST_F(LedgerTest, RefusesBadGpus) {
  EXPECT_EQ(ledger_.open_slice(request_of(1, kGiB, {7}), 0).status().message(),
            "no GPU 7: this node has 2 (0 to 1)");
  EXPECT_EQ(ledger_.open_slice(request_of(1, kGiB, {1, 1}), 0).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(ledger_.open_slice(request_of(1, 0), 0).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(Ledger().open_slice(request_of(1, kGiB), 0).status().code(), Code::kFailedPrecondition);
}

TEST_F(LedgerTest, NamesAreUniqueAndNumbered) {
  SliceRequest request = request_of(1, std::nullopt);
  SliceId first = *ledger_.open_slice(request, 0);
  SliceId second = *ledger_.open_slice(request, 0);
  EXPECT_EQ(ledger_.find_slice(first)->name, "app-1");
  EXPECT_EQ(ledger_.find_slice(second)->name, "app-2");
  EXPECT_TRUE(ledger_.drop_holder(second));
  EXPECT_EQ(ledger_.find_slice(*ledger_.open_slice(request, 0))->name, "app-3");
  request.name = "app-1";
  EXPECT_EQ(ledger_.open_slice(request, 0).status().code(), Code::kAlreadyExists);
  request.name = "a b";
  EXPECT_EQ(ledger_.open_slice(request, 0).status().code(), Code::kInvalidArgument);
  request.name = "";
  request.program = "\x1b[2J/evil";
  EXPECT_EQ(ledger_.find_slice(*ledger_.open_slice(request, 0))->name, "__2J_evil-1");
}

TEST_F(LedgerTest, SliceLivesWithItsHolderOrItsLeases) {
  SliceId id = *ledger_.open_slice(request_of(1, kGiB), 0);
  LeaseId lease = attach(1);
  EXPECT_FALSE(ledger_.drop_holder(id));
  EXPECT_TRUE(ledger_.close_lease(lease));
  EXPECT_EQ(ledger_.find_slice(id), nullptr);
  EXPECT_EQ(ledger_.open_lease(token_of(1), 0, {100, 1}, 0).status().code(), Code::kNotFound);
}

TEST_F(LedgerTest, GrantsAreTrimmedToWhatIsLeft) {
  ASSERT_TRUE(ledger_.open_slice(request_of(1, 100), 0).ok());
  LeaseId a = attach(1);
  LeaseId b = attach(1);
  EXPECT_EQ(ledger_.grant(a, 0, 60, 70), 70U);
  EXPECT_EQ(ledger_.grant(b, 0, 31, 31), 0U);
  EXPECT_EQ(ledger_.shortfall(b, 0, 31), 1U);
  EXPECT_EQ(ledger_.grant(b, 0, 10, 50), 30U);
  EXPECT_EQ(ledger_.give_back(a, 0, 71).code(), Code::kInvalidData);
  EXPECT_TRUE(ledger_.give_back(a, 0, 70).ok());
  EXPECT_EQ(ledger_.grant(b, 0, UINT64_MAX, UINT64_MAX), 0U);
  EXPECT_EQ(ledger_.grant(b, 0, 0, 70), 70U);
  EXPECT_TRUE(ledger_.check().ok());
}

// Nobody is promised what others' guarantees would keep from him for ever.
TEST_F(LedgerTest, WhatIsGuaranteedLeavesRoomForEachLimit) {
  ledger_.set_overcommit(2000);
  const auto with_minimum = [](uint8_t token, uint64_t limit, uint64_t min) {
    SliceRequest request = request_of(token, limit);
    request.memory.min_bytes = min;
    return request;
  };
  const SliceId first = *ledger_.open_slice(with_minimum(1, 4 * kGiB, 2 * kGiB), 0);
  const auto refused = ledger_.open_slice(with_minimum(2, 7 * kGiB, 0), 0);
  EXPECT_EQ(refused.status().code(), Code::kResourceExhausted);
  EXPECT_NE(refused.status().message().find("others would be guaranteed 2GiB: 'app' could never"),
            std::string::npos)
      << refused.status().message();
  const SliceId second = *ledger_.open_slice(with_minimum(2, 6 * kGiB, kGiB), 0);
  EXPECT_FALSE(ledger_.set_memory(first, {}, {3 * kGiB, {}}).ok()) << "the second would never have its 6 GiB";
  EXPECT_FALSE(ledger_.set_limit(second, {}, 7 * kGiB).ok());
  EXPECT_TRUE(ledger_.set_limit(second, {}, 5 * kGiB).ok());
  EXPECT_TRUE(ledger_.set_memory(first, 0, {3 * kGiB, 250}).ok());
  EXPECT_EQ(ledger_.find_slice(first)->devices[0].memory, (partitioning::MemoryTerms{3 * kGiB, 250}));
  EXPECT_EQ(ledger_.set_memory(first, 1, {0, {}}).code(), Code::kNotFound);
  EXPECT_EQ(ledger_.set_memory(first, {}, {{}, 0}).code(), Code::kInvalidArgument);
  EXPECT_EQ(ledger_.set_memory(first, {}, {5 * kGiB, {}}).code(), Code::kInvalidArgument)
      << "above its limit";
  EXPECT_FALSE(ledger_.set_limit(first, {}, 2 * kGiB).ok()) << "below what it is guaranteed";
  SliceRequest elsewhere = request_of(5, 3 * kGiB, {});
  elsewhere.memory.min_bytes = 3 * kGiB + 1;
  EXPECT_EQ(ledger_.open_slice(elsewhere, 0).status().code(), Code::kInvalidArgument);
  elsewhere.memory.min_bytes = 3 * kGiB;
  const Result<SliceId> third = ledger_.open_slice(elsewhere, 0);
  ASSERT_TRUE(third.ok()) << third.status().message();
  EXPECT_EQ(ledger_.find_slice(*third)->devices[0].gpu, 1u)
      << "on the other one it would be in the second's way";
  SliceRequest unlimited = request_of(3, std::nullopt);
  EXPECT_TRUE(ledger_.open_slice(unlimited, 0).ok()) << "it is told when it asks for too much";
  unlimited.token = token_of(4);
  unlimited.memory.min_bytes = kGiB;
  EXPECT_EQ(ledger_.open_slice(unlimited, 0).status().code(), Code::kInvalidArgument);
  EXPECT_TRUE(ledger_.check().ok());
}

// What is measured frees what a limit promised and nobody needed; it is never what a slice may have.
TEST_F(LedgerTest, SlicesCountWithWhatTheyNeedWhereThatIsAsked) {
  ledger_.count_needs();
  const SliceId first = *ledger_.open_slice(request_of(1, 6 * kGiB), 0);
  const auto refused = ledger_.open_slice(request_of(2, 6 * kGiB), 0);
  ASSERT_EQ(refused.status().code(), Code::kResourceExhausted) << "nothing is known of the first";
  EXPECT_NE(refused.status().message().find("GPU 0 slices need 0B as measured, and 6GiB are the limits of 1 "
                                            "whose need is not known yet: wait for that"),
            std::string::npos)
      << refused.status().message();
  EXPECT_TRUE(ledger_.set_need(first, 0, 2 * kGiB)) << "it is journalled";
  EXPECT_EQ(ledger_.unreserved_bytes(0), 6 * kGiB);
  const SliceId second = *ledger_.open_slice(request_of(2, 6 * kGiB), 0);
  EXPECT_TRUE(ledger_.check().ok()) << "12 GiB of limits on 8";
  EXPECT_FALSE(ledger_.set_need(first, 0, 2 * kGiB + kGiB / 8)) << "little has changed";
  EXPECT_TRUE(ledger_.set_need(first, 0, 7 * kGiB));
  EXPECT_EQ(ledger_.unreserved_bytes(0), 0u) << "both need all of their limits";
  EXPECT_TRUE(ledger_.check().ok());
  const LeaseId lease = attach(1);
  EXPECT_EQ(ledger_.grant(lease, 0, 6 * kGiB, 7 * kGiB), 6 * kGiB) << "what it may have is its limit";
  EXPECT_EQ(ledger_.take_recent_peak(first, 0), 6 * kGiB);
  EXPECT_TRUE(ledger_.set_need(second, 0, 0));
  EXPECT_EQ(ledger_.unreserved_bytes(0), 2 * kGiB);
  EXPECT_TRUE(ledger_.set_memory(second, 0, {kGiB, {}}).ok());
  EXPECT_EQ(ledger_.unreserved_bytes(0), kGiB) << "what is guaranteed counts, needed or not";
}

TEST_F(LedgerTest, WhatWasNeededForAMomentIsSeenOnce) {
  const SliceId slice = *ledger_.open_slice(request_of(1, 100), 0);
  const LeaseId lease = attach(1);
  EXPECT_EQ(ledger_.grant(lease, 0, 80, 80), 80u);
  EXPECT_TRUE(ledger_.give_back(lease, 0, 70).ok());
  EXPECT_EQ(ledger_.take_recent_peak(slice, 0), 80u);
  EXPECT_EQ(ledger_.take_recent_peak(slice, 0), 10u);
}

TEST_F(LedgerTest, OnlyTheOwnerOrRootMayAttach) {
  SliceRequest request = request_of(1, kGiB);
  request.owner = 1000;
  ASSERT_TRUE(ledger_.open_slice(request, 0).ok());
  EXPECT_EQ(ledger_.open_lease(token_of(1), 1001, {1, 1}, 0).status().code(), Code::kPermissionDenied);
  EXPECT_TRUE(ledger_.open_lease(token_of(1), 1000, {1, 1}, 0).ok());
  EXPECT_TRUE(ledger_.open_lease(token_of(1), 0, {1, 1}, 0).ok());
}

TEST_F(LedgerTest, EveryGpuMayHaveALimitOfItsOwn) {
  SliceRequest request = request_of(1, std::nullopt, {1, 0});
  request.memory_bytes = {kGiB, 3 * kGiB};
  SliceId id = *ledger_.open_slice(request, 0);
  EXPECT_EQ(ledger_.find_slice(id)->devices[0].gpu, 1U);
  EXPECT_EQ(ledger_.find_slice(id)->devices[0].limit_bytes, kGiB);
  EXPECT_EQ(ledger_.find_slice(id)->devices[1].limit_bytes, 3 * kGiB);
  EXPECT_EQ(ledger_.unreserved_bytes(0), 5 * kGiB);
  EXPECT_EQ(ledger_.unreserved_bytes(1), 3 * kGiB);
  EXPECT_EQ(ledger_.unreserved_bytes(), (std::vector<uint64_t>{5 * kGiB, 3 * kGiB}));
  request.memory_bytes = {kGiB, kGiB, kGiB};
  EXPECT_EQ(ledger_.open_slice(request, 0).status().message(), "3 limits for 2 GPUs");
  request.gpus = {};
  EXPECT_EQ(ledger_.open_slice(request, 0).status().code(), Code::kInvalidArgument);
  request.gpus = {0, 1};
  request.memory_bytes = {kGiB, 4 * kGiB};
  EXPECT_EQ(ledger_.open_slice(request, 0).status().message(),
            "GPU 1 has 3GiB not reserved by other slices (of 4GiB); 4GiB were asked for");
}

TEST_F(LedgerTest, ALimitMayChange) {
  SliceId id = *ledger_.open_slice(request_of(1, kGiB), 0);
  ASSERT_TRUE(ledger_.open_slice(request_of(2, 5 * kGiB), 0).ok());
  LeaseId lease = attach(1);
  EXPECT_EQ(ledger_.grant(lease, 0, kGiB, kGiB), kGiB);
  EXPECT_TRUE(ledger_.set_limit(id, 0, 3 * kGiB).ok());
  EXPECT_EQ(ledger_.unreserved_bytes(0), 0U);
  EXPECT_EQ(ledger_.grant(lease, 0, kGiB, kGiB), kGiB);
  EXPECT_EQ(ledger_.set_limit(id, 0, 4 * kGiB).message(),
            "GPU 0 has 3GiB not reserved by other slices (of 8GiB); 4GiB were asked for");
  EXPECT_EQ(ledger_.set_limit(id, 1, kGiB).code(), Code::kNotFound);
  EXPECT_EQ(ledger_.set_limit(id, std::nullopt, 0).code(), Code::kInvalidArgument);
  EXPECT_EQ(ledger_.find_slice(id)->devices[0].limit_bytes, 3 * kGiB);
}

TEST_F(LedgerTest, BelowWhatIsGrantedNothingIsGrantedAndNothingIsGivenToOthers) {
  SliceId id = *ledger_.open_slice(request_of(1, 4 * kGiB), 0);
  LeaseId lease = attach(1);
  EXPECT_EQ(ledger_.grant(lease, 0, 3 * kGiB, 3 * kGiB), 3 * kGiB);
  EXPECT_TRUE(ledger_.set_limit(id, std::nullopt, kGiB).ok());
  EXPECT_TRUE(ledger_.find_slice(id)->devices[0].lowered);
  EXPECT_EQ(ledger_.unreserved_bytes(0), 5 * kGiB);  // of 8, for 3 are still held
  EXPECT_EQ(ledger_.grant(lease, 0, 1, 1), 0U);
  EXPECT_EQ(ledger_.shortfall(lease, 0, 1), 2 * kGiB + 1);
  EXPECT_TRUE(ledger_.check().ok());
  EXPECT_TRUE(ledger_.give_back(lease, 0, 2 * kGiB + kMiB).ok());
  EXPECT_FALSE(ledger_.find_slice(id)->devices[0].lowered);
  EXPECT_EQ(ledger_.unreserved_bytes(0), 7 * kGiB);
  EXPECT_EQ(ledger_.grant(lease, 0, kMiB, kGiB), kMiB);
}

TEST_F(LedgerTest, OnlyTheOwnerOrRootMayChangeALimit) {
  SliceRequest request = request_of(1, kGiB);
  request.owner = 1000;
  SliceId id = *ledger_.open_slice(request, 0);
  EXPECT_EQ(ledger_.slice_named("app-1", 1001).status().code(), Code::kPermissionDenied);
  EXPECT_EQ(*ledger_.slice_named("app-1", 1000), id);
  EXPECT_EQ(*ledger_.slice_named("app-1", 0), id);
  EXPECT_EQ(ledger_.slice_named("app-2", 0).status().code(), Code::kNotFound);
  EXPECT_EQ(ledger_.slice_named("a\nb", 0).status().code(), Code::kInvalidArgument);
}

// Any sequence of calls keeps the invariants; when everyone is gone, everything is back.
class LedgerWalk {
 public:
  explicit LedgerWalk(uint64_t seed) : dice_(seed) { ledger_.set_gpu_totals({1000, 500, 2000}); }

  void step() {
    switch (roll(9)) {
      case 0:
        return open_slice();
      case 1:
        if (SliceId id = any(held_)) {
          ledger_.drop_holder(id);
          held_.erase(id);
        }
        return;
      case 2:
        return open_lease();
      case 3:
        if (LeaseId id = any(leases_)) {
          ledger_.close_lease(id);
          leases_.erase(id);
        }
        return;
      case 4:
        if (SliceId id = any(held_)) (void)ledger_.set_limit(id, std::nullopt, roll(600));
        return;
      default:
        return move_bytes();
    }
  }

  Status check() const { return ledger_.check(); }

  void end_everything() {
    for (LeaseId id : leases_) ledger_.close_lease(id);
    for (SliceId id : held_) ledger_.drop_holder(id);
  }
  const Ledger& ledger() const { return ledger_; }

 private:
  uint64_t roll(uint64_t sides) { return dice_() % sides; }
  uint64_t any(const std::set<uint64_t>& ids) {
    if (ids.empty()) return 0;
    auto next = ids.lower_bound(roll(*ids.rbegin() + 1));
    return *next;
  }

  void open_slice() {
    SliceRequest request = request_of(static_cast<uint8_t>(roll(20)), std::nullopt, {});
    if (roll(3) > 0) request.memory_bytes = {roll(600)};
    for (uint64_t count = roll(4); count > 0; --count) {
      request.gpus.push_back(static_cast<uint32_t>(roll(4)));
    }
    if (ledger_.slices().size() > 12) return;
    auto id = ledger_.open_slice(request, 0);
    if (id.ok()) held_.insert(*id);
  }
  void open_lease() {
    auto id = ledger_.open_lease(token_of(static_cast<uint8_t>(roll(20))), 0, {1, 1}, 0);
    if (id.ok()) leases_.insert(*id);
  }
  void move_bytes() {
    LeaseId id = any(leases_);
    if (id == 0) return;
    auto device = static_cast<uint32_t>(roll(ledger_.find_lease(id)->devices.size()));
    uint64_t needed = roll(500);
    if (roll(2) == 0) {
      uint64_t granted = ledger_.grant(id, device, needed, needed + roll(300));
      EXPECT_TRUE(granted == 0 || granted >= needed);
    } else if (ledger_.give_back(id, device, needed).ok()) {
      ++given_back_;
    }
  }

  std::mt19937_64 dice_;
  Ledger ledger_;
  std::set<SliceId> held_;
  std::set<LeaseId> leases_;
  uint64_t given_back_ = 0;
};

TEST(LedgerProperty, NoSequenceExceedsALimit) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    LedgerWalk walk(seed);
    for (int i = 0; i < 10'000; ++i) {
      walk.step();
      ASSERT_TRUE(walk.check().ok()) << walk.check().message() << ", seed " << seed << ", step " << i;
    }
    walk.end_everything();
    EXPECT_TRUE(walk.ledger().slices().empty());
    EXPECT_TRUE(walk.ledger().leases().empty());
    for (uint32_t gpu = 0; gpu < 3; ++gpu) {
      EXPECT_EQ(walk.ledger().unreserved_bytes(gpu), walk.ledger().gpu_totals()[gpu]);
    }
  }
}

}  // namespace
}  // namespace tessera::node

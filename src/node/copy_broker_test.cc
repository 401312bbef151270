#include "node/copy_broker.h"

#include <gtest/gtest.h>

namespace tessera::node {
namespace {

constexpr uint64_t kMs = 1'000'000;
constexpr size_t kTo = static_cast<size_t>(vgpu::HostCopy::kToDevice);
constexpr size_t kFrom = static_cast<size_t>(vgpu::HostCopy::kFromDevice);
using Rates = std::vector<GrantMapping::CopyRates>;

// A GPU whose link carries 10 GB a second each way, whoever copies having the same of it.
class Copies : public testing::Test {
 protected:
  static constexpr uint64_t kBytesPerMs = 10'000'000;

  void SetUp() override {
    broker_.set_watched({0});
    parts_ = {{1, 0, {.weight = 300}, {{11, {}}}}, {2, 0, {.weight = 100}, {{21, {}}}}};
    rates_ = Rates(2, {vgpu::kAnyCopyRate, vgpu::kAnyCopyRate});
  }

  // `copies`: processes of each part that copy that way.
  void run(uint64_t ms, size_t way, const std::vector<std::vector<LeaseId>>& copies) {
    for (uint64_t i = 0; i < ms; ++i, now_ns_ += kMs) {
      std::vector<RateClaim> claims;
      std::vector<CopyValues*> whose;
      for (size_t part = 0; part < parts_.size(); ++part) {
        const uint64_t rate = rates_[part][way];
        for (const LeaseId lease : copies[part]) {
          claims.push_back({{.ceiling = rate == vgpu::kAnyCopyRate ? rate : rate / 1000}});
          whose.push_back(&parts_[part].processes.at(lease));
        }
      }
      const std::vector<uint64_t> gone = share_rate(kBytesPerMs, claims);
      for (size_t one = 0; one < whose.size(); ++one) {
        whose[one]->bytes[way] += gone[one];
        if (gone[one] == claims[one].terms.ceiling) ++whose[one]->waits[way];
      }
      if (!broker_.due(now_ns_).empty()) rates_ = broker_.share(0, parts_, now_ns_);
    }
  }
  uint64_t copied(size_t part, size_t way) const {
    uint64_t bytes = 0;
    for (const auto& [lease, values] : parts_[part].processes) bytes += values.bytes[way];
    return bytes;
  }
  double part_of(size_t which, size_t way) const {
    return static_cast<double>(copied(which, way)) / static_cast<double>(copied(0, way) + copied(1, way));
  }

  CopyBroker broker_;
  std::vector<CopyBroker::Part> parts_;
  Rates rates_;
  uint64_t now_ns_ = 1;
};

TEST_F(Copies, SlicesGetTheirWeightsHoweverManyProcessesTheyAre) {
  parts_[1].processes = {{21, {}}, {22, {}}, {23, {}}, {24, {}}};
  run(20'000, kTo, {{11}, {21, 22, 23, 24}});
  EXPECT_NEAR(part_of(0, kTo), 0.75, 0.04);
  EXPECT_EQ(rates_[0][kFrom], vgpu::kAnyCopyRate) << "nobody copies that way";
}

TEST_F(Copies, BoundsHoldForAllProcessesTogetherAlsoAlone) {
  parts_[0].terms.ceiling = 1'000'000'000;
  parts_[0].processes = {{11, {}}, {12, {}}};
  run(100, kTo, {{11}, {}});
  const uint64_t before = copied(0, kTo);
  run(2'000, kTo, {{11, 12}, {}});
  EXPECT_NEAR(static_cast<double>(copied(0, kTo) - before), 2e9, 0.05 * 2e9);
}

TEST_F(Copies, WhoIsAloneOnItsWayIsNotHeld) {
  run(1'000, kTo, {{11}, {}});
  run(1'000, kFrom, {{}, {21}});
  EXPECT_EQ(parts_[0].processes.at(11).waits[kTo] + parts_[1].processes.at(21).waits[kFrom], 0u);
  EXPECT_EQ(copied(0, kTo), 1'000 * kBytesPerMs);
}

TEST_F(Copies, AreLookedAtOftenOnlyWhileSeveralCopy) {
  run(500, kTo, {{11}, {}});
  const auto looks = [&](const std::vector<std::vector<LeaseId>>& copies) {
    size_t count = 0;
    uint64_t last = *broker_.next_deadline_ns();
    for (int i = 0; i < 1'000; ++i) {
      run(1, kTo, copies);
      count += *broker_.next_deadline_ns() != last ? 1 : 0;
      last = *broker_.next_deadline_ns();
    }
    return count;
  };
  EXPECT_LE(looks({{11}, {}}), 21u);
  EXPECT_GE(looks({{11}, {21}}), 90u);
  broker_.set_watched({});
  EXPECT_FALSE(broker_.next_deadline_ns().has_value());
}

// A process may count what it likes, and comes and goes.
TEST_F(Copies, CountsThatGoBackwardsAreNothing) {
  run(500, kTo, {{11}, {21}});
  parts_[0].processes.at(11).bytes[kTo] = 5;
  parts_[1].processes = {{22, {{uint64_t{1} << 52, 0}, {}}}};
  now_ns_ += 100 * kMs;
  rates_ = broker_.share(0, parts_, now_ns_);
  for (const auto& rate : rates_) EXPECT_GT(rate[kTo], 0u);
  parts_.clear();
  EXPECT_TRUE(broker_.share(0, parts_, now_ns_ + 1).empty());
}

}  // namespace
}  // namespace tessera::node

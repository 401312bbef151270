#include "softgpu/device/health.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tessera::softgpu {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

class HealthTest : public ::testing::Test {
 protected:
  Status tell(const char* line, const char* model = "H100-80") {
    auto command = parse_fault_command(line);
    EXPECT_TRUE(command.ok()) << command.status().message();
    return apply(health_, *command, *find_model(model), now_);
  }
  bool touch(uint64_t address, pid_t pid = 1, const char* model = "H100-80") {
    return strike(health_, *find_model(model), pid, address, address + 4, now_.wall_ns);
  }
  std::vector<uint32_t> xids() const {
    std::vector<uint32_t> found;
    for (uint64_t i = 0; i < health_.events_end; ++i) {
      if (health_.events[i].kind == HealthEventKind::kXid) found.push_back(health_.events[i].xid);
    }
    return found;
  }

  Health health_{};
  HealthTime now_{10 * kSecond, 1000 * kSecond};
};

TEST_F(HealthTest, SingleBitErrorsAreCountedTwice) {
  EXPECT_TRUE(tell("ecc single count=3").ok());
  EXPECT_TRUE(tell("ecc single").ok());
  EXPECT_EQ(health_.since_clear.corrected, 4u);
  EXPECT_TRUE(tell("clear").ok());
  EXPECT_EQ(health_.since_clear.corrected, 0u);
  EXPECT_EQ(health_.ever.corrected, 4u);
  EXPECT_EQ(health_.events_end, 2u);
}

TEST_F(HealthTest, AnErrorStrikesWhoTouchesItsPageAndOnlyOnce) {
  EXPECT_TRUE(tell("ecc double address=0x10010 pid=7").ok());
  EXPECT_EQ(health_.ever.uncorrected, 0u);
  EXPECT_FALSE(touch(0x10000, 8));      // another process
  EXPECT_FALSE(touch(0x11000, 7));      // another page
  EXPECT_FALSE(touch(0x10000 - 4, 7));  // up to it
  EXPECT_TRUE(touch(0x10ffc, 7));       // the same page
  EXPECT_FALSE(touch(0x10ffc, 7));
  EXPECT_EQ(health_.ever.uncorrected, 1u);
  EXPECT_EQ(xids(), (std::vector<uint32_t>{48, 63, 94}));
  EXPECT_EQ(health_.remapped_rows, 1u);
  EXPECT_EQ(health_.remap_pending, 1u);
  EXPECT_EQ(health_.all_struck, 0u);
}

TEST_F(HealthTest, WithoutAnAddressTheNextAccessHasIt) {
  EXPECT_TRUE(tell("ecc double").ok());
  EXPECT_TRUE(touch(0x5000, 3));
  EXPECT_FALSE(touch(0x5000, 3));
}

TEST_F(HealthTest, WithoutContainmentEveryContextIsHit) {
  EXPECT_TRUE(tell("ecc double", "T4").ok());
  EXPECT_TRUE(touch(0x5123, 3, "T4"));
  EXPECT_EQ(xids(), (std::vector<uint32_t>{48, 63}));
  EXPECT_EQ(health_.all_struck, 1u);
  EXPECT_EQ(health_.reset_required, 0u);
  EXPECT_EQ(health_.retired_count, 1u);
  EXPECT_EQ(health_.retired[0].address, 0x5000u);
  EXPECT_EQ(health_.remapped_rows, 0u);
}

TEST_F(HealthTest, AnUncontainedErrorAsksForAReset) {
  EXPECT_TRUE(tell("ecc double uncontained").ok());
  EXPECT_TRUE(touch(0x5000));
  EXPECT_EQ(xids(), (std::vector<uint32_t>{48, 63, 95}));
  EXPECT_EQ(health_.all_struck, 1u);
  EXPECT_EQ(health_.reset_required, 1u);
  EXPECT_TRUE(tell("clear").ok());
  EXPECT_EQ(health_.reset_required, 0u);
  EXPECT_EQ(health_.remap_pending, 0u);
  EXPECT_EQ(health_.remapped_rows, 1u);
}

TEST_F(HealthTest, ACardWithoutErrorCorrectionHasNoSuchErrors) {
  EXPECT_EQ(tell("ecc single", "RTX4090").code(), Code::kFailedPrecondition);
  EXPECT_EQ(tell("ecc double", "RTX4090").code(), Code::kFailedPrecondition);
  EXPECT_TRUE(tell("xid 13", "RTX4090").ok());
}

TEST_F(HealthTest, TheNumberOfWaitingErrorsIsBounded) {
  for (uint32_t i = 0; i < kMaxLatentErrors; ++i) EXPECT_TRUE(tell("ecc double address=4096").ok());
  EXPECT_EQ(tell("ecc double").code(), Code::kResourceExhausted);
  health_.latent_count = 1'000'000;  // a damaged file
  EXPECT_TRUE(touch(4096));
}

TEST_F(HealthTest, RetiredPagesStayWithinTheirTable) {
  for (uint32_t i = 0; i < 2 * kMaxRetiredPages; ++i) {
    EXPECT_TRUE(tell("ecc double", "T4").ok());
    EXPECT_TRUE(touch(uint64_t{i} * kErrorPageBytes + kErrorPageBytes, 1, "T4"));
  }
  EXPECT_EQ(health_.retired_count, kMaxRetiredPages);
}

TEST_F(HealthTest, TheWatchdogEndsAHang) {
  EXPECT_TRUE(tell("hang timeout=2").ok());
  now_.monotonic_ns += kSecond;
  EXPECT_FALSE(end_hang_when_due(health_, now_));
  now_.monotonic_ns += kSecond;
  EXPECT_TRUE(end_hang_when_due(health_, now_));
  EXPECT_FALSE(end_hang_when_due(health_, now_));
  EXPECT_EQ(health_.hung, 0u);
  EXPECT_EQ(health_.hangs_timed_out, 1u);
  EXPECT_EQ(xids(), std::vector<uint32_t>{8});
  EXPECT_TRUE(tell("hang").ok());
  now_.monotonic_ns += 1000 * kSecond;
  EXPECT_FALSE(end_hang_when_due(health_, now_));
}

TEST_F(HealthTest, TimeSpentSlowAddsUpByReason) {
  EXPECT_TRUE(tell("slow 3").ok());
  now_.monotonic_ns += 2 * kSecond;
  EXPECT_EQ(slowed_ns(health_, SlowReason::kThermal, now_.monotonic_ns), 2 * kSecond);
  EXPECT_TRUE(tell("slow 2 power").ok());
  now_.monotonic_ns += 5 * kSecond;
  EXPECT_TRUE(tell("slow 1").ok());
  EXPECT_FALSE(is_slow(health_));
  now_.monotonic_ns += kSecond;
  EXPECT_EQ(slowed_ns(health_, SlowReason::kThermal, now_.monotonic_ns), 2 * kSecond);
  EXPECT_EQ(slowed_ns(health_, SlowReason::kPower, now_.monotonic_ns), 5 * kSecond);
}

TEST_F(HealthTest, OffTheBusIsXid79) {
  EXPECT_TRUE(tell("lost").ok());
  EXPECT_EQ(health_.lost, 1u);
  EXPECT_EQ(xids(), std::vector<uint32_t>{79});
}

}  // namespace
}  // namespace tessera::softgpu

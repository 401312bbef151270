#include "scheduling/co_execution.h"

#include <gtest/gtest.h>

namespace tessera::scheduling {
namespace {

constexpr uint32_t kSms = 8;
constexpr TenantId kOne = 0;

class CoExecutionTest : public testing::Test {
 protected:
  CoExecutionTest() { policy_.add(kOne); }

  // It works for so many windows, wanting `sms` on the average, with kernels of `kernel_ns`.
  void work(double sms, uint32_t windows, Nanoseconds kernel_ns = 100 * kMicrosecond) {
    for (uint32_t i = 0; i < windows; ++i) {
      const Nanoseconds busy_ns = std::max(CoExecution::kWindowNs, CoExecution::kWindowKernels * kernel_ns);
      now_ += busy_ns;
      policy_.measured(
          kOne,
          {busy_ns, busy_ns / kernel_ns, busy_ns, static_cast<uint64_t>(sms * static_cast<double>(busy_ns))},
          now_);
    }
  }
  // One window passes unseen, as it is of both.
  void company(bool company) {
    policy_.set_company(kOne, company);
    work(1, 1);
  }
  uint32_t sms() const { return policy_.sms(kOne, kSms, now_); }

  CoExecution policy_;
  Nanoseconds now_ = 1;
};

TEST_F(CoExecutionTest, WhoIsNotMeasuredFillsTheGpu) {
  EXPECT_EQ(sms(), kSms);
  work(1, CoExecution::kWindowsToKnow - 1);
  EXPECT_EQ(sms(), kSms);
  work(1, 1);
  EXPECT_EQ(sms(), 1u);
}

TEST_F(CoExecutionTest, ADriverThatDoesNotMeasureLeavesItWhole) {
  for (int i = 0; i < 100; ++i) policy_.measured(kOne, {kSecond, 1000, 0, 0}, now_ += kSecond);
  EXPECT_EQ(sms(), kSms);
}

TEST_F(CoExecutionTest, ThereIsRoomToSpare) {
  work(2, 4);
  EXPECT_EQ(sms(), 3u);
  work(4.1, 1);
  EXPECT_EQ(sms(), 6u);
  work(7, 1);
  EXPECT_EQ(sms(), kSms) << "never more than there are";
}

TEST_F(CoExecutionTest, ItGrowsAtOnceAndShrinksSlowly) {
  work(1, 4);
  work(4, 1);
  EXPECT_EQ(sms(), 5u);
  work(1, CoExecution::kWindowsToShrink - 1);
  EXPECT_EQ(sms(), 5u);
  work(2, 1);
  EXPECT_EQ(sms(), 3u) << "what the last ones needed at most";
}

TEST_F(CoExecutionTest, FiguresThatCannotBeAreBounded) {
  for (int i = 0; i < 4; ++i) {
    policy_.measured(kOne, {UINT64_MAX / 8, UINT64_MAX / 8, UINT64_MAX / 4096, UINT64_MAX / 4}, now_);
  }
  EXPECT_LE(policy_.measured_sms(kOne), CoExecution::kMostSms * 2);
  EXPECT_EQ(sms(), kSms);
}

TEST_F(CoExecutionTest, CompanyThatDoesNoHarmStays) {
  work(1, 4, 100 * kMicrosecond);
  company(true);
  work(1, 100, 110 * kMicrosecond);
  EXPECT_EQ(sms(), 1u);
}

TEST_F(CoExecutionTest, WhoIsHurtIsAloneForAWhileThatDoubles) {
  work(1, 4, 100 * kMicrosecond);
  Nanoseconds back_off = CoExecution::kFirstBackOffNs;
  for (int round = 0; round < 10; ++round) {
    company(true);
    work(1, 1, 130 * kMicrosecond);
    EXPECT_EQ(sms(), 1u) << "one window may be chance";
    work(1, 1, 130 * kMicrosecond);
    EXPECT_EQ(sms(), kSms);
    now_ += back_off - 1;
    EXPECT_EQ(sms(), kSms);
    now_ += 1;
    EXPECT_EQ(sms(), 1u);
    company(false);
    back_off = std::min(2 * back_off, CoExecution::kLongestBackOffNs);
  }
}

TEST_F(CoExecutionTest, GoodCompanyShortensTheNextWhile) {
  work(1, 4, 100 * kMicrosecond);
  company(true);
  work(1, 2, 130 * kMicrosecond);
  now_ += CoExecution::kFirstBackOffNs;
  work(1, static_cast<uint32_t>(2 * CoExecution::kFirstBackOffNs / CoExecution::kWindowNs),
       100 * kMicrosecond);
  work(1, 2, 130 * kMicrosecond);
  EXPECT_EQ(sms(), kSms);
  now_ += CoExecution::kFirstBackOffNs;
  EXPECT_EQ(sms(), 1u);
}

// What was measured partly alone and partly in company says nothing of either.
TEST_F(CoExecutionTest, MixedTimeIsNotJudged) {
  work(1, 4, 100 * kMicrosecond);
  for (int round = 0; round < 10; ++round) {
    policy_.set_company(kOne, true);
    work(1, 1, 500 * kMicrosecond);
    policy_.set_company(kOne, false);
    work(1, 1, 500 * kMicrosecond);
  }
  EXPECT_EQ(sms(), 1u);
}

TEST_F(CoExecutionTest, ANewTenantInTheSamePlaceIsUnknown) {
  work(1, 4);
  policy_.add(kOne);
  EXPECT_EQ(sms(), kSms);
}

}  // namespace
}  // namespace tessera::scheduling

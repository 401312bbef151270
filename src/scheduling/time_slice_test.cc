#include "scheduling/time_slice.h"

#include <gtest/gtest.h>

namespace tessera::scheduling {
namespace {

constexpr uint64_t kMillionths = 1'000'000;

Tenant of_weight(uint64_t weight, Nanoseconds kernel_ns = 0) {
  Tenant tenant;
  tenant.effective_weight = weight;
  tenant.kernel_ns = kernel_ns;
  return tenant;
}

TEST(AdaptiveSlice, IsAPartOfTheRoundByWeight) {
  const SliceLimits limits;
  const AdaptiveSlice slice(limits);
  EXPECT_EQ(slice.slice_ns(of_weight(kMillionths / 4), kMillionths), limits.round_ns / 4);
  EXPECT_EQ(slice.slice_ns(of_weight(kMillionths / 4 * 3), kMillionths), limits.round_ns / 4 * 3);
  EXPECT_EQ(slice.slice_ns(of_weight(kMillionths / 4), kMillionths / 2), limits.round_ns / 2)
      << "of those that have work";
}

TEST(AdaptiveSlice, IsWorthAHandOver) {
  SliceLimits limits;
  limits.switch_ns = 120 * kMicrosecond;
  EXPECT_EQ(AdaptiveSlice(limits).slice_ns(of_weight(1), kMillionths), 6 * kMillisecond);
  limits.switch_ns = 0;
  EXPECT_EQ(AdaptiveSlice(limits).slice_ns(of_weight(1), kMillionths), limits.shortest_ns);
}

TEST(AdaptiveSlice, IsAsManyWholeKernelsAsTheLongestAllows) {
  const SliceLimits limits;
  const AdaptiveSlice slice(limits);
  EXPECT_EQ(slice.slice_ns(of_weight(1, 3 * kMillisecond), 4), 12 * kMillisecond);
  EXPECT_EQ(slice.slice_ns(of_weight(1, 30 * kMillisecond), 1), limits.longest_ns);
  EXPECT_EQ(slice.slice_ns(of_weight(1, 60 * kMillisecond), 4), 10 * kMillisecond) << "none fits";
}

TEST(FixedSlice, IsTheSameWhoeverWaits) {
  const FixedSlice slice(kMillisecond);
  EXPECT_EQ(slice.slice_ns(of_weight(1), kMillionths), kMillisecond);
  EXPECT_EQ(slice.slice_ns(of_weight(kMillionths), kMillionths), kMillisecond);
}

}  // namespace
}  // namespace tessera::scheduling

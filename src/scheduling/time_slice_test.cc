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
  EXPECT_EQ(slice.slice_ns(of_weight(kMillionths / 4), {kMillionths, 2}), limits.round_ns / 4);
  EXPECT_EQ(slice.slice_ns(of_weight(kMillionths / 4 * 3), {kMillionths, 2}), limits.round_ns / 4 * 3);
  EXPECT_EQ(slice.slice_ns(of_weight(kMillionths / 4), {kMillionths / 2, 2}), limits.round_ns / 2)
      << "of those that have work";
  EXPECT_EQ(slice.slice_ns(of_weight(1), {kMillionths, 2}), limits.shortest_ns);
}

TEST(AdaptiveSlice, RoundsAreLongerTheMoreThereAre) {
  SliceLimits limits;
  limits.switch_ns = 120 * kMicrosecond;
  const auto mean_of = [&](size_t tenants) {
    return AdaptiveSlice(limits).slice_ns(of_weight(kMillionths / tenants), {kMillionths, tenants});
  };
  EXPECT_EQ(mean_of(2), limits.round_ns / 2);
  EXPECT_EQ(mean_of(5), 12 * kMillisecond) << "a hundred times the cost of handing over";
  EXPECT_EQ(mean_of(64), limits.longest_round_ns / 64) << "which would be more than the longest round";
  EXPECT_EQ(mean_of(400), 3 * kMillisecond) << "twenty-five times that cost in any case";
}

TEST(AdaptiveSlice, IsAsManyWholeKernelsAsTheLongestAllows) {
  const SliceLimits limits;
  const AdaptiveSlice slice(limits);
  EXPECT_EQ(slice.slice_ns(of_weight(1, 3 * kMillisecond), {4, 4}), 12 * kMillisecond);
  EXPECT_EQ(slice.slice_ns(of_weight(1, 30 * kMillisecond), {1, 1}), limits.longest_ns);
  EXPECT_EQ(slice.slice_ns(of_weight(1, 60 * kMillisecond), {4, 4}), 10 * kMillisecond) << "none fits";

  SliceLimits stopped;
  stopped.whole_kernels = false;
  EXPECT_EQ(AdaptiveSlice(stopped).slice_ns(of_weight(1, 3 * kMillisecond), {4, 4}), 10 * kMillisecond);
}

TEST(FixedSlice, IsTheSameWhoeverWaits) {
  const FixedSlice slice(kMillisecond);
  EXPECT_EQ(slice.slice_ns(of_weight(1), {kMillionths, 2}), kMillisecond);
  EXPECT_EQ(slice.slice_ns(of_weight(kMillionths), {kMillionths, 2}), kMillisecond);
}

}  // namespace
}  // namespace tessera::scheduling

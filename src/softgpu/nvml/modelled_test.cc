#include "softgpu/nvml/modelled.h"

#include <gtest/gtest.h>

namespace tessera::softgpu {
namespace {

const DeviceModel& t4() { return *find_model("T4"); }

TEST(Modelled, PowerAndTemperatureFollowUtilisation) {
  EXPECT_EQ(modelled_power_mw(t4(), 0), 9'000u);
  EXPECT_EQ(modelled_power_mw(t4(), 50), 39'500u);
  EXPECT_EQ(modelled_power_mw(t4(), 100), 70'000u);
  EXPECT_EQ(modelled_power_mw(t4(), 1000), 70'000u);
  EXPECT_EQ(modelled_celsius(t4(), 0), 35u);
  EXPECT_EQ(modelled_celsius(t4(), 100), 75u);
}

TEST(Modelled, ClocksFallWhenIdle) {
  EXPECT_EQ(modelled_clock_mhz(1'590'000, 1), 1590u);
  EXPECT_EQ(modelled_clock_mhz(1'590'000, 0), 318u);
}

TEST(Modelled, EnergyIsPowerOverTime) {
  constexpr uint64_t kHour = uint64_t{3600} * 1'000'000'000;
  EXPECT_EQ(modelled_energy_mj(t4(), kHour, 0, 2), 9u * 3600 * 1000);
  // Both of two SMs busy for the whole hour: the limit.
  EXPECT_EQ(modelled_energy_mj(t4(), kHour, 2 * kHour, 2), 70u * 3600 * 1000);
}

}  // namespace
}  // namespace tessera::softgpu

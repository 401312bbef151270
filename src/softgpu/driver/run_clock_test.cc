#include "softgpu/driver/run_clock.h"

#include <gtest/gtest.h>

namespace tessera::softgpu {
namespace {

TEST(RunClock, StandsWhileItIsStopped) {
  RunClock clock;
  const uint64_t begin = clock.at(1000);
  EXPECT_EQ(clock.at(1500) - begin, 500U);
  clock.stop(1600);
  clock.stop(1700);  // already
  EXPECT_EQ(clock.at(5000) - begin, 600U);
  clock.go_on(9000);
  clock.go_on(9500);  // it goes
  EXPECT_EQ(clock.at(9400) - begin, 1000U);
  clock.stop(9400);
  clock.go_on(9900);
  EXPECT_EQ(clock.at(9900) - begin, 1000U);
}

}  // namespace
}  // namespace tessera::softgpu

#include "virtualization/gate/look_pace.h"

#include <gtest/gtest.h>

namespace tessera::vgpu {
namespace {

TEST(LookPace, IsSlowerTheLongerThereIsWork) {
  LookPace pace(2, 16);
  EXPECT_EQ(pace.found_work(), 2u);
  EXPECT_EQ(pace.found_work(), 4u);
  EXPECT_EQ(pace.found_work(), 8u);
  EXPECT_EQ(pace.found_work(), 16u);
  EXPECT_EQ(pace.found_work(), 16u) << "and not slower than that";
}

TEST(LookPace, IsFastAgainWhereThereIsNone) {
  LookPace pace(2, 16);
  for (int i = 0; i < 10; ++i) pace.found_work();
  EXPECT_EQ(pace.found_none(), 2u);
  EXPECT_EQ(pace.found_none(), 2u);
  EXPECT_EQ(pace.found_work(), 2u);
  EXPECT_EQ(pace.found_work(), 4u);
}

TEST(LookPace, StaysTheSameWhereAMeterHasToBeAsked) {
  LookPace pace(3, 3);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(pace.found_work(), 3u);
  EXPECT_EQ(pace.found_none(), 3u);
}

}  // namespace
}  // namespace tessera::vgpu

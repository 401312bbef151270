#include "softgpu/device/health_watch.h"

#include <gtest/gtest.h>

#include "softgpu/device/device_testing.h"

namespace tessera::softgpu {
namespace {

class HealthWatchTest : public OwnDeviceTest {};

TEST_F(HealthWatchTest, WhoIsAloneLooks) {
  const auto file = open();
  HealthWatch watch(*file);
  for (int i = 0; i < 2; ++i) {
    watch.wait(false);
    EXPECT_TRUE(watch.looks());
  }
}

TEST_F(HealthWatchTest, OthersHearOfWhatOneFinds) {
  const auto file = open();
  const auto others = open();
  HealthWatch looks(*file);
  HealthWatch waits(*others);
  looks.wait(false);
  file->report_xid(13);
  waits.wait(false);
  EXPECT_FALSE(waits.looks()) << "it was told";
}

TEST_F(HealthWatchTest, AnotherLooksWhereTheOneThatDidIsGone) {
  const auto file = open();
  const auto others = open();
  HealthWatch looks(*file);
  HealthWatch waits(*others);
  looks.wait(false);
  ASSERT_TRUE(looks.looks());
  waits.wait(false);
  EXPECT_TRUE(waits.looks());
  EXPECT_FALSE(looks.looks());
}

}  // namespace
}  // namespace tessera::softgpu

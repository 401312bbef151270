#include "softgpu/device/health_watch.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <memory>

namespace tessera::softgpu {
namespace {

class HealthWatchTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char folder[] = "/tmp/softgpu-test-XXXXXX";
    ASSERT_NE(mkdtemp(folder), nullptr);
    config_.state_dir = folder;
    config_.memory_bytes = 64u << 20;
    config_.sm_count = 2;
  }
  void TearDown() override { std::filesystem::remove_all(config_.state_dir); }

  std::unique_ptr<DeviceFile> open() {
    auto file = DeviceFile::open(config_, 0, true);
    EXPECT_TRUE(file.ok()) << file.status().message();
    return std::move(file).value();
  }

  Config config_;
};

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

// For tests: a device's file in a folder of their own.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <memory>
#include <utility>

#include "softgpu/device/device_file.h"

namespace tessera::softgpu {

class OwnDeviceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char folder[] = "/tmp/softgpu-test-XXXXXX";
    ASSERT_NE(mkdtemp(folder), nullptr);
    config_.state_dir = folder;
    config_.memory_bytes = 64u << 20;
    config_.sm_count = 2;
  }
  void TearDown() override { std::filesystem::remove_all(config_.state_dir); }

  std::unique_ptr<DeviceFile> open(bool attach = true) {
    auto file = DeviceFile::open(config_, 0, attach);
    EXPECT_TRUE(file.ok()) << file.status().message();
    return std::move(file).value();
  }

  Config config_;
};

}  // namespace tessera::softgpu

#include "softgpu/device/folder_watch.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <memory>

#include "softgpu/device/device_file.h"

namespace tessera::softgpu {
namespace {

constexpr uint64_t kForEverNs = UINT64_MAX;  // it is looked all the same, see wait()

class FolderWatchTest : public ::testing::Test {
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

TEST_F(FolderWatchTest, TellsOfAControlFileAndOfHealthThatAProcessChanged) {
  const auto file = open();
  FolderWatch watch(config_.state_dir);
  ASSERT_TRUE(watch.watches());
  std::ofstream(config_.state_dir + "/gpu0.control") << "xid 13\n";
  EXPECT_TRUE(watch.wait(kForEverNs));
  file->report_xid(31);
  EXPECT_TRUE(watch.wait(kForEverNs));
}

TEST_F(FolderWatchTest, TellsOfAFileThatIsReplaced) {
  open();
  FolderWatch watch(config_.state_dir);
  config_.memory_bytes *= 2;
  open();
  EXPECT_TRUE(watch.wait(kForEverNs));
}

TEST_F(FolderWatchTest, WhatHasBeenToldIsNotToldAgain) {
  const auto file = open();
  FolderWatch watch(config_.state_dir);
  file->report_xid(31);
  EXPECT_TRUE(watch.wait(kForEverNs));
  EXPECT_FALSE(watch.wait(0));
}

TEST_F(FolderWatchTest, WithoutAFolderItIsLookedOften) {
  FolderWatch watch(config_.state_dir + "/none");
  EXPECT_FALSE(watch.watches());
  EXPECT_FALSE(watch.wait(kForEverNs));
}

}  // namespace
}  // namespace tessera::softgpu

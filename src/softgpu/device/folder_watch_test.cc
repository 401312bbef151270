#include "softgpu/device/folder_watch.h"

#include <gtest/gtest.h>

#include <fstream>

#include "softgpu/device/device_testing.h"

namespace tessera::softgpu {
namespace {

constexpr uint64_t kForEverNs = UINT64_MAX;  // it is looked all the same, see wait()

class FolderWatchTest : public OwnDeviceTest {};

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

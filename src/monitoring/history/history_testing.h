// What tests of the history have in common.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <string>

namespace tessera::monitoring {

inline constexpr int64_t kStart = 1'700'002'800'000;  // a whole hour
inline constexpr int64_t kMinute = 60'000;

// A folder of its own, and the path of a history in it.
class HistoryFolderTest : public testing::Test {
 protected:
  HistoryFolderTest() {
    char name[] = "/tmp/tessera-history-XXXXXX";
    folder_ = mkdtemp(name);
    path_ = folder_ + "/history";
  }
  ~HistoryFolderTest() override { std::filesystem::remove_all(folder_); }

  std::string folder_, path_;
};

}  // namespace tessera::monitoring

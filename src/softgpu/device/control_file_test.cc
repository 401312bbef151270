#include "softgpu/device/control_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace tessera::softgpu {
namespace {

using Lines = std::vector<std::string>;

class ControlFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char folder[] = "/tmp/softgpu-control-XXXXXX";
    ASSERT_NE(mkdtemp(folder), nullptr);
    folder_ = folder;
    path_ = folder_ + "/gpu0.control";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void append(const std::string& text) { std::ofstream(path_, std::ios::app) << text; }
  void write(const std::string& text) { std::ofstream(path_, std::ios::trunc) << text; }
  Lines take() {
    auto lines = take_lines(path_, position_);
    EXPECT_TRUE(lines.ok()) << lines.status().message();
    return lines.ok() ? *lines : Lines{};
  }

  std::string folder_, path_;
  ControlPosition position_;
};

TEST_F(ControlFileTest, NoFileIsNoCommand) {
  EXPECT_EQ(take(), Lines{});
  EXPECT_EQ(control_stamp(path_), ControlStamp{});
}

TEST_F(ControlFileTest, EachLineIsTakenOnce) {
  append("xid 1\n");
  EXPECT_EQ(take(), Lines{"xid 1"});
  EXPECT_EQ(take(), Lines{});
  append("xid 2\n\n  # a comment\n xid 3 \n");
  EXPECT_EQ(take(), (Lines{"xid 2", "xid 3"}));
  EXPECT_EQ(take(), Lines{});
}

TEST_F(ControlFileTest, ALineCountsWhenItIsComplete) {
  append("xi");
  EXPECT_EQ(take(), Lines{});
  append("d 4\nlo");
  EXPECT_EQ(take(), Lines{"xid 4"});
  append("st\n");
  EXPECT_EQ(take(), Lines{"lost"});
}

TEST_F(ControlFileTest, AFileWrittenAnewIsReadAnew) {
  write("hang\n");
  EXPECT_EQ(take(), Lines{"hang"});
  write("lost\n");  // as long as before
  EXPECT_EQ(take(), Lines{"lost"});
  write("clear\nxid 5\n");  // longer, and begins otherwise
  EXPECT_EQ(take(), (Lines{"clear", "xid 5"}));
  write("hang\n");  // shorter
  EXPECT_EQ(take(), Lines{"hang"});
  std::filesystem::remove(path_);
  EXPECT_EQ(take(), Lines{});
  write("hang\n");
  EXPECT_EQ(take(), Lines{"hang"});
}

TEST_F(ControlFileTest, RefusesWhatIsNoControlFileAndSaysSoOnce) {
  append("xid 1\n");
  ASSERT_EQ(chmod(path_.c_str(), 0666), 0);
  EXPECT_EQ(take_lines(path_, position_).status().code(), Code::kPermissionDenied);
  EXPECT_EQ(take(), Lines{});
  std::filesystem::remove(path_);
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  EXPECT_EQ(take_lines(path_, position_).status().code(), Code::kInvalidData);
  EXPECT_EQ(take(), Lines{});
  std::filesystem::remove(path_);
  std::filesystem::create_symlink("/dev/zero", path_);
  EXPECT_EQ(take_lines(path_, position_).status().code(), Code::kInvalidData);
  std::filesystem::remove(path_);
  append(std::string(kMaxControlFileBytes + 1, '\n'));
  EXPECT_EQ(take_lines(path_, position_).status().code(), Code::kInvalidData);
  EXPECT_EQ(take(), Lines{});
  write("xid 6\n");
  EXPECT_EQ(take(), Lines{"xid 6"});
}

}  // namespace
}  // namespace tessera::softgpu

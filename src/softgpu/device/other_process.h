// For tests: a device, and other processes on it that can be killed.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <memory>

#include "softgpu/device/device_file.h"

namespace tessera::softgpu {

class DeviceOfProcesses : public ::testing::Test {
 protected:
  static constexpr uint64_t kCapacity = 64u << 20;

  void SetUp() override {
    char folder[] = "/tmp/softgpu-test-XXXXXX";
    ASSERT_NE(mkdtemp(folder), nullptr);
    config_.state_dir = folder;
    config_.memory_bytes = kCapacity;
    config_.sm_count = 1;
    auto file = DeviceFile::open(config_, 0, true);
    ASSERT_TRUE(file.ok()) << file.status().message();
    file_ = std::move(file).value();
  }
  void TearDown() override { std::filesystem::remove_all(config_.state_dir); }

  // A process of its own on the device; the answer of its body comes back, and it stays until it is ended.
  struct Other {
    pid_t pid;
    uint64_t answer;
    void end() const {
      kill(pid, SIGKILL);
      waitpid(pid, nullptr, 0);
    }
  };
  Other start(const std::function<uint64_t(DeviceFile&)>& body) {
    int ready[2];
    EXPECT_EQ(pipe(ready), 0);
    Other other{fork(), 0};
    if (other.pid == 0) {
      auto file = DeviceFile::open(config_, 0, true);
      if (!file.ok()) _exit(1);
      const uint64_t answer = body(**file);
      if (write(ready[1], &answer, sizeof answer) != sizeof answer) _exit(1);
      for (;;) pause();
    }
    EXPECT_EQ(read(ready[0], &other.answer, sizeof other.answer), static_cast<ssize_t>(sizeof other.answer));
    close(ready[0]);
    close(ready[1]);
    return other;
  }
  // By all living processes: whoever is dead has been looked for.
  uint64_t used() { return kCapacity - file_->free_bytes(); }

  Config config_;
  std::unique_ptr<DeviceFile> file_;
};

}  // namespace tessera::softgpu

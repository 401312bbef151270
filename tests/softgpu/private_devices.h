// Software devices of this test program alone: a folder of its own for their shared files, removed at the
// end.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

namespace tessera {

class PrivateDevices : public testing::Environment {
 public:
  // Before main(): the environment is read when the driver or NVML is initialised.
  PrivateDevices() {
    // A child that the test starts shares the devices.
    if (getenv("SOFTGPU_TEST_CHILD") != nullptr) return;
    char folder[] = "/dev/shm/softgpu-test-XXXXXX";
    if (mkdtemp(folder) == nullptr) abort();
    folder_ = folder;
    setenv("SOFTGPU_STATE_DIR", folder, 1);
    setenv("SOFTGPU_DEVICES", "2", 1);
    setenv("SOFTGPU_MEMORY", "256MiB", 1);
    setenv("SOFTGPU_SMS", "2", 1);
    setenv("SOFTGPU_MODEL", "T4", 1);
    unsetenv("CUDA_VISIBLE_DEVICES");
    unsetenv("SOFTGPU_CONFIG");
  }
  ~PrivateDevices() override {
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }

 private:
  std::filesystem::path folder_;
};

}  // namespace tessera

// NVML as a slice sees it, over a double with three devices; the slice has the last and the first of them.
#include "virtualization/vgpu/nvml_view.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test_daemon.h"
#include "virtualization/driver_loader.h"

namespace tessera::vgpu {
namespace {

std::string uuid(int device) {
  return "GPU-0" + std::to_string(device) + "000000-0000-0000-0000-000000000000";
}

void stop_daemon();

struct World {
  test::TestDaemon daemon{{64 << 20, 1 << 20, {uuid(2), uuid(0)}}};
  cuda::NvmlTable lower;
  cuda::NvmlTable upper;

  World() {
    auto loaded = load_nvml(FAKE_NVML_PATH);
    if (!loaded.ok()) abort();
    lower = *loaded;
    static NvmlView view(lower, {daemon.token_text(), daemon.socket_path()});
    install_nvml(upper, lower, view);
    atexit(&stop_daemon);
  }
};

World& world() {
  static World* const instance = new World;
  return *instance;
}

void stop_daemon() { world().daemon.stop(); }

class NvmlViewTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(nvml.nvmlInit_v2(), NVML_SUCCESS); }
  void TearDown() override { nvml.nvmlShutdown(); }
  cuda::NvmlTable& nvml = world().upper;
};

TEST(NvmlViewBefore, NothingIsAnsweredBeforeInitialisation) {
  unsigned int count = 7;
  EXPECT_EQ(world().upper.nvmlDeviceGetCount_v2(&count), NVML_ERROR_UNINITIALIZED);
}

TEST_F(NvmlViewTest, ShowsTheSlicesDevicesInItsOrder) {
  unsigned int count = 0;
  EXPECT_EQ(nvml.nvmlDeviceGetCount_v2(&count), NVML_SUCCESS);
  EXPECT_EQ(count, 2u);
  nvmlDevice_t first;
  nvmlDevice_t expected;
  ASSERT_EQ(nvml.nvmlDeviceGetHandleByIndex_v2(0, &first), NVML_SUCCESS);
  ASSERT_EQ(nvml.nvmlDeviceGetHandleByUUID(uuid(2).c_str(), &expected), NVML_SUCCESS);
  EXPECT_EQ(first, expected);
  EXPECT_EQ(nvml.nvmlDeviceGetIndex(first, &count), NVML_SUCCESS);
  EXPECT_EQ(count, 0u);
  EXPECT_EQ(nvml.nvmlDeviceGetHandleByIndex_v2(2, &first), NVML_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(nvml.nvmlDeviceGetHandleByUUID(uuid(1).c_str(), &first), NVML_ERROR_NOT_FOUND);
}

TEST_F(NvmlViewTest, ShowsTheSlicesMemory) {
  nvmlDevice_t device;
  ASSERT_EQ(nvml.nvmlDeviceGetHandleByIndex_v2(0, &device), NVML_SUCCESS);
  nvmlMemory_t memory{};
  EXPECT_EQ(nvml.nvmlDeviceGetMemoryInfo(device, &memory), NVML_SUCCESS);
  EXPECT_EQ(memory.total, 64u << 20);
  EXPECT_EQ(memory.used, 0u);
  EXPECT_EQ(memory.free, 64u << 20);
  nvmlMemory_v2_t newer{};
  EXPECT_EQ(nvml.nvmlDeviceGetMemoryInfo_v2(device, &newer), NVML_SUCCESS);
  EXPECT_EQ(newer.total, 64u << 20);
  EXPECT_EQ(newer.reserved, 0u);
}

TEST_F(NvmlViewTest, ShowsTheSlicesProcessesOnly) {
  nvmlDevice_t device;
  ASSERT_EQ(nvml.nvmlDeviceGetHandleByIndex_v2(0, &device), NVML_SUCCESS);
  unsigned int count = 0;
  EXPECT_EQ(nvml.nvmlDeviceGetComputeRunningProcesses_v3(device, &count, nullptr),
            NVML_ERROR_INSUFFICIENT_SIZE);
  EXPECT_EQ(count, 1u);
  nvmlProcessInfo_t info{};
  EXPECT_EQ(nvml.nvmlDeviceGetComputeRunningProcesses_v3(device, &count, &info), NVML_SUCCESS);
  EXPECT_EQ(info.pid, 4242u);
  EXPECT_EQ(nvml.nvmlDeviceGetAccountingPids(device, &count, nullptr), NVML_ERROR_NOT_SUPPORTED);
}

TEST_F(NvmlViewTest, AForkedChildAsksOverAConnectionOfItsOwn) {
  nvmlDevice_t device;
  ASSERT_EQ(nvml.nvmlDeviceGetHandleByIndex_v2(0, &device), NVML_SUCCESS);
  nvmlMemory_t memory{};
  pid_t child = fork();
  if (child == 0) _exit(nvml.nvmlDeviceGetMemoryInfo(device, &memory) == NVML_SUCCESS ? 0 : 1);
  int status = 1;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(nvml.nvmlDeviceGetMemoryInfo(device, &memory), NVML_SUCCESS);
}

}  // namespace
}  // namespace tessera::vgpu

// The software GPU's libnvidia-ml.so.1 beside its libcuda.so.1: they agree, and NVML sees what other
// processes do.
#include "cuda/nvml.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "cuda/abi.h"
#include "tests/softgpu/loaded_library.h"
#include "tests/softgpu/private_devices.h"

namespace tessera {
namespace {

constexpr size_t kHeldBytes = 64u << 20;

LoadedLibrary& nvml() {
  static LoadedLibrary library(SOFTGPU_NVML);
  return library;
}
LoadedLibrary& driver() {
  static LoadedLibrary library(SOFTGPU_CUDA);
  return library;
}

#define NVML(name) LOADED(nvml(), name)

class Nvml : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(NVML(nvmlInit_v2)(), NVML_SUCCESS);
    ASSERT_EQ(NVML(nvmlDeviceGetHandleByIndex_v2)(0, &device_), NVML_SUCCESS);
  }
  void TearDown() override { EXPECT_EQ(NVML(nvmlShutdown)(), NVML_SUCCESS); }

  nvmlMemory_t memory() {
    nvmlMemory_t memory{};
    EXPECT_EQ(NVML(nvmlDeviceGetMemoryInfo)(device_, &memory), NVML_SUCCESS);
    return memory;
  }
  std::vector<nvmlProcessInfo_t> processes() {
    std::vector<nvmlProcessInfo_t> infos(16);
    auto count = static_cast<unsigned int>(infos.size());
    EXPECT_EQ(NVML(nvmlDeviceGetComputeRunningProcesses_v3)(device_, &count, infos.data()), NVML_SUCCESS);
    infos.resize(count);
    return infos;
  }

  nvmlDevice_t device_ = nullptr;
};

TEST(NvmlLife, InitIsCountedAndNothingWorksWithoutIt) {
  unsigned int count = 0;
  EXPECT_EQ(NVML(nvmlDeviceGetCount_v2)(&count), NVML_ERROR_UNINITIALIZED);
  EXPECT_EQ(NVML(nvmlShutdown)(), NVML_ERROR_UNINITIALIZED);
  EXPECT_EQ(NVML(nvmlInit)(), NVML_SUCCESS);
  EXPECT_EQ(NVML(nvmlInitWithFlags)(NVML_INIT_FLAG_NO_GPUS), NVML_SUCCESS);
  EXPECT_EQ(NVML(nvmlShutdown)(), NVML_SUCCESS);
  EXPECT_EQ(NVML(nvmlDeviceGetCount_v2)(&count), NVML_SUCCESS);
  EXPECT_EQ(count, 2u);
  EXPECT_EQ(NVML(nvmlShutdown)(), NVML_SUCCESS);
  EXPECT_EQ(NVML(nvmlDeviceGetCount_v2)(&count), NVML_ERROR_UNINITIALIZED);
}

TEST_F(Nvml, FindsADeviceByEachOfItsNames) {
  nvmlDevice_t second = nullptr, found = nullptr;
  ASSERT_EQ(NVML(nvmlDeviceGetHandleByIndex_v2)(1, &second), NVML_SUCCESS);
  EXPECT_NE(second, device_);
  char text[96];
  ASSERT_EQ(NVML(nvmlDeviceGetUUID)(second, text, sizeof text), NVML_SUCCESS);
  EXPECT_EQ(NVML(nvmlDeviceGetHandleByUUID)(text, &found), NVML_SUCCESS);
  EXPECT_EQ(found, second);
  ASSERT_EQ(NVML(nvmlDeviceGetSerial)(second, text, sizeof text), NVML_SUCCESS);
  EXPECT_EQ(NVML(nvmlDeviceGetHandleBySerial)(text, &found), NVML_SUCCESS);
  EXPECT_EQ(found, second);
  nvmlPciInfo_t pci{};
  ASSERT_EQ(NVML(nvmlDeviceGetPciInfo_v3)(second, &pci), NVML_SUCCESS);
  for (const char* id : {pci.busId, pci.busIdLegacy}) {
    EXPECT_EQ(NVML(nvmlDeviceGetHandleByPciBusId_v2)(id, &found), NVML_SUCCESS) << id;
    EXPECT_EQ(found, second);
  }
  EXPECT_EQ(NVML(nvmlDeviceGetHandleByIndex_v2)(2, &found), NVML_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(NVML(nvmlDeviceGetHandleByUUID)("GPU-0", &found), NVML_ERROR_NOT_FOUND);
  EXPECT_EQ(NVML(nvmlDeviceGetHandleByPciBusId_v2)("0000:00:00.0", &found), NVML_ERROR_NOT_FOUND);
  EXPECT_EQ(NVML(nvmlDeviceGetName)(reinterpret_cast<nvmlDevice_t>(0x10), text, sizeof text),
            NVML_ERROR_INVALID_ARGUMENT);
}

TEST_F(Nvml, AgreesWithTheDriver) {
  ASSERT_EQ(LOADED(driver(), cuInit)(0), CUDA_SUCCESS);
  char ours[96] = {}, theirs[96] = {};
  ASSERT_EQ(NVML(nvmlDeviceGetName)(device_, ours, sizeof ours), NVML_SUCCESS);
  ASSERT_EQ(LOADED(driver(), cuDeviceGetName)(theirs, sizeof theirs, 0), CUDA_SUCCESS);
  EXPECT_STREQ(ours, theirs);

  CUuuid uuid{};
  ASSERT_EQ(LOADED(driver(), cuDeviceGetUuid_v2)(&uuid, 0), CUDA_SUCCESS);
  ASSERT_EQ(NVML(nvmlDeviceGetUUID)(device_, ours, sizeof ours), NVML_SUCCESS);
  std::string digits;
  for (const char* c = ours + 4; *c != '\0'; ++c) {
    if (*c != '-') digits += *c;
  }
  for (size_t i = 0; i < 16; ++i) {
    EXPECT_EQ(std::stoi(digits.substr(2 * i, 2), nullptr, 16), static_cast<unsigned char>(uuid.bytes[i]));
  }

  nvmlPciInfo_t pci{};
  ASSERT_EQ(NVML(nvmlDeviceGetPciInfo_v3)(device_, &pci), NVML_SUCCESS);
  ASSERT_EQ(LOADED(driver(), cuDeviceGetPCIBusId)(theirs, sizeof theirs, 0), CUDA_SUCCESS);
  EXPECT_STREQ(pci.busIdLegacy, theirs);

  size_t bytes = 0;
  ASSERT_EQ(LOADED(driver(), cuDeviceTotalMem_v2)(&bytes, 0), CUDA_SUCCESS);
  EXPECT_EQ(memory().total, bytes);

  int nvml_version = 0, driver_version = 0;
  EXPECT_EQ(NVML(nvmlSystemGetCudaDriverVersion_v2)(&nvml_version), NVML_SUCCESS);
  EXPECT_EQ(LOADED(driver(), cuDriverGetVersion)(&driver_version), CUDA_SUCCESS);
  EXPECT_EQ(nvml_version, driver_version);
}

// A process that holds device memory until it is told to end; it runs this program's main() below.
class Holder {
 public:
  Holder() {
    int ready[2];
    EXPECT_EQ(pipe(ready), 0);
    pid_ = fork();
    if (pid_ == 0) {
      setenv("SOFTGPU_TEST_CHILD", std::to_string(ready[1]).c_str(), 1);
      execl("/proc/self/exe", "nvml_test", nullptr);
      _exit(127);
    }
    close(ready[1]);
    char byte = 0;
    EXPECT_EQ(read(ready[0], &byte, 1), 1) << "the other process could not use the device";
    close(ready[0]);
  }
  ~Holder() { kill(); }
  void kill() {
    if (pid_ == 0) return;
    ::kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_;
};

TEST_F(Nvml, SeesTheMemoryAndProcessesOfOthersUntilTheyAreGone) {
  const unsigned long long used_before = memory().used;
  Holder holder;
  EXPECT_GE(memory().used, used_before + kHeldBytes);
  auto listed = processes();
  auto is_holder = [&](const nvmlProcessInfo_t& info) {
    return info.pid == static_cast<unsigned>(holder.pid());
  };
  auto found = std::find_if(listed.begin(), listed.end(), is_holder);
  ASSERT_NE(found, listed.end());
  EXPECT_GE(found->usedGpuMemory, kHeldBytes);
  EXPECT_EQ(found->gpuInstanceId, NVML_NO_INSTANCE);

  char name[256] = {};
  EXPECT_EQ(NVML(nvmlSystemGetProcessName)(found->pid, name, sizeof name), NVML_SUCCESS);
  EXPECT_STREQ(name, "nvml_test");

  unsigned int count = 0;
  EXPECT_EQ(NVML(nvmlDeviceGetComputeRunningProcesses)(device_, &count, nullptr),
            NVML_ERROR_INSUFFICIENT_SIZE);
  EXPECT_EQ(count, listed.size());
  std::vector<nvmlProcessUtilizationSample_t> samples(16);
  count = 16;
  EXPECT_EQ(NVML(nvmlDeviceGetProcessUtilization)(device_, samples.data(), &count, 0), NVML_SUCCESS);
  EXPECT_EQ(count, listed.size());

  holder.kill();
  listed = processes();
  EXPECT_TRUE(std::none_of(listed.begin(), listed.end(), is_holder));
  EXPECT_EQ(memory().used, used_before);
}

TEST_F(Nvml, ModelsWhatAnIdleDeviceWouldShow) {
  unsigned int value = 0;
  EXPECT_EQ(NVML(nvmlDeviceGetPowerUsage)(device_, &value), NVML_SUCCESS);
  EXPECT_EQ(value, 9000u);
  EXPECT_EQ(NVML(nvmlDeviceGetEnforcedPowerLimit)(device_, &value), NVML_SUCCESS);
  EXPECT_EQ(value, 70000u);
  EXPECT_EQ(NVML(nvmlDeviceGetTemperature)(device_, NVML_TEMPERATURE_GPU, &value), NVML_SUCCESS);
  EXPECT_EQ(value, 35u);
  EXPECT_EQ(NVML(nvmlDeviceGetMaxClockInfo)(device_, NVML_CLOCK_SM, &value), NVML_SUCCESS);
  EXPECT_EQ(value, 1590u);
  nvmlPstates_t state = NVML_PSTATE_UNKNOWN;
  EXPECT_EQ(NVML(nvmlDeviceGetPerformanceState)(device_, &state), NVML_SUCCESS);
  EXPECT_EQ(state, NVML_PSTATE_8);
  nvmlUtilization_t utilisation{1, 1};
  EXPECT_EQ(NVML(nvmlDeviceGetUtilizationRates)(device_, &utilisation), NVML_SUCCESS);
  EXPECT_EQ(utilisation.gpu, 0u);
  nvmlFieldValue_t fields[2] = {};
  fields[0].fieldId = NVML_FI_DEV_POWER_INSTANT;
  fields[1].fieldId = 99999;
  EXPECT_EQ(NVML(nvmlDeviceGetFieldValues)(device_, 2, fields), NVML_SUCCESS);
  EXPECT_EQ(fields[0].nvmlReturn, NVML_SUCCESS);
  EXPECT_EQ(fields[0].value.uiVal, 9000u);
  EXPECT_EQ(fields[1].nvmlReturn, NVML_ERROR_NOT_SUPPORTED);
}

TEST_F(Nvml, EveryProcessorAndNodeIsNear) {
  constexpr unsigned int kWords = 16;
  unsigned long near[kWords] = {}, within[kWords] = {}, nodes[kWords] = {};
  ASSERT_EQ(NVML(nvmlDeviceGetCpuAffinity)(device_, kWords, near), NVML_SUCCESS);
  EXPECT_EQ(near[0] & 1, 1u);
  ASSERT_EQ(NVML(nvmlDeviceGetCpuAffinityWithinScope)(device_, kWords, within, NVML_AFFINITY_SCOPE_SOCKET),
            NVML_SUCCESS);
  EXPECT_TRUE(std::equal(near, near + kWords, within));
  ASSERT_EQ(NVML(nvmlDeviceGetMemoryAffinity)(device_, kWords, nodes, NVML_AFFINITY_SCOPE_NODE),
            NVML_SUCCESS);
  EXPECT_NE(nodes[0], 0u);
  EXPECT_EQ(NVML(nvmlDeviceGetMemoryAffinity)(device_, kWords, nodes, 7), NVML_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(NVML(nvmlDeviceGetCpuAffinity)(device_, 0, near), NVML_ERROR_INVALID_ARGUMENT);

  unsigned int count = 0;
  ASSERT_EQ(NVML(nvmlSystemGetTopologyGpuSet)(0, &count, nullptr), NVML_SUCCESS);
  ASSERT_EQ(count, 2u);
  nvmlDevice_t devices[2] = {};
  ASSERT_EQ(NVML(nvmlSystemGetTopologyGpuSet)(0, &count, devices), NVML_SUCCESS);
  EXPECT_EQ(devices[0], device_);
  EXPECT_EQ(NVML(nvmlSystemGetTopologyGpuSet)(100'000, &count, devices), NVML_ERROR_INVALID_ARGUMENT);
  nvmlGpuTopologyLevel_t level{};
  ASSERT_EQ(NVML(nvmlDeviceGetTopologyCommonAncestor)(devices[0], devices[1], &level), NVML_SUCCESS);
  EXPECT_EQ(level, NVML_TOPOLOGY_SYSTEM);
}

TEST_F(Nvml, ChecksVersionsAndSizes) {
  nvmlMemory_v2_t memory{};
  EXPECT_EQ(NVML(nvmlDeviceGetMemoryInfo_v2)(device_, &memory), NVML_ERROR_ARGUMENT_VERSION_MISMATCH);
  memory.version = nvml_struct_version<nvmlMemory_v2_t>(2);
  EXPECT_EQ(NVML(nvmlDeviceGetMemoryInfo_v2)(device_, &memory), NVML_SUCCESS);
  EXPECT_EQ(memory.total, 256ull << 20);
  char text[8];
  EXPECT_EQ(NVML(nvmlDeviceGetUUID)(device_, text, sizeof text), NVML_ERROR_INSUFFICIENT_SIZE);
  EXPECT_EQ(NVML(nvmlDeviceGetUUID)(device_, nullptr, 100), NVML_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(NVML(nvmlSystemGetDriverVersion)(text, sizeof text), NVML_SUCCESS);
  EXPECT_STREQ(text, "580.00");
}

TEST_F(Nvml, SaysWhatIsNotThere) {
  unsigned int current = 0, pending = 0;
  EXPECT_EQ(NVML(nvmlDeviceGetMigMode)(device_, &current, &pending), NVML_ERROR_NOT_SUPPORTED);
  EXPECT_EQ(NVML(nvmlDeviceGetFanSpeed)(device_, &current), NVML_ERROR_NOT_SUPPORTED);
  EXPECT_EQ(NVML(nvmlDeviceSetPowerManagementLimit)(device_, 1000), NVML_ERROR_NOT_SUPPORTED);
  EXPECT_STREQ(NVML(nvmlErrorString)(NVML_ERROR_NOT_SUPPORTED), "Not Supported");
}

class NvmlFaults : public Nvml {
 protected:
  void TearDown() override {
    tell("clear");
    nvmlUtilization_t use{};
    EXPECT_EQ(NVML(nvmlDeviceGetUtilizationRates)(device_, &use), NVML_SUCCESS);
    Nvml::TearDown();
  }
  static void tell(const char* command) {
    std::ofstream(std::string(getenv("SOFTGPU_STATE_DIR")) + "/gpu0.control", std::ios::app)
        << command << "\n";
  }
  unsigned long long errors(nvmlMemoryErrorType_t type, nvmlEccCounterType_t counter) {
    unsigned long long count = 0;
    EXPECT_EQ(NVML(nvmlDeviceGetTotalEccErrors)(device_, type, counter, &count), NVML_SUCCESS);
    return count;
  }
};

TEST_F(NvmlFaults, EventsAreToldOnceAndInOrder) {
  unsigned long long types = 0;
  EXPECT_EQ(NVML(nvmlDeviceGetSupportedEventTypes)(device_, &types), NVML_SUCCESS);
  EXPECT_EQ(types,
            nvmlEventTypeXidCriticalError | nvmlEventTypeSingleBitEccError | nvmlEventTypeDoubleBitEccError);
  nvmlEventSet_t set = nullptr;
  ASSERT_EQ(NVML(nvmlEventSetCreate)(&set), NVML_SUCCESS);
  EXPECT_EQ(NVML(nvmlDeviceRegisterEvents)(device_, 4, set), NVML_ERROR_NOT_SUPPORTED);
  ASSERT_EQ(NVML(nvmlDeviceRegisterEvents)(device_, types, set), NVML_SUCCESS);
  nvmlEventData_t data{};
  EXPECT_EQ(NVML(nvmlEventSetWait_v2)(set, &data, 1), NVML_ERROR_TIMEOUT);
  tell("xid 31\necc single");
  ASSERT_EQ(NVML(nvmlEventSetWait_v2)(set, &data, 10000), NVML_SUCCESS);
  EXPECT_EQ(data.device, device_);
  EXPECT_EQ(data.eventType, nvmlEventTypeXidCriticalError);
  EXPECT_EQ(data.eventData, 31u);
  ASSERT_EQ(NVML(nvmlEventSetWait_v2)(set, &data, 10000), NVML_SUCCESS);
  EXPECT_EQ(data.eventType, nvmlEventTypeSingleBitEccError);
  EXPECT_EQ(NVML(nvmlEventSetWait_v2)(set, &data, 1), NVML_ERROR_TIMEOUT);
  EXPECT_EQ(NVML(nvmlEventSetFree)(set), NVML_SUCCESS);
  EXPECT_EQ(NVML(nvmlEventSetFree)(set), NVML_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(NVML(nvmlEventSetWait_v2)(set, &data, 1), NVML_ERROR_INVALID_ARGUMENT);
}

TEST_F(NvmlFaults, CorrectedErrorsAreCounted) {
  const auto before = errors(NVML_MEMORY_ERROR_TYPE_CORRECTED, NVML_AGGREGATE_ECC);
  tell("ecc single count=3");
  EXPECT_EQ(errors(NVML_MEMORY_ERROR_TYPE_CORRECTED, NVML_VOLATILE_ECC), 3u);
  EXPECT_EQ(errors(NVML_MEMORY_ERROR_TYPE_CORRECTED, NVML_AGGREGATE_ECC), before + 3);
  EXPECT_EQ(errors(NVML_MEMORY_ERROR_TYPE_UNCORRECTED, NVML_VOLATILE_ECC), 0u);
  nvmlEccErrorCounts_t detailed{};
  EXPECT_EQ(NVML(nvmlDeviceGetDetailedEccErrors)(device_, NVML_MEMORY_ERROR_TYPE_CORRECTED, NVML_VOLATILE_ECC,
                                                 &detailed),
            NVML_SUCCESS);
  EXPECT_EQ(detailed.deviceMemory, 3u);
  EXPECT_EQ(NVML(nvmlDeviceClearEccErrorCounts)(device_, NVML_AGGREGATE_ECC), NVML_SUCCESS);
  EXPECT_EQ(errors(NVML_MEMORY_ERROR_TYPE_CORRECTED, NVML_AGGREGATE_ECC), 0u);
  EXPECT_EQ(errors(NVML_MEMORY_ERROR_TYPE_CORRECTED, NVML_VOLATILE_ECC), 3u);
  unsigned int rows = 0, pending = 0, pages = 0;
  EXPECT_EQ(NVML(nvmlDeviceGetRemappedRows)(device_, &rows, &rows, &pending, &pending),
            NVML_ERROR_NOT_SUPPORTED);
  EXPECT_EQ(NVML(nvmlDeviceGetRetiredPages)(device_, NVML_PAGE_RETIREMENT_CAUSE_DOUBLE_BIT_ECC_ERROR, &pages,
                                            nullptr),
            NVML_SUCCESS);
  EXPECT_EQ(pages, 0u);
}

TEST_F(NvmlFaults, SlownessShowsInClocksAndReasons) {
  unsigned int before = 0, slowed = 0;
  unsigned long long reasons = 0;
  ASSERT_EQ(NVML(nvmlDeviceGetClockInfo)(device_, NVML_CLOCK_SM, &before), NVML_SUCCESS);
  tell("slow 2");
  EXPECT_EQ(NVML(nvmlDeviceGetClockInfo)(device_, NVML_CLOCK_SM, &slowed), NVML_SUCCESS);
  EXPECT_EQ(slowed, before / 2);
  EXPECT_EQ(NVML(nvmlDeviceGetCurrentClocksEventReasons)(device_, &reasons), NVML_SUCCESS);
  EXPECT_EQ(reasons & ~nvmlClocksEventReasonGpuIdle,
            nvmlClocksThrottleReasonHwSlowdown | nvmlClocksThrottleReasonHwThermalSlowdown);
  nvmlViolationTime_t violation{};
  EXPECT_EQ(NVML(nvmlDeviceGetViolationStatus)(device_, NVML_PERF_POLICY_THERMAL, &violation), NVML_SUCCESS);
  EXPECT_GT(violation.violationTime, 0u);
}

TEST_F(NvmlFaults, ALostDeviceIsToldAndTheOtherGoesOn) {
  nvmlDevice_t second = nullptr;
  nvmlEventSet_t set = nullptr;
  ASSERT_EQ(NVML(nvmlDeviceGetHandleByIndex_v2)(1, &second), NVML_SUCCESS);
  ASSERT_EQ(NVML(nvmlEventSetCreate)(&set), NVML_SUCCESS);
  ASSERT_EQ(NVML(nvmlDeviceRegisterEvents)(device_, nvmlEventTypeXidCriticalError, set), NVML_SUCCESS);
  tell("lost");
  nvmlMemory_t memory{};
  EXPECT_EQ(NVML(nvmlDeviceGetMemoryInfo)(device_, &memory), NVML_ERROR_GPU_IS_LOST);
  EXPECT_EQ(NVML(nvmlDeviceGetMemoryInfo)(second, &memory), NVML_SUCCESS);
  nvmlEventData_t data{};
  EXPECT_EQ(NVML(nvmlEventSetWait_v2)(set, &data, 10000), NVML_SUCCESS);
  EXPECT_EQ(data.eventData, 79u);
  EXPECT_EQ(NVML(nvmlEventSetWait_v2)(set, &data, 10000), NVML_ERROR_GPU_IS_LOST);
  EXPECT_EQ(NVML(nvmlEventSetFree)(set), NVML_SUCCESS);
}

// The other process: takes memory, says so, and waits to be killed.
int hold_memory(int ready_fd) {
  CUcontext context = nullptr;
  CUdeviceptr memory = 0;
  if (LOADED(driver(), cuInit)(0) != CUDA_SUCCESS) return 1;
  if (LOADED(driver(), cuCtxCreate_v2)(&context, 0, 0) != CUDA_SUCCESS) return 1;
  if (LOADED(driver(), cuMemAlloc_v2)(&memory, kHeldBytes) != CUDA_SUCCESS) return 1;
  if (write(ready_fd, "", 1) != 1) return 1;
  pause();
  return 0;
}

}  // namespace
}  // namespace tessera

int main(int argc, char** argv) {
  if (const char* fd = getenv("SOFTGPU_TEST_CHILD")) return tessera::hold_memory(atoi(fd));
  testing::AddGlobalTestEnvironment(new tessera::PrivateDevices());
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}

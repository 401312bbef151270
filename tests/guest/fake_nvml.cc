// A test double of NVML: three devices, two processes on each.
#include <cstring>
#include <string>

#include "cuda/nvml_api.h"

namespace {

int initialisations = 0;

constexpr unsigned int kDevices = 3;
nvmlDevice_t handle(unsigned int index) { return reinterpret_cast<nvmlDevice_t>(uintptr_t{0x100} + index); }
unsigned int index_of(nvmlDevice_t device) {
  return static_cast<unsigned int>(reinterpret_cast<uintptr_t>(device) - 0x100);
}

}  // namespace

extern "C" {

nvmlReturn_t nvmlInit_v2() {
  ++initialisations;
  return NVML_SUCCESS;
}
nvmlReturn_t nvmlShutdown() {
  --initialisations;
  return NVML_SUCCESS;
}
nvmlReturn_t nvmlDeviceGetCount_v2(unsigned int* count) {
  if (initialisations == 0) return NVML_ERROR_UNINITIALIZED;
  *count = kDevices;
  return NVML_SUCCESS;
}
nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t* device) {
  if (index >= kDevices) return NVML_ERROR_INVALID_ARGUMENT;
  *device = handle(index);
  return NVML_SUCCESS;
}
nvmlReturn_t nvmlDeviceGetHandleByUUID(const char* uuid, nvmlDevice_t* device) {
  for (unsigned int i = 0; i < kDevices; ++i) {
    if (uuid != "GPU-0" + std::to_string(i) + "000000-0000-0000-0000-000000000000") continue;
    *device = handle(i);
    return NVML_SUCCESS;
  }
  return NVML_ERROR_NOT_FOUND;
}
nvmlReturn_t nvmlDeviceGetIndex(nvmlDevice_t device, unsigned int* index) {
  *index = index_of(device);
  return NVML_SUCCESS;
}
nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t, nvmlMemory_t* memory) {
  *memory = {80ull << 30, 60ull << 30, 20ull << 30};
  return NVML_SUCCESS;
}
nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t, nvmlMemory_v2_t* memory) {
  *memory = {memory->version, 80ull << 30, 1ull << 30, 59ull << 30, 20ull << 30};
  return NVML_SUCCESS;
}
nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_t, unsigned int* count,
                                                     nvmlProcessInfo_t* infos) {
  unsigned int room = *count;
  *count = 2;
  if (room < 2) return NVML_ERROR_INSUFFICIENT_SIZE;
  infos[0] = {99, 1 << 20, ~0u, ~0u};
  infos[1] = {4242, 2 << 20, ~0u, ~0u};
  return NVML_SUCCESS;
}
nvmlReturn_t nvmlDeviceGetAccountingPids(nvmlDevice_t, unsigned int*, unsigned int*) { return NVML_SUCCESS; }

}  // extern "C"

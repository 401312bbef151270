// The replaced functions of NVML.
#include <pthread.h>

#include <algorithm>
#include <cassert>

#include "virtualization/vgpu/nvml_view.h"

namespace tessera::vgpu {
namespace {

using cuda::NvmlTable;

NvmlView* view = nullptr;
const NvmlTable& lower() { return view->lower(); }

template <auto Entry, auto Function>
void replace(NvmlTable& upper, const NvmlTable& below) {
  if (below.*Entry != nullptr) upper.*Entry = Function;
}

template <auto Entry, typename... Args>
nvmlReturn_t init(Args... args) {
  nvmlReturn_t result = (lower().*Entry)(args...);
  return result == NVML_SUCCESS ? view->initialised() : result;
}

// Asks the driver first: before NVML is initialised the answer is its error.
template <auto Entry>
nvmlReturn_t device_count(unsigned int* count) {
  nvmlReturn_t result = (lower().*Entry)(count);
  if (result == NVML_SUCCESS) *count = static_cast<unsigned int>(view->devices().size());
  return result;
}

nvmlReturn_t handle_by_index(unsigned int index, nvmlDevice_t* device) {
  unsigned int count;
  nvmlReturn_t result = lower().nvmlDeviceGetCount_v2(&count);
  if (result != NVML_SUCCESS) return result;
  auto devices = view->devices();
  if (device == nullptr || index >= devices.size()) return NVML_ERROR_INVALID_ARGUMENT;
  *device = devices[index];
  return NVML_SUCCESS;
}

template <auto Entry, typename Name>
nvmlReturn_t handle_by_name(Name name, nvmlDevice_t* device) {
  nvmlReturn_t result = (lower().*Entry)(name, device);
  return result != NVML_SUCCESS || view->index_of(*device) ? result : NVML_ERROR_NOT_FOUND;
}

nvmlReturn_t device_index(nvmlDevice_t device, unsigned int* index) {
  nvmlReturn_t result = lower().nvmlDeviceGetIndex(device, index);
  auto own = view->index_of(device);
  if (result == NVML_SUCCESS && own) *index = *own;
  return result;
}

template <auto Entry, typename Memory>
nvmlReturn_t memory_info(nvmlDevice_t device, Memory* memory) {
  nvmlReturn_t result = (lower().*Entry)(device, memory);
  auto index = view->index_of(device);
  if (result != NVML_SUCCESS || !index) return result;
  auto usage = view->usage(*index);
  if (!usage.ok()) return NVML_ERROR_UNKNOWN;
  unsigned long long limit = usage->limit_bytes;
  unsigned long long left = limit - std::min<unsigned long long>(limit, usage->used_bytes);
  memory->total = std::min(memory->total, limit);
  memory->used = usage->used_bytes;
  memory->free = std::min(memory->free, left);
  if constexpr (requires { memory->reserved; }) memory->reserved = 0;
  return NVML_SUCCESS;
}

// The driver's list, whole: it may grow between two calls.
template <auto Entry, typename Info>
nvmlReturn_t all_processes(nvmlDevice_t device, std::vector<Info>& all) {
  nvmlReturn_t result = NVML_ERROR_INSUFFICIENT_SIZE;
  for (int attempt = 0; attempt < 8 && result == NVML_ERROR_INSUFFICIENT_SIZE; ++attempt) {
    all.resize(std::max<size_t>(64, all.size() * 2));
    auto count = static_cast<unsigned int>(all.size());
    result = (lower().*Entry)(device, &count, all.data());
    if (result == NVML_SUCCESS) all.resize(std::min<size_t>(count, all.size()));
  }
  return result;
}

template <auto Entry, typename Info>
nvmlReturn_t running_processes(nvmlDevice_t device, unsigned int* count, Info* infos) {
  if (count == nullptr || (*count > 0 && infos == nullptr)) return NVML_ERROR_INVALID_ARGUMENT;
  std::vector<Info> own;
  nvmlReturn_t result = all_processes<Entry>(device, own);
  if (result != NVML_SUCCESS) return result;
  auto pids = view->processes();
  if (!pids.ok()) return NVML_ERROR_UNKNOWN;
  std::erase_if(own, [&](const Info& info) {
    return std::find(pids->begin(), pids->end(), static_cast<int32_t>(info.pid)) == pids->end();
  });
  unsigned int room = std::exchange(*count, static_cast<unsigned int>(own.size()));
  if (room < own.size()) return NVML_ERROR_INSUFFICIENT_SIZE;
  std::copy(own.begin(), own.end(), infos);
  return NVML_SUCCESS;
}

// Functions that tell of other tenants' processes in shapes that are not taken apart here.
template <auto Entry>
struct Withheld;
template <typename... Args, nvmlReturn_t (*NvmlTable::*Entry)(Args...)>
struct Withheld<Entry> {
  static nvmlReturn_t call(Args...) { return NVML_ERROR_NOT_SUPPORTED; }
};

template <auto... Entries>
void withhold(NvmlTable& upper, const NvmlTable& below) {
  (replace<Entries, &Withheld<Entries>::call>(upper, below), ...);
}

// Functions that change the device for everybody on it: not a tenant's to call.
template <auto Entry>
struct Refused;
template <typename... Args, nvmlReturn_t (*NvmlTable::*Entry)(Args...)>
struct Refused<Entry> {
  static nvmlReturn_t call(Args...) { return NVML_ERROR_NO_PERMISSION; }
};

template <auto... Entries>
void refuse(NvmlTable& upper, const NvmlTable& below) {
  (replace<Entries, &Refused<Entries>::call>(upper, below), ...);
}

void refuse_changes(NvmlTable& upper, const NvmlTable& below) {
  using T = NvmlTable;
  refuse<&T::nvmlDeviceSetEccMode, &T::nvmlDeviceClearEccErrorCounts, &T::nvmlDeviceSetAccountingMode,
         &T::nvmlDeviceClearAccountingPids, &T::nvmlDeviceSetPersistenceMode, &T::nvmlDeviceSetComputeMode,
         &T::nvmlDeviceSetDriverModel, &T::nvmlDeviceSetGpuOperationMode, &T::nvmlDeviceSetAPIRestriction,
         &T::nvmlDeviceModifyDrainState, &T::nvmlDeviceRemoveGpu, &T::nvmlDeviceRemoveGpu_v2,
         &T::nvmlDeviceReadWritePRM_v1, &T::nvmlDeviceSetVirtualizationMode>(upper, below);
  refuse<&T::nvmlDeviceSetMigMode, &T::nvmlDeviceCreateGpuInstance,
         &T::nvmlDeviceCreateGpuInstanceWithPlacement, &T::nvmlGpuInstanceDestroy,
         &T::nvmlGpuInstanceCreateComputeInstance, &T::nvmlGpuInstanceCreateComputeInstanceWithPlacement,
         &T::nvmlComputeInstanceDestroy>(upper, below);
  refuse<&T::nvmlDeviceSetApplicationsClocks, &T::nvmlDeviceResetApplicationsClocks,
         &T::nvmlDeviceSetGpuLockedClocks, &T::nvmlDeviceResetGpuLockedClocks,
         &T::nvmlDeviceSetMemoryLockedClocks, &T::nvmlDeviceResetMemoryLockedClocks,
         &T::nvmlDeviceSetAutoBoostedClocksEnabled, &T::nvmlDeviceSetDefaultAutoBoostedClocksEnabled,
         &T::nvmlDeviceSetGpcClkVfOffset, &T::nvmlDeviceSetMemClkVfOffset, &T::nvmlDeviceSetClockOffsets,
         &T::nvmlDeviceSetPowerManagementLimit, &T::nvmlDeviceSetPowerManagementLimit_v2,
         &T::nvmlDeviceSetPowerMode, &T::nvmlDeviceSetTemperatureThreshold, &T::nvmlDeviceSetFanSpeed_v2,
         &T::nvmlDeviceSetDefaultFanSpeed_v2, &T::nvmlDeviceSetFanControlPolicy>(upper, below);
}

template <typename Info, auto... Entries>
void filter_processes(NvmlTable& upper, const NvmlTable& below) {
  (replace<Entries, &running_processes<Entries, Info>>(upper, below), ...);
}

void install_device_calls(NvmlTable& upper, const NvmlTable& below) {
  replace<&NvmlTable::nvmlDeviceGetCount_v2, &device_count<&NvmlTable::nvmlDeviceGetCount_v2>>(upper, below);
  replace<&NvmlTable::nvmlDeviceGetCount, &device_count<&NvmlTable::nvmlDeviceGetCount>>(upper, below);
  replace<&NvmlTable::nvmlDeviceGetHandleByIndex_v2, &handle_by_index>(upper, below);
  replace<&NvmlTable::nvmlDeviceGetHandleByIndex, &handle_by_index>(upper, below);
  replace<&NvmlTable::nvmlDeviceGetHandleBySerial,
          &handle_by_name<&NvmlTable::nvmlDeviceGetHandleBySerial, const char*>>(upper, below);
  replace<&NvmlTable::nvmlDeviceGetHandleByUUID,
          &handle_by_name<&NvmlTable::nvmlDeviceGetHandleByUUID, const char*>>(upper, below);
  replace<&NvmlTable::nvmlDeviceGetHandleByUUIDV,
          &handle_by_name<&NvmlTable::nvmlDeviceGetHandleByUUIDV, const void*>>(upper, below);
  replace<&NvmlTable::nvmlDeviceGetHandleByPciBusId_v2,
          &handle_by_name<&NvmlTable::nvmlDeviceGetHandleByPciBusId_v2, const char*>>(upper, below);
  replace<&NvmlTable::nvmlDeviceGetHandleByPciBusId,
          &handle_by_name<&NvmlTable::nvmlDeviceGetHandleByPciBusId, const char*>>(upper, below);
  replace<&NvmlTable::nvmlDeviceGetIndex, &device_index>(upper, below);
}

}  // namespace

void install_nvml(NvmlTable& upper, const NvmlTable& lower, NvmlView& installed) {
  assert(view == nullptr);
  view = &installed;
  upper = lower;
  replace<&NvmlTable::nvmlInit_v2, &init<&NvmlTable::nvmlInit_v2>>(upper, lower);
  replace<&NvmlTable::nvmlInit, &init<&NvmlTable::nvmlInit>>(upper, lower);
  replace<&NvmlTable::nvmlInitWithFlags, &init<&NvmlTable::nvmlInitWithFlags, unsigned int>>(upper, lower);
  install_device_calls(upper, lower);
  replace<&NvmlTable::nvmlDeviceGetMemoryInfo,
          &memory_info<&NvmlTable::nvmlDeviceGetMemoryInfo, nvmlMemory_t>>(upper, lower);
  replace<&NvmlTable::nvmlDeviceGetMemoryInfo_v2,
          &memory_info<&NvmlTable::nvmlDeviceGetMemoryInfo_v2, nvmlMemory_v2_t>>(upper, lower);
  filter_processes<nvmlProcessInfo_v2_t, &NvmlTable::nvmlDeviceGetComputeRunningProcesses_v3,
                   &NvmlTable::nvmlDeviceGetGraphicsRunningProcesses_v3,
                   &NvmlTable::nvmlDeviceGetMPSComputeRunningProcesses_v3,
                   &NvmlTable::nvmlDeviceGetComputeRunningProcesses_v2,
                   &NvmlTable::nvmlDeviceGetGraphicsRunningProcesses_v2,
                   &NvmlTable::nvmlDeviceGetMPSComputeRunningProcesses_v2>(upper, lower);
  filter_processes<nvmlProcessInfo_v1_t, &NvmlTable::nvmlDeviceGetComputeRunningProcesses,
                   &NvmlTable::nvmlDeviceGetGraphicsRunningProcesses,
                   &NvmlTable::nvmlDeviceGetMPSComputeRunningProcesses>(upper, lower);
  withhold<&NvmlTable::nvmlDeviceGetProcessUtilization, &NvmlTable::nvmlDeviceGetProcessesUtilizationInfo,
           &NvmlTable::nvmlDeviceGetRunningProcessDetailList, &NvmlTable::nvmlDeviceGetAccountingPids,
           &NvmlTable::nvmlDeviceGetAccountingStats>(upper, lower);
  refuse_changes(upper, lower);
  pthread_atfork(nullptr, nullptr, [] { view->abandon_in_child(); });
}

}  // namespace tessera::vgpu

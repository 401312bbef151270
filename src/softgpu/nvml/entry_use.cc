// Memory, utilisation and processes: all read from the file that the processes on a device share.
#include <algorithm>

#include "common/clock.h"
#include "softgpu/nvml/entry.h"

namespace tessera::softgpu {
namespace {

template <typename Info>
void fill_process(const ProcessUse& process, Info* info) {
  info->pid = static_cast<unsigned int>(process.process.pid);
  info->usedGpuMemory = process.used_bytes;
  if constexpr (!std::is_same_v<Info, nvmlProcessInfo_v1_t>) {
    info->gpuInstanceId = NVML_NO_INSTANCE;
    info->computeInstanceId = NVML_NO_INSTANCE;
  }
}

// `count` holds the room before, the number of processes after.
template <typename Info>
nvmlReturn_t give_processes(nvmlDevice_t handle, unsigned int* count, Info* infos) {
  return on_device_in_use(handle, [&](const ObservedDevice&, const DeviceUse& use) {
    if (count == nullptr || (*count > 0 && infos == nullptr)) return NVML_ERROR_INVALID_ARGUMENT;
    const unsigned int room = *count;
    *count = static_cast<unsigned int>(use.processes.size());
    if (room < *count) return NVML_ERROR_INSUFFICIENT_SIZE;
    for (unsigned int i = 0; i < *count; ++i) fill_process(use.processes[i], &infos[i]);
    return NVML_SUCCESS;
  });
}

// Graphics and MPS processes: none.
nvmlReturn_t give_no_processes(nvmlDevice_t handle, unsigned int* count) {
  return on_device(handle, [&](const ObservedDevice&) { return give(count, 0); });
}

// There is no such engine: never busy.
nvmlReturn_t give_idle_engine(nvmlDevice_t handle, unsigned int* utilisation, unsigned int* period_us) {
  return on_device(handle, [&](const ObservedDevice&) {
    if (utilisation == nullptr || period_us == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
    *utilisation = 0;
    *period_us = kUtilisationWindowNs / 1000;
    return NVML_SUCCESS;
  });
}

// Microseconds since 1970, as NVML counts.
unsigned long long now_us() { return tessera::wall_ns() / 1000; }

}  // namespace
}  // namespace tessera::softgpu

using namespace tessera::softgpu;  // NOLINT(google-build-using-namespace): the definitions below are C
                                   // functions

extern "C" {

nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t* memory) {
  return on_device_in_use(device, [&](const ObservedDevice&, const DeviceUse& use) {
    return give(memory, {use.capacity_bytes, use.capacity_bytes - use.used_bytes, use.used_bytes});
  });
}

nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, nvmlMemory_v2_t* memory) {
  return on_device_in_use(device, [&](const ObservedDevice&, const DeviceUse& use) {
    if (memory == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
    if (memory->version != nvml_struct_version<nvmlMemory_v2_t>(2))
      return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    memory->total = use.capacity_bytes;
    memory->reserved = 0;
    memory->free = use.capacity_bytes - use.used_bytes;
    memory->used = use.used_bytes;
    return NVML_SUCCESS;
  });
}

// All of the memory can be mapped by the host, and none is so through a window.
nvmlReturn_t nvmlDeviceGetBAR1MemoryInfo(nvmlDevice_t device, nvmlBAR1Memory_t* bar1Memory) {
  return on_device_in_use(device, [&](const ObservedDevice&, const DeviceUse& use) {
    return give(bar1Memory, {use.capacity_bytes, use.capacity_bytes, 0});
  });
}

// `gpu` is the share of the SMs' time that kernels used, so two SMs of which one is busy are at 50 % (a card
// would say 100 %: it counts the time in which any kernel runs). Traffic to memory is not measured: `memory`
// is 0.
nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t device, nvmlUtilization_t* utilization) {
  return on_device_in_use(device, [&](const ObservedDevice&, const DeviceUse& use) {
    return give(utilization, {utilisation_percent(use.window_busy_ns, use), 0});
  });
}

nvmlReturn_t nvmlDeviceGetEncoderUtilization(nvmlDevice_t device, unsigned int* utilization,
                                             unsigned int* samplingPeriodUs) {
  return give_idle_engine(device, utilization, samplingPeriodUs);
}
nvmlReturn_t nvmlDeviceGetDecoderUtilization(nvmlDevice_t device, unsigned int* utilization,
                                             unsigned int* samplingPeriodUs) {
  return give_idle_engine(device, utilization, samplingPeriodUs);
}
nvmlReturn_t nvmlDeviceGetJpgUtilization(nvmlDevice_t device, unsigned int* utilization,
                                         unsigned int* samplingPeriodUs) {
  return give_idle_engine(device, utilization, samplingPeriodUs);
}
nvmlReturn_t nvmlDeviceGetOfaUtilization(nvmlDevice_t device, unsigned int* utilization,
                                         unsigned int* samplingPeriodUs) {
  return give_idle_engine(device, utilization, samplingPeriodUs);
}

nvmlReturn_t nvmlDeviceGetComputeRunningProcesses(nvmlDevice_t device, unsigned int* infoCount,
                                                  nvmlProcessInfo_v1_t* infos) {
  return give_processes(device, infoCount, infos);
}
nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v2(nvmlDevice_t device, unsigned int* infoCount,
                                                     nvmlProcessInfo_v2_t* infos) {
  return give_processes(device, infoCount, infos);
}
nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_t device, unsigned int* infoCount,
                                                     nvmlProcessInfo_t* infos) {
  return give_processes(device, infoCount, infos);
}

nvmlReturn_t nvmlDeviceGetGraphicsRunningProcesses(nvmlDevice_t device, unsigned int* infoCount,
                                                   nvmlProcessInfo_v1_t*) {
  return give_no_processes(device, infoCount);
}
nvmlReturn_t nvmlDeviceGetGraphicsRunningProcesses_v2(nvmlDevice_t device, unsigned int* infoCount,
                                                      nvmlProcessInfo_v2_t*) {
  return give_no_processes(device, infoCount);
}
nvmlReturn_t nvmlDeviceGetGraphicsRunningProcesses_v3(nvmlDevice_t device, unsigned int* infoCount,
                                                      nvmlProcessInfo_t*) {
  return give_no_processes(device, infoCount);
}
nvmlReturn_t nvmlDeviceGetMPSComputeRunningProcesses(nvmlDevice_t device, unsigned int* infoCount,
                                                     nvmlProcessInfo_v1_t*) {
  return give_no_processes(device, infoCount);
}
nvmlReturn_t nvmlDeviceGetMPSComputeRunningProcesses_v2(nvmlDevice_t device, unsigned int* infoCount,
                                                        nvmlProcessInfo_v2_t*) {
  return give_no_processes(device, infoCount);
}
nvmlReturn_t nvmlDeviceGetMPSComputeRunningProcesses_v3(nvmlDevice_t device, unsigned int* infoCount,
                                                        nvmlProcessInfo_t*) {
  return give_no_processes(device, infoCount);
}

// One sample of each process: the past window, stamped now.
nvmlReturn_t nvmlDeviceGetProcessUtilization(nvmlDevice_t device, nvmlProcessUtilizationSample_t* utilization,
                                             unsigned int* processSamplesCount,
                                             unsigned long long lastSeenTimeStamp) {
  return on_device_in_use(device, [&](const ObservedDevice&, const DeviceUse& use) {
    if (processSamplesCount == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
    const unsigned long long now = now_us();
    if (use.processes.empty() || lastSeenTimeStamp >= now) return NVML_ERROR_NOT_FOUND;
    const unsigned int room = utilization != nullptr ? *processSamplesCount : 0;
    *processSamplesCount = static_cast<unsigned int>(use.processes.size());
    if (room < *processSamplesCount) return NVML_ERROR_INSUFFICIENT_SIZE;
    for (const ProcessUse& process : use.processes) {
      *utilization++ = {.pid = static_cast<unsigned int>(process.process.pid),
                        .timeStamp = now,
                        .smUtil = utilisation_percent(process.window_busy_ns, use),
                        .memUtil = 0,
                        .encUtil = 0,
                        .decUtil = 0};
    }
    return NVML_SUCCESS;
  });
}

nvmlReturn_t nvmlDeviceGetProcessesUtilizationInfo(nvmlDevice_t device,
                                                   nvmlProcessesUtilizationInfo_v1_t* procesesUtilInfo) {
  return on_device_in_use(device, [&](const ObservedDevice&, const DeviceUse& use) {
    if (procesesUtilInfo == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
    nvmlProcessesUtilizationInfo_v1_t& info = *procesesUtilInfo;
    if (info.version != nvml_struct_version<nvmlProcessesUtilizationInfo_v1_t>(1)) {
      return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    }
    const unsigned long long now = now_us();
    if (use.processes.empty() || info.lastSeenTimeStamp >= now) return NVML_ERROR_NOT_FOUND;
    const unsigned int room = info.procUtilArray != nullptr ? info.processSamplesCount : 0;
    info.processSamplesCount = static_cast<unsigned int>(use.processes.size());
    if (room < info.processSamplesCount) return NVML_ERROR_INSUFFICIENT_SIZE;
    nvmlProcessUtilizationInfo_v1_t* next = info.procUtilArray;
    for (const ProcessUse& process : use.processes) {
      *next = {};
      next->timeStamp = now;
      next->pid = static_cast<unsigned int>(process.process.pid);
      next->smUtil = utilisation_percent(process.window_busy_ns, use);
      ++next;
    }
    return NVML_SUCCESS;
  });
}

}  // extern "C"

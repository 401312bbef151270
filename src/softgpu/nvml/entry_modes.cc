// Modes that are what they are, error counters that never count, and events that never come.
#include <chrono>
#include <thread>

#include "softgpu/nvml/entry.h"

namespace tessera::softgpu {
namespace {

nvmlReturn_t give_mode(nvmlDevice_t handle, nvmlEnableState_t* target, nvmlEnableState_t mode) {
  return on_device(handle, [&](const ObservedDevice&) { return give(target, mode); });
}

nvmlReturn_t give_no_errors(nvmlDevice_t handle, nvmlMemoryErrorType_t type, nvmlEccCounterType_t counter,
                            unsigned long long* count) {
  return on_device(handle, [&](const ObservedDevice&) {
    if (type > NVML_MEMORY_ERROR_TYPE_UNCORRECTED || counter > NVML_AGGREGATE_ECC)
      return NVML_ERROR_INVALID_ARGUMENT;
    return give(count, 0);
  });
}

// Stands for every event set: a set of nothing needs no memory of its own.
char event_set;

// Nothing ever happens to a software device.
nvmlReturn_t wait_for_event(nvmlEventSet_t set, nvmlEventData_t* data, unsigned int timeout_ms) {
  if (set == nullptr || data == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  std::this_thread::sleep_for(std::chrono::milliseconds(timeout_ms));
  return NVML_ERROR_TIMEOUT;
}

}  // namespace
}  // namespace tessera::softgpu

using namespace tessera::softgpu;  // NOLINT(google-build-using-namespace): the definitions below are C
                                   // functions

extern "C" {

// What a device remembers lies in a file, whether or not a process uses it.
nvmlReturn_t nvmlDeviceGetPersistenceMode(nvmlDevice_t device, nvmlEnableState_t* mode) {
  return give_mode(device, mode, NVML_FEATURE_ENABLED);
}
nvmlReturn_t nvmlDeviceGetDisplayMode(nvmlDevice_t device, nvmlEnableState_t* display) {
  return give_mode(device, display, NVML_FEATURE_DISABLED);
}
nvmlReturn_t nvmlDeviceGetDisplayActive(nvmlDevice_t device, nvmlEnableState_t* isActive) {
  return give_mode(device, isActive, NVML_FEATURE_DISABLED);
}
nvmlReturn_t nvmlDeviceGetDefaultEccMode(nvmlDevice_t device, nvmlEnableState_t* defaultMode) {
  return give_mode(device, defaultMode, NVML_FEATURE_DISABLED);
}
nvmlReturn_t nvmlDeviceGetEccMode(nvmlDevice_t device, nvmlEnableState_t* current,
                                  nvmlEnableState_t* pending) {
  const nvmlReturn_t result = give_mode(device, current, NVML_FEATURE_DISABLED);
  return result == NVML_SUCCESS ? give_mode(device, pending, NVML_FEATURE_DISABLED) : result;
}

nvmlReturn_t nvmlDeviceGetTotalEccErrors(nvmlDevice_t device, nvmlMemoryErrorType_t errorType,
                                         nvmlEccCounterType_t counterType, unsigned long long* eccCounts) {
  return give_no_errors(device, errorType, counterType, eccCounts);
}
nvmlReturn_t nvmlDeviceGetMemoryErrorCounter(nvmlDevice_t device, nvmlMemoryErrorType_t errorType,
                                             nvmlEccCounterType_t counterType,
                                             nvmlMemoryLocation_t locationType, unsigned long long* count) {
  if (locationType >= NVML_MEMORY_LOCATION_COUNT) return NVML_ERROR_INVALID_ARGUMENT;
  return give_no_errors(device, errorType, counterType, count);
}

nvmlReturn_t nvmlDeviceGetComputeMode(nvmlDevice_t device, nvmlComputeMode_t* mode) {
  return on_device(device, [&](const ObservedDevice&) { return give(mode, NVML_COMPUTEMODE_DEFAULT); });
}
nvmlReturn_t nvmlDeviceGetVirtualizationMode(nvmlDevice_t device, nvmlGpuVirtualizationMode_t* pVirtualMode) {
  return on_device(
      device, [&](const ObservedDevice&) { return give(pVirtualMode, NVML_GPU_VIRTUALIZATION_MODE_NONE); });
}

// No MIG: nvmlDeviceGetMigMode is not supported, and no handle is one of a MIG device.
nvmlReturn_t nvmlDeviceIsMigDeviceHandle(nvmlDevice_t device, unsigned int* isMigDevice) {
  return on_device(device, [&](const ObservedDevice&) { return give(isMigDevice, 0); });
}
nvmlReturn_t nvmlDeviceGetMaxMigDeviceCount(nvmlDevice_t device, unsigned int* count) {
  return on_device(device, [&](const ObservedDevice&) { return give(count, 0); });
}

nvmlReturn_t nvmlGpmQueryDeviceSupport(nvmlDevice_t device, nvmlGpmSupport_t* gpmSupport) {
  return on_device(device, [&](const ObservedDevice&) {
    if (gpmSupport == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
    gpmSupport->isSupportedDevice = 0;
    return NVML_SUCCESS;
  });
}

nvmlReturn_t nvmlDeviceGetSupportedEventTypes(nvmlDevice_t device, unsigned long long* eventTypes) {
  return on_device(device, [&](const ObservedDevice&) { return give(eventTypes, 0); });
}

nvmlReturn_t nvmlDeviceRegisterEvents(nvmlDevice_t device, unsigned long long eventTypes,
                                      nvmlEventSet_t eventSet) {
  return on_device(device, [&](const ObservedDevice&) {
    if (eventSet == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
    return eventTypes == 0 ? NVML_SUCCESS : NVML_ERROR_NOT_SUPPORTED;
  });
}

nvmlReturn_t nvmlEventSetCreate(nvmlEventSet_t* eventSet) {
  return nvml_guarded([&]() -> nvmlReturn_t {
    unsigned int count = 0;
    const nvmlReturn_t result = Observer::instance().count(&count);
    if (result != NVML_SUCCESS) return result;
    return give(eventSet, reinterpret_cast<nvmlEventSet_t>(&event_set));
  });
}

nvmlReturn_t nvmlEventSetFree(nvmlEventSet_t eventSet) {
  return eventSet != nullptr ? NVML_SUCCESS : NVML_ERROR_INVALID_ARGUMENT;
}

nvmlReturn_t nvmlEventSetWait(nvmlEventSet_t eventSet, nvmlEventData_t* data, unsigned int timeoutms) {
  return wait_for_event(eventSet, data, timeoutms);
}
nvmlReturn_t nvmlEventSetWait_v2(nvmlEventSet_t eventSet, nvmlEventData_t* data, unsigned int timeoutms) {
  return wait_for_event(eventSet, data, timeoutms);
}

}  // extern "C"

// Modes that are what they are.
#include "softgpu/nvml/entry.h"

namespace tessera::softgpu {
namespace {

nvmlReturn_t give_mode(nvmlDevice_t handle, nvmlEnableState_t* target, nvmlEnableState_t mode) {
  return on_device(handle, [&](const ObservedDevice&) { return give(target, mode); });
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

}  // extern "C"

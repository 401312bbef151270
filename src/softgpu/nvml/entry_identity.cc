// Which device it is, and what it is.
#include <algorithm>
#include <string>

#include "softgpu/nvml/entry.h"

namespace tessera::softgpu {
namespace {

// No device has a vendor of its own: the subsystem is the device.
nvmlReturn_t give_pci_info(nvmlDevice_t handle, nvmlPciInfo_t* pci, bool with_bus_id) {
  return on_device(handle, [&](const ObservedDevice& device) {
    if (pci == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
    snprintf(pci->busIdLegacy, sizeof pci->busIdLegacy, "%s", format_pci(device.pci).c_str());
    pci->domain = device.pci.domain;
    pci->bus = device.pci.bus;
    pci->device = device.pci.device;
    pci->pciDeviceId = device.model->pci_device_id;
    pci->pciSubSystemId = device.model->pci_device_id;
    // The structure of the first version ends before this member.
    if (with_bus_id) snprintf(pci->busId, sizeof pci->busId, "%s", format_pci(device.pci, 8).c_str());
    return NVML_SUCCESS;
  });
}

nvmlBrandType_t brand_of(const DeviceModel& model) {
  switch (model.brand) {
    case Brand::kTesla:
      return NVML_BRAND_TESLA;
    case Brand::kDataCentre:
      return NVML_BRAND_NVIDIA;
    case Brand::kGeForceRtx:
      return NVML_BRAND_GEFORCE_RTX;
    case Brand::kNone:
      break;
  }
  return NVML_BRAND_UNKNOWN;
}

unsigned int architecture_of(const DeviceModel& model) {
  if (model.brand == Brand::kNone) return NVML_DEVICE_ARCH_UNKNOWN;
  switch (model.compute_major * 10 + model.compute_minor) {
    case 75:
      return NVML_DEVICE_ARCH_TURING;
    case 80:
    case 86:
      return NVML_DEVICE_ARCH_AMPERE;
    case 89:
      return NVML_DEVICE_ARCH_ADA;
    case 90:
      return NVML_DEVICE_ARCH_HOPPER;
    default:
      return NVML_DEVICE_ARCH_UNKNOWN;
  }
}

}  // namespace
}  // namespace tessera::softgpu

using namespace tessera::softgpu;  // NOLINT(google-build-using-namespace): the definitions below are C
                                   // functions

extern "C" {

nvmlReturn_t nvmlDeviceGetIndex(nvmlDevice_t device, unsigned int* index) {
  return on_device(device, [&](const ObservedDevice& found) { return give(index, unsigned(found.index)); });
}

nvmlReturn_t nvmlDeviceGetMinorNumber(nvmlDevice_t device, unsigned int* minorNumber) {
  return nvmlDeviceGetIndex(device, minorNumber);
}

nvmlReturn_t nvmlDeviceGetModuleId(nvmlDevice_t device, unsigned int* moduleId) {
  return nvmlDeviceGetIndex(device, moduleId);
}

nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t device, char* name, unsigned int length) {
  return on_device(device,
                   [&](const ObservedDevice& found) { return give_text(found.model->name, name, length); });
}

nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t device, char* uuid, unsigned int length) {
  return on_device(
      device, [&](const ObservedDevice& found) { return give_text(format_uuid(found.uuid), uuid, length); });
}

nvmlReturn_t nvmlDeviceGetSerial(nvmlDevice_t device, char* serial, unsigned int length) {
  return on_device(device,
                   [&](const ObservedDevice& found) { return give_text(serial_of(found), serial, length); });
}

nvmlReturn_t nvmlDeviceGetBrand(nvmlDevice_t device, nvmlBrandType_t* type) {
  return on_device(device, [&](const ObservedDevice& found) { return give(type, brand_of(*found.model)); });
}

nvmlReturn_t nvmlDeviceGetArchitecture(nvmlDevice_t device, unsigned int* arch) {
  return on_device(device,
                   [&](const ObservedDevice& found) { return give(arch, architecture_of(*found.model)); });
}

nvmlReturn_t nvmlDeviceGetCudaComputeCapability(nvmlDevice_t device, int* major, int* minor) {
  return on_device(device, [&](const ObservedDevice& found) {
    if (major == nullptr || minor == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
    *major = found.model->compute_major;
    *minor = found.model->compute_minor;
    return NVML_SUCCESS;
  });
}

nvmlReturn_t nvmlDeviceGetNumGpuCores(nvmlDevice_t device, unsigned int* numCores) {
  return on_device_in_use(device, [&](const ObservedDevice& found, const DeviceUse& use) {
    return give(numCores, found.model->cores_per_sm * static_cast<unsigned int>(use.sm_count));
  });
}

// NVIDIA's answers for MIG devices only; here every device tells how many multiprocessors it has.
nvmlReturn_t nvmlDeviceGetAttributes_v2(nvmlDevice_t device, nvmlDeviceAttributes_t* attributes) {
  return on_device_in_use(device, [&](const ObservedDevice&, const DeviceUse& use) {
    nvmlDeviceAttributes_t found{};
    found.multiprocessorCount = static_cast<unsigned int>(use.sm_count);
    found.memorySizeMB = use.capacity_bytes >> 20;
    return give(attributes, found);
  });
}

nvmlReturn_t nvmlDeviceGetMemoryBusWidth(nvmlDevice_t device, unsigned int* busWidth) {
  return on_device(device,
                   [&](const ObservedDevice& found) { return give(busWidth, found.model->memory_bus_bits); });
}

nvmlReturn_t nvmlDeviceGetBusType(nvmlDevice_t device, unsigned int* type) {
  return on_device(device, [&](const ObservedDevice&) { return give(type, NVML_BUS_TYPE_UNKNOWN); });
}

nvmlReturn_t nvmlDeviceGetPciInfo(nvmlDevice_t device, nvmlPciInfo_t* pci) {
  return give_pci_info(device, pci, false);
}
nvmlReturn_t nvmlDeviceGetPciInfo_v2(nvmlDevice_t device, nvmlPciInfo_t* pci) {
  return give_pci_info(device, pci, false);
}
nvmlReturn_t nvmlDeviceGetPciInfo_v3(nvmlDevice_t device, nvmlPciInfo_t* pci) {
  return give_pci_info(device, pci, true);
}

nvmlReturn_t nvmlDeviceGetPciInfoExt(nvmlDevice_t device, nvmlPciInfoExt_v1_t* pci) {
  return on_device(device, [&](const ObservedDevice& found) {
    if (pci == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
    if (pci->version != nvml_struct_version<nvmlPciInfoExt_v1_t>(1))
      return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    constexpr unsigned int kDisplayController = 3, k3dController = 2;  // PCI classes
    pci->domain = found.pci.domain;
    pci->bus = found.pci.bus;
    pci->device = found.pci.device;
    pci->pciDeviceId = found.model->pci_device_id;
    pci->pciSubSystemId = found.model->pci_device_id;
    pci->baseClass = kDisplayController;
    pci->subClass = k3dController;
    snprintf(pci->busId, sizeof pci->busId, "%s", format_pci(found.pci, 8).c_str());
    return NVML_SUCCESS;
  });
}

nvmlReturn_t nvmlDeviceGetBoardId(nvmlDevice_t device, unsigned int* boardId) {
  return on_device(device, [&](const ObservedDevice& found) { return give(boardId, found.pci.bus << 8); });
}

nvmlReturn_t nvmlDeviceGetMultiGpuBoard(nvmlDevice_t device, unsigned int* multiGpuBool) {
  return on_device(device, [&](const ObservedDevice&) { return give(multiGpuBool, 0); });
}

}  // extern "C"

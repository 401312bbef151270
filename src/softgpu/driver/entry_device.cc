// Devices and what they are: cuDevice*, but for contexts, memory pools and graphs.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string>

#include "cuda/abi.h"
#include "softgpu/device/pci.h"
#include "softgpu/driver/array_shape.h"
#include "softgpu/driver/device.h"
#include "softgpu/driver/device_facts.h"
#include "softgpu/driver/entry.h"
#include "softgpu/driver/texture_limits.h"

namespace tessera::softgpu {
namespace {

// Runs `body(Device&)` for a device that exists.
template <typename Body>
CUresult on_device(CUdevice ordinal, Body&& body) noexcept {
  return guarded([&]() -> CUresult {
    Device* device = nullptr;
    const CUresult result = find_device(ordinal, &device);
    return result == CUDA_SUCCESS ? body(*device) : result;
  });
}

// A text into the caller's buffer, cut where it is too long, always ended.
CUresult give_text(const std::string& text, char* buffer, int size) {
  if (buffer == nullptr || size <= 0) return CUDA_ERROR_INVALID_VALUE;
  snprintf(buffer, static_cast<size_t>(size), "%s", text.c_str());
  return CUDA_SUCCESS;
}

CUresult give_uuid(CUuuid* uuid, CUdevice dev) {
  return on_device(dev, [&](Device& device) {
    if (uuid == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const DeviceUuid bytes = device.uuid();
    static_assert(sizeof(CUuuid) == sizeof(DeviceUuid));
    memcpy(uuid, bytes.data(), bytes.size());
    return CUDA_SUCCESS;
  });
}

}  // namespace
}  // namespace tessera::softgpu

using namespace tessera::softgpu;  // NOLINT(google-build-using-namespace): the definitions below are C
                                   // functions

extern "C" {

CUresult cuDeviceGet(CUdevice* device, int ordinal) {
  return on_device(ordinal, [&](Device& found) {
    if (device == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *device = found.ordinal();
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceGetCount(int* count) {
  return initialised([&] {
    if (count == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *count = static_cast<int>(devices().size());
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceGetName(char* name, int len, CUdevice dev) {
  return on_device(dev, [&](Device& device) { return give_text(model_of(device.config()).name, name, len); });
}

CUresult cuDeviceGetUuid(CUuuid* uuid, CUdevice dev) { return give_uuid(uuid, dev); }
CUresult cuDeviceGetUuid_v2(CUuuid* uuid, CUdevice dev) { return give_uuid(uuid, dev); }

CUresult cuDeviceTotalMem_v2(size_t* bytes, CUdevice dev) {
  return on_device(dev, [&](Device& device) {
    if (bytes == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *bytes = device.total_memory();
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceTotalMem(unsigned int* bytes, CUdevice dev) {
  return on_device(dev, [&](Device& device) {
    if (bytes == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *bytes = static_cast<unsigned int>(std::min<uint64_t>(device.total_memory(), 0xffffffff));
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceGetAttribute(int* pi, CUdevice_attribute attrib, CUdevice dev) {
  return on_device(dev, [&](Device& device) {
    const auto value = device_attribute(attrib, facts_of(device));
    if (pi == nullptr || !value) return CUDA_ERROR_INVALID_VALUE;
    *pi = *value;
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceGetProperties(CUdevprop* prop, CUdevice dev) {
  return on_device(dev, [&](Device& device) {
    if (prop == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const DeviceFacts facts = facts_of(device);
    auto attribute = [&](CUdevice_attribute which) { return *device_attribute(which, facts); };
    *prop = {
        .maxThreadsPerBlock = attribute(CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK),
        .maxThreadsDim = {attribute(CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X),
                          attribute(CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y),
                          attribute(CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z)},
        .maxGridSize = {attribute(CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X),
                        attribute(CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y),
                        attribute(CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z)},
        .sharedMemPerBlock = attribute(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK),
        .totalConstantMemory = attribute(CU_DEVICE_ATTRIBUTE_TOTAL_CONSTANT_MEMORY),
        .SIMDWidth = attribute(CU_DEVICE_ATTRIBUTE_WARP_SIZE),
        .memPitch = attribute(CU_DEVICE_ATTRIBUTE_MAX_PITCH),
        .regsPerBlock = attribute(CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK),
        .clockRate = attribute(CU_DEVICE_ATTRIBUTE_CLOCK_RATE),
        .textureAlign = attribute(CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT),
    };
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceComputeCapability(int* major, int* minor, CUdevice dev) {
  return on_device(dev, [&](Device& device) {
    if (major == nullptr || minor == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *major = model_of(device.config()).compute_major;
    *minor = model_of(device.config()).compute_minor;
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceGetByPCIBusId(CUdevice* dev, const char* pciBusId) {
  return initialised([&] {
    if (dev == nullptr || pciBusId == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const auto address = parse_pci(pciBusId);
    if (!address) return CUDA_ERROR_INVALID_VALUE;
    for (const Device* device : devices()) {
      if (pci_address(device->physical_index()) != *address) continue;
      *dev = device->ordinal();
      return CUDA_SUCCESS;
    }
    return CUDA_ERROR_INVALID_DEVICE;
  });
}

CUresult cuDeviceGetPCIBusId(char* pciBusId, int len, CUdevice dev) {
  return on_device(dev, [&](Device& device) {
    return give_text(format_pci(pci_address(device.physical_index())), pciBusId, len);
  });
}

CUresult cuDeviceGetExecAffinitySupport(int* pi, CUexecAffinityType type, CUdevice dev) {
  return on_device(dev, [&](Device&) {
    if (pi == nullptr || type >= CU_EXEC_AFFINITY_TYPE_MAX) return CUDA_ERROR_INVALID_VALUE;
    *pi = 0;
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceGetTexture1DLinearMaxWidth(size_t* maxWidthInElements, CUarray_format format,
                                            unsigned int numChannels, CUdevice dev) {
  return on_device(dev, [&](Device&) {
    if (maxWidthInElements == nullptr || texel_bytes(format, numChannels) == 0)
      return CUDA_ERROR_INVALID_VALUE;
    *maxWidthInElements = kMaxTexture1DLinear;
    return CUDA_SUCCESS;
  });
}

}  // extern "C"

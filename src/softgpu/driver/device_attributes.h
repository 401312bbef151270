// What a software device answers to cuDeviceGetAttribute. It tells the truth about this version: what is not
// built is 0, whatever the card that a model is named after can do.
#pragma once

#include <optional>

#include "cuda/abi.h"
#include "softgpu/device/model.h"
#include "softgpu/device/pci.h"

namespace tessera::softgpu {

struct DeviceFacts {
  const DeviceModel* model = nullptr;
  int sm_count = 0;
  PciAddress pci;
};

// Nothing for an attribute that CUDA 13.0 does not define.
std::optional<int> device_attribute(CUdevice_attribute attribute, const DeviceFacts& facts);

}  // namespace tessera::softgpu

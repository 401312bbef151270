// The facts that a device's attributes are made of.
#pragma once

#include "softgpu/device/model.h"
#include "softgpu/device/pci.h"
#include "softgpu/driver/device.h"
#include "softgpu/driver/device_attributes.h"

namespace tessera::softgpu {

inline DeviceFacts facts_of(const Device& device) {
  return {&model_of(device.config()), device.sm_count(), pci_address(device.physical_index())};
}

}  // namespace tessera::softgpu

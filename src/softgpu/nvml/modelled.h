// Figures of hardware that a software device does not have. They are MODELLED, not measured: a formula of the
// model and of the device's utilisation, here so that tools that show, log or alert on them can be tried.
//
//   power         idle + (limit - idle) * utilisation
//   temperature   idle + (full - idle) * utilisation; no inertia
//   clocks        the model's while anything ran in the window, a fifth of them otherwise
//   state         P0 and P8 likewise
//   energy        idle * time since the machine started + (limit - idle) * busy time of the SMs / number of
//   SMs
#pragma once

#include <cstdint>

#include "softgpu/device/device_file.h"
#include "softgpu/device/model.h"

namespace tessera::softgpu {

uint32_t modelled_power_mw(const DeviceModel& model, uint32_t percent);
uint32_t modelled_celsius(const DeviceModel& model, uint32_t percent);
uint32_t modelled_clock_mhz(uint32_t full_khz, uint32_t percent);
uint64_t modelled_energy_mj(const DeviceModel& model, uint64_t up_ns, uint64_t busy_ns, int sm_count);

}  // namespace tessera::softgpu

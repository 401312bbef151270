#include "softgpu/nvml/modelled.h"

#include <algorithm>

namespace tessera::softgpu {
namespace {

constexpr uint32_t kIdleClockDivisor = 5;
constexpr uint64_t kNsPerMs = 1'000'000;

uint32_t between(uint32_t idle, uint32_t full, uint32_t percent) {
  return idle + static_cast<uint32_t>(uint64_t{full - idle} * std::min(percent, 100u) / 100);
}

// Milliwatts over nanoseconds, in millijoules.
uint64_t energy_mj(uint64_t mw, uint64_t ns) { return mw * (ns / kNsPerMs) / 1000; }

}  // namespace

uint32_t modelled_power_mw(const DeviceModel& model, uint32_t percent) {
  return between(model.idle_mw, model.limit_mw, percent);
}

uint32_t modelled_celsius(const DeviceModel& model, uint32_t percent) {
  return between(model.idle_celsius, model.full_celsius, percent);
}

uint32_t modelled_clock_mhz(uint32_t full_khz, uint32_t percent) {
  return full_khz / 1000 / (percent > 0 ? 1 : kIdleClockDivisor);
}

uint64_t modelled_energy_mj(const DeviceModel& model, uint64_t up_ns, uint64_t busy_ns, int sm_count) {
  return energy_mj(model.idle_mw, up_ns) +
         energy_mj(model.limit_mw - model.idle_mw, busy_ns / static_cast<uint64_t>(std::max(sm_count, 1)));
}

}  // namespace tessera::softgpu

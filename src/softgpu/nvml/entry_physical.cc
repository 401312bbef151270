// Clocks, power and temperature. All of these are MODELLED from utilisation by the formulas in modelled.h; a
// software device has none of them. Limits and maxima are the model's figures.
#include "common/clock.h"
#include "softgpu/nvml/entry.h"
#include "softgpu/nvml/modelled.h"

namespace tessera::softgpu {
namespace {

// Runs `body(const DeviceModel&, utilisation in percent)`.
template <typename Body>
nvmlReturn_t with_utilisation(nvmlDevice_t handle, Body&& body) {
  return on_device_in_use(handle, [&](const ObservedDevice& device, const DeviceUse& use) {
    return body(*device.model, utilisation_percent(use.window_busy_ns, use));
  });
}

// 0 for a clock that does not exist.
uint32_t full_khz(const DeviceModel& model, nvmlClockType_t type) {
  switch (type) {
    case NVML_CLOCK_GRAPHICS:
    case NVML_CLOCK_SM:
    case NVML_CLOCK_VIDEO:
      return model.clock_khz;
    case NVML_CLOCK_MEM:
      return model.memory_clock_khz;
  }
  return 0;
}

nvmlReturn_t give_current_clock(nvmlDevice_t handle, nvmlClockType_t type, unsigned int* mhz) {
  return on_device_in_use(handle, [&](const ObservedDevice& device, const DeviceUse& use) {
    const uint32_t khz = full_khz(*device.model, type);
    if (khz == 0) return NVML_ERROR_INVALID_ARGUMENT;
    const uint32_t clock = modelled_clock_mhz(khz, utilisation_percent(use.window_busy_ns, use));
    // A slowed device runs at a lower clock; memory is not slowed.
    const bool slowed = is_slow(use.health) && type != NVML_CLOCK_MEM;
    return give(mhz, slowed ? clock * 1000 / use.health.slow_permille : clock);
  });
}

nvmlReturn_t give_full_clock(nvmlDevice_t handle, nvmlClockType_t type, unsigned int* mhz) {
  return on_device(handle, [&](const ObservedDevice& device) {
    const uint32_t khz = full_khz(*device.model, type);
    return khz != 0 ? give(mhz, khz / 1000) : NVML_ERROR_INVALID_ARGUMENT;
  });
}

// A list of one.
nvmlReturn_t give_only_clock(uint32_t khz, unsigned int* count, unsigned int* clocks) {
  if (count == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  const unsigned int room = clocks != nullptr ? *count : 0;
  *count = 1;
  if (room < 1) return NVML_ERROR_INSUFFICIENT_SIZE;
  clocks[0] = khz / 1000;
  return NVML_SUCCESS;
}

unsigned long long slow_reasons(const Health& health) {
  if (!is_slow(health)) return nvmlClocksEventReasonNone;
  const bool power = health.slow_reason == static_cast<uint32_t>(SlowReason::kPower);
  return nvmlClocksThrottleReasonHwSlowdown |
         (power ? nvmlClocksThrottleReasonHwPowerBrakeSlowdown : nvmlClocksThrottleReasonHwThermalSlowdown);
}

nvmlReturn_t give_event_reasons(nvmlDevice_t handle, unsigned long long* reasons) {
  return on_device_in_use(handle, [&](const ObservedDevice&, const DeviceUse& use) {
    const bool idle = utilisation_percent(use.window_busy_ns, use) == 0;
    return give(reasons,
                slow_reasons(use.health) | (idle ? nvmlClocksEventReasonGpuIdle : nvmlClocksEventReasonNone));
  });
}

nvmlReturn_t give_supported_reasons(nvmlDevice_t handle, unsigned long long* reasons) {
  return on_device(handle, [&](const ObservedDevice&) {
    return give(reasons, nvmlClocksEventReasonGpuIdle | nvmlClocksThrottleReasonHwSlowdown |
                             nvmlClocksThrottleReasonHwThermalSlowdown |
                             nvmlClocksThrottleReasonHwPowerBrakeSlowdown);
  });
}

nvmlReturn_t give_state(nvmlDevice_t handle, nvmlPstates_t* state) {
  return with_utilisation(handle, [&](const DeviceModel&, uint32_t percent) {
    return give(state, percent > 0 ? NVML_PSTATE_0 : NVML_PSTATE_8);
  });
}

nvmlReturn_t give_power_limit(nvmlDevice_t handle, unsigned int* limit) {
  return on_device(handle, [&](const ObservedDevice& device) { return give(limit, device.model->limit_mw); });
}

uint64_t energy_of(const ObservedDevice& device, const DeviceUse& use) {
  return modelled_energy_mj(*device.model, tessera::monotonic_ns(), use.busy_ns, use.sm_count);
}

// One field; the result goes with it.
void fill_field(const ObservedDevice& device, const DeviceUse& use, nvmlFieldValue_t* field) {
  field->nvmlReturn = NVML_SUCCESS;
  field->timestamp = static_cast<long long>(tessera::wall_ns() / 1000);
  field->latencyUsec = 0;
  field->valueType = NVML_VALUE_TYPE_UNSIGNED_INT;
  field->value.ullVal = 0;
  switch (field->fieldId) {
    case NVML_FI_DEV_ECC_CURRENT:
    case NVML_FI_DEV_ECC_PENDING:
      field->value.uiVal = device.model->ecc ? 1 : 0;
      break;
    case NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION:
      field->valueType = NVML_VALUE_TYPE_UNSIGNED_LONG_LONG;
      field->value.ullVal = energy_of(device, use);
      break;
    case NVML_FI_DEV_POWER_AVERAGE:
    case NVML_FI_DEV_POWER_INSTANT:
      field->value.uiVal = modelled_power_mw(*device.model, utilisation_percent(use.window_busy_ns, use));
      break;
    default:
      field->nvmlReturn = NVML_ERROR_NOT_SUPPORTED;
      break;
  }
}

}  // namespace
}  // namespace tessera::softgpu

using namespace tessera::softgpu;  // NOLINT(google-build-using-namespace): the definitions below are C
                                   // functions

extern "C" {

nvmlReturn_t nvmlDeviceGetClockInfo(nvmlDevice_t device, nvmlClockType_t type, unsigned int* clock) {
  return give_current_clock(device, type, clock);
}

nvmlReturn_t nvmlDeviceGetMaxClockInfo(nvmlDevice_t device, nvmlClockType_t type, unsigned int* clock) {
  return give_full_clock(device, type, clock);
}

nvmlReturn_t nvmlDeviceGetApplicationsClock(nvmlDevice_t device, nvmlClockType_t clockType,
                                            unsigned int* clockMHz) {
  return give_full_clock(device, clockType, clockMHz);
}

nvmlReturn_t nvmlDeviceGetDefaultApplicationsClock(nvmlDevice_t device, nvmlClockType_t clockType,
                                                   unsigned int* clockMHz) {
  return give_full_clock(device, clockType, clockMHz);
}

nvmlReturn_t nvmlDeviceGetMaxCustomerBoostClock(nvmlDevice_t device, nvmlClockType_t clockType,
                                                unsigned int* clockMHz) {
  return give_full_clock(device, clockType, clockMHz);
}

nvmlReturn_t nvmlDeviceGetClock(nvmlDevice_t device, nvmlClockType_t clockType, nvmlClockId_t clockId,
                                unsigned int* clockMHz) {
  if (clockId > NVML_CLOCK_ID_CUSTOMER_BOOST_MAX) return NVML_ERROR_INVALID_ARGUMENT;
  return clockId == NVML_CLOCK_ID_CURRENT ? give_current_clock(device, clockType, clockMHz)
                                          : give_full_clock(device, clockType, clockMHz);
}

nvmlReturn_t nvmlDeviceGetSupportedMemoryClocks(nvmlDevice_t device, unsigned int* count,
                                                unsigned int* clocksMHz) {
  return on_device(device, [&](const ObservedDevice& found) {
    return give_only_clock(found.model->memory_clock_khz, count, clocksMHz);
  });
}

nvmlReturn_t nvmlDeviceGetSupportedGraphicsClocks(nvmlDevice_t device, unsigned int memoryClockMHz,
                                                  unsigned int* count, unsigned int* clocksMHz) {
  return on_device(device, [&](const ObservedDevice& found) {
    if (memoryClockMHz != found.model->memory_clock_khz / 1000) return NVML_ERROR_NOT_FOUND;
    return give_only_clock(found.model->clock_khz, count, clocksMHz);
  });
}

nvmlReturn_t nvmlDeviceGetCurrentClocksEventReasons(nvmlDevice_t device,
                                                    unsigned long long* clocksEventReasons) {
  return give_event_reasons(device, clocksEventReasons);
}
nvmlReturn_t nvmlDeviceGetCurrentClocksThrottleReasons(nvmlDevice_t device,
                                                       unsigned long long* clocksThrottleReasons) {
  return give_event_reasons(device, clocksThrottleReasons);
}
nvmlReturn_t nvmlDeviceGetSupportedClocksEventReasons(nvmlDevice_t device,
                                                      unsigned long long* supportedClocksEventReasons) {
  return give_supported_reasons(device, supportedClocksEventReasons);
}
nvmlReturn_t nvmlDeviceGetSupportedClocksThrottleReasons(nvmlDevice_t device,
                                                         unsigned long long* supportedClocksThrottleReasons) {
  return give_supported_reasons(device, supportedClocksThrottleReasons);
}

nvmlReturn_t nvmlDeviceGetPerformanceState(nvmlDevice_t device, nvmlPstates_t* pState) {
  return give_state(device, pState);
}
nvmlReturn_t nvmlDeviceGetPowerState(nvmlDevice_t device, nvmlPstates_t* pState) {
  return give_state(device, pState);
}

nvmlReturn_t nvmlDeviceGetPowerUsage(nvmlDevice_t device, unsigned int* power) {
  return with_utilisation(device, [&](const DeviceModel& model, uint32_t percent) {
    return give(power, modelled_power_mw(model, percent));
  });
}

nvmlReturn_t nvmlDeviceGetTotalEnergyConsumption(nvmlDevice_t device, unsigned long long* energy) {
  return on_device_in_use(device, [&](const ObservedDevice& found, const DeviceUse& use) {
    return give(energy, energy_of(found, use));
  });
}

// The limit is shown, nothing enforces it.
nvmlReturn_t nvmlDeviceGetPowerManagementMode(nvmlDevice_t device, nvmlEnableState_t* mode) {
  return on_device(device, [&](const ObservedDevice&) { return give(mode, NVML_FEATURE_DISABLED); });
}
nvmlReturn_t nvmlDeviceGetPowerManagementLimit(nvmlDevice_t device, unsigned int* limit) {
  return give_power_limit(device, limit);
}
nvmlReturn_t nvmlDeviceGetPowerManagementDefaultLimit(nvmlDevice_t device, unsigned int* defaultLimit) {
  return give_power_limit(device, defaultLimit);
}
nvmlReturn_t nvmlDeviceGetEnforcedPowerLimit(nvmlDevice_t device, unsigned int* limit) {
  return give_power_limit(device, limit);
}
nvmlReturn_t nvmlDeviceGetPowerManagementLimitConstraints(nvmlDevice_t device, unsigned int* minLimit,
                                                          unsigned int* maxLimit) {
  const nvmlReturn_t result = give_power_limit(device, minLimit);
  return result == NVML_SUCCESS ? give_power_limit(device, maxLimit) : result;
}

nvmlReturn_t nvmlDeviceGetTemperature(nvmlDevice_t device, nvmlTemperatureSensors_t sensorType,
                                      unsigned int* temp) {
  return with_utilisation(device, [&](const DeviceModel& model, uint32_t percent) {
    if (sensorType != NVML_TEMPERATURE_GPU) return NVML_ERROR_INVALID_ARGUMENT;
    return give(temp, modelled_celsius(model, percent));
  });
}

nvmlReturn_t nvmlDeviceGetTemperatureV(nvmlDevice_t device, nvmlTemperature_v1_t* temperature) {
  if (temperature == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  if (temperature->version != nvml_struct_version<nvmlTemperature_v1_t>(1)) {
    return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
  }
  unsigned int celsius = 0;
  const nvmlReturn_t result = nvmlDeviceGetTemperature(device, temperature->sensorType, &celsius);
  if (result == NVML_SUCCESS) temperature->temperature = static_cast<int>(celsius);
  return result;
}

nvmlReturn_t nvmlDeviceGetTemperatureThreshold(nvmlDevice_t device, nvmlTemperatureThresholds_t thresholdType,
                                               unsigned int* temp) {
  return on_device(device, [&](const ObservedDevice& found) {
    switch (thresholdType) {
      case NVML_TEMPERATURE_THRESHOLD_SHUTDOWN:
        return give(temp, found.model->shutdown_celsius);
      case NVML_TEMPERATURE_THRESHOLD_SLOWDOWN:
        return give(temp, found.model->slowdown_celsius);
      case NVML_TEMPERATURE_THRESHOLD_GPU_MAX:
        return give(temp, found.model->full_celsius);
      default:
        return NVML_ERROR_NOT_SUPPORTED;
    }
  });
}

nvmlReturn_t nvmlDeviceGetNumFans(nvmlDevice_t device, unsigned int* numFans) {
  return on_device(device, [&](const ObservedDevice&) { return give(numFans, 0); });
}

nvmlReturn_t nvmlDeviceGetFieldValues(nvmlDevice_t device, int valuesCount, nvmlFieldValue_t* values) {
  return on_device_in_use(device, [&](const ObservedDevice& found, const DeviceUse& use) {
    if (valuesCount < 0 || values == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
    for (int i = 0; i < valuesCount; ++i) fill_field(found, use, &values[i]);
    return NVML_SUCCESS;
  });
}

}  // extern "C"

#include "node/gpu_sensors.h"

namespace tessera::node {
namespace {

constexpr unsigned int kMemoryTemperatureField = 82;  // NVML_FI_DEV_MEMORY_TEMP

class Reader {
 public:
  Reader(nvmlDevice_t device, SensorValues& values) : device_(device), values_(values) {}

  // A function of NVML that gives one number; null where NVML lacks it.
  template <typename Number>
  void ask(Sensor which, nvmlReturn_t (*function)(nvmlDevice_t, Number*)) {
    Number number{};
    if (function != nullptr && function(device_, &number) == NVML_SUCCESS) set(which, number);
  }
  template <typename Kind>
  void ask(Sensor which, nvmlReturn_t (*function)(nvmlDevice_t, Kind, unsigned int*), Kind kind) {
    unsigned int number = 0;
    if (function != nullptr && function(device_, kind, &number) == NVML_SUCCESS) set(which, number);
  }
  // The same, which also says over how long.
  void ask_use(Sensor which, nvmlReturn_t (*function)(nvmlDevice_t, unsigned int*, unsigned int*)) {
    unsigned int percent = 0, period_us = 0;
    if (function != nullptr && function(device_, &percent, &period_us) == NVML_SUCCESS) set(which, percent);
  }
  void set(Sensor which, uint64_t value) { values_[static_cast<size_t>(which)] = value; }

 private:
  const nvmlDevice_t device_;
  SensorValues& values_;
};

void read_memory_temperature(const cuda::NvmlTable& nvml, nvmlDevice_t device, Reader& reader) {
  nvmlFieldValue_t field{};
  field.fieldId = kMemoryTemperatureField;
  if (nvml.nvmlDeviceGetFieldValues == nullptr ||
      nvml.nvmlDeviceGetFieldValues(device, 1, &field) != NVML_SUCCESS || field.nvmlReturn != NVML_SUCCESS)
    return;
  // Cards without the sensor say 0.
  if (field.value.uiVal != 0) reader.set(Sensor::kMemoryTemperature, field.value.uiVal);
}

void read_remapped_rows(const cuda::NvmlTable& nvml, nvmlDevice_t device, Reader& reader) {
  unsigned int corrected = 0, uncorrected = 0, pending = 0, failed = 0;
  if (nvml.nvmlDeviceGetRemappedRows == nullptr ||
      nvml.nvmlDeviceGetRemappedRows(device, &corrected, &uncorrected, &pending, &failed) != NVML_SUCCESS)
    return;
  reader.set(Sensor::kCorrectedRows, corrected);
  reader.set(Sensor::kUncorrectedRows, uncorrected);
  reader.set(Sensor::kRowRemapFailed, failed);
}

}  // namespace

SensorValues read_sensors(const cuda::NvmlTable& nvml, nvmlDevice_t device) {
  SensorValues values;
  Reader reader(device, values);
  reader.ask(Sensor::kTemperature, nvml.nvmlDeviceGetTemperature, NVML_TEMPERATURE_GPU);
  read_memory_temperature(nvml, device, reader);
  reader.ask(Sensor::kPower, nvml.nvmlDeviceGetPowerUsage);
  reader.ask(Sensor::kEnergy, nvml.nvmlDeviceGetTotalEnergyConsumption);
  reader.ask(Sensor::kSmClock, nvml.nvmlDeviceGetClockInfo, NVML_CLOCK_SM);
  reader.ask(Sensor::kMemoryClock, nvml.nvmlDeviceGetClockInfo, NVML_CLOCK_MEM);
  reader.ask_use(Sensor::kEncoderBusy, nvml.nvmlDeviceGetEncoderUtilization);
  reader.ask_use(Sensor::kDecoderBusy, nvml.nvmlDeviceGetDecoderUtilization);
  reader.ask(Sensor::kPcieReplays, nvml.nvmlDeviceGetPcieReplayCounter);
  read_remapped_rows(nvml, device, reader);
  return values;
}

void add_sensors(Json& entry, const SensorValues& values) {
  for (size_t i = 0; i < kSensors; ++i) {
    if (values[i]) entry[kSensorKeys[i]] = *values[i];
  }
}

SensorValues parse_sensors(const Json& entry) {
  SensorValues values;
  for (size_t i = 0; i < kSensors; ++i) values[i] = json_uint(entry, kSensorKeys[i]);
  return values;
}

}  // namespace tessera::node

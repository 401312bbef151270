// What a GPU's driver tells of the card itself: heat, power, clocks, how busy its engines are, what wears
// out.
#pragma once

#include <array>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>

#include "common/status.h"
#include "cuda/nvml_table.h"
#include "node/json.h"

namespace tessera::node {

enum class Sensor : uint8_t {
  kTemperature,
  kMemoryTemperature,
  kPower,
  kEnergy,
  kSmClock,
  kMemoryClock,
  kMemoryBusy,
  kEncoderBusy,
  kDecoderBusy,
  kPcieReplays,
  kCorrectedRows,
  kUncorrectedRows,
  kRowRemapFailed,
};
// As answers have them.
inline constexpr const char* kSensorKeys[] = {"temperature_celsius",
                                              "memory_temperature_celsius",
                                              "power_milliwatts",
                                              "energy_millijoules",
                                              "sm_clock_mhz",
                                              "memory_clock_mhz",
                                              "memory_busy_percent",
                                              "encoder_percent",
                                              "decoder_percent",
                                              "pcie_replays",
                                              "remapped_rows_corrected",
                                              "remapped_rows_uncorrected",
                                              "row_remap_failed"};
inline constexpr size_t kSensors = std::size(kSensorKeys);

// By Sensor; empty where the driver does not tell it.
using SensorValues = std::array<std::optional<uint64_t>, kSensors>;

inline const std::optional<uint64_t>& sensor(const SensorValues& values, Sensor which) {
  return values[static_cast<size_t>(which)];
}

// All but kMemoryBusy, which comes with the GPU's utilisation.
SensorValues read_sensors(const cuda::NvmlTable& nvml, nvmlDevice_t device);

void add_sensors(Json& entry, const SensorValues& values);  // those that there are
SensorValues parse_sensors(const Json& entry);

}  // namespace tessera::node

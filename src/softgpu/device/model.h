// Device models: the figures a software device presents to programs and tools.
//
// The default model describes the software GPU itself. The others present the shape of a real card, so that
// tools and libraries that decide by such figures can be tried without one: they change what is reported and
// the limits that launches are checked against, not how fast anything runs. Neither the number of SMs nor the
// size of memory is part of a model: those are what the machine gives (config.h).
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "softgpu/device/config.h"

namespace tessera::softgpu {

enum class Brand : uint8_t { kNone, kTesla, kDataCentre, kGeForceRtx };

struct DeviceModel {
  const char* key;   // for SOFTGPU_MODEL
  const char* name;  // cuDeviceGetName, nvmlDeviceGetName
  Brand brand;
  int compute_major, compute_minor;

  uint32_t clock_khz;
  uint32_t memory_clock_khz;
  uint32_t memory_bus_bits;
  uint64_t l2_bytes;  // 0: the machine's last-level cache
  uint32_t cores_per_sm;
  uint32_t double_ratio;  // f32 operations for one f64 operation

  uint32_t threads_per_sm;
  uint32_t blocks_per_sm;
  uint32_t registers_per_sm;
  uint32_t shared_per_sm;
  uint32_t shared_per_block;           // without asking
  uint32_t shared_per_block_optin;     // with CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
  uint32_t shared_reserved_per_block;  // taken by the system
  uint32_t shared_granularity;         // shared memory is given out in multiples of it

  // Memory errors (NVIDIA's "GPU Memory Error Management"): whether memory is protected; whether an error
  // ends only the contexts that touch it; whether rows are remapped (else pages are retired).
  bool ecc, contains_errors, remaps_rows;

  uint32_t pci_device_id;  // device << 16 | vendor
  // For the modelled power and temperature (nvml/modelled.h): milliwatts, degrees Celsius.
  uint32_t idle_mw, limit_mw;
  uint32_t idle_celsius, full_celsius, slowdown_celsius, shutdown_celsius;
};

// Thread block clusters came with compute capability 9.0.
inline bool has_clusters(const DeviceModel& model) { return model.compute_major >= 9; }

// All models; the first is the default.
std::span<const DeviceModel> device_models();
// By key, upper or lower case; the default for an empty one. Null where there is none.
const DeviceModel* find_model(std::string_view key);
// Of a configuration that parse_config accepted.
const DeviceModel& model_of(const Config& config);

}  // namespace tessera::softgpu

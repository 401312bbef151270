#include "softgpu/device/model.h"

#include <strings.h>

#include <cassert>
#include <string>

namespace tessera::softgpu {
namespace {

constexpr uint32_t kKi = 1024;
constexpr uint64_t kMi = 1024 * 1024;

// Sources for the emulated cards: the tables of compute capabilities in the CUDA C++ Programming Guide,
// NVIDIA's architecture white papers, and deviceQuery and nvidia-smi as run on such cards.
constexpr DeviceModel kModels[] = {
    {
        .key = "software",
        .name = "Software GPU",
        .brand = Brand::kNone,
        // A driver runs PTX of every target up to its device's compute capability. 9.0 is the newest whose
        // plain targets (sm_75 to sm_90) hold nothing but instructions that are defined for every thread or
        // warp; so all of nvcc's default outputs load here.
        .compute_major = 9,
        .compute_minor = 0,
        .clock_khz = 1'000'000,         // %clock64 counts nanoseconds
        .memory_clock_khz = 1'600'000,  // nominal: two channels of DDR4-3200
        .memory_bus_bits = 128,
        .l2_bytes = 0,
        .cores_per_sm = 32,  // lanes of a warp
        .double_ratio = 2,
        .threads_per_sm = 2048,
        .blocks_per_sm = 32,
        .registers_per_sm = 64 * kKi,
        .shared_per_sm = 228 * kKi,
        .shared_per_block = 48 * kKi,
        .shared_per_block_optin = 227 * kKi,
        .shared_reserved_per_block = 1 * kKi,
        .shared_granularity = 128,
        .ecc = true,
        .contains_errors = true,
        .remaps_rows = true,
        .pci_device_id = 0x0001ffff,  // no vendor has 0xffff
        .idle_mw = 5'000,
        .limit_mw = 65'000,
        .idle_celsius = 35,
        .full_celsius = 75,
        .slowdown_celsius = 95,
        .shutdown_celsius = 100,
    },
    {
        .key = "T4",
        .name = "Tesla T4",
        .brand = Brand::kTesla,
        .compute_major = 7,
        .compute_minor = 5,
        .clock_khz = 1'590'000,
        .memory_clock_khz = 5'001'000,
        .memory_bus_bits = 256,
        .l2_bytes = 4 * kMi,
        .cores_per_sm = 64,
        .double_ratio = 32,
        .threads_per_sm = 1024,
        .blocks_per_sm = 16,
        .registers_per_sm = 64 * kKi,
        .shared_per_sm = 64 * kKi,
        .shared_per_block = 48 * kKi,
        .shared_per_block_optin = 64 * kKi,
        .shared_reserved_per_block = 0,
        .shared_granularity = 256,
        .ecc = true,
        .contains_errors = false,
        .remaps_rows = false,
        .pci_device_id = 0x1eb810de,
        .idle_mw = 9'000,
        .limit_mw = 70'000,
        .idle_celsius = 35,
        .full_celsius = 75,
        .slowdown_celsius = 93,
        .shutdown_celsius = 96,
    },
    {
        .key = "A100-40",
        .name = "NVIDIA A100-SXM4-40GB",
        .brand = Brand::kDataCentre,
        .compute_major = 8,
        .compute_minor = 0,
        .clock_khz = 1'410'000,
        .memory_clock_khz = 1'215'000,
        .memory_bus_bits = 5120,
        .l2_bytes = 40 * kMi,
        .cores_per_sm = 64,
        .double_ratio = 2,
        .threads_per_sm = 2048,
        .blocks_per_sm = 32,
        .registers_per_sm = 64 * kKi,
        .shared_per_sm = 164 * kKi,
        .shared_per_block = 48 * kKi,
        .shared_per_block_optin = 163 * kKi,
        .shared_reserved_per_block = 1 * kKi,
        .shared_granularity = 128,
        .ecc = true,
        .contains_errors = true,
        .remaps_rows = true,
        .pci_device_id = 0x20b010de,
        .idle_mw = 50'000,
        .limit_mw = 400'000,
        .idle_celsius = 30,
        .full_celsius = 70,
        .slowdown_celsius = 89,
        .shutdown_celsius = 92,
    },
    {
        .key = "A100-80",
        .name = "NVIDIA A100-SXM4-80GB",
        .brand = Brand::kDataCentre,
        .compute_major = 8,
        .compute_minor = 0,
        .clock_khz = 1'410'000,
        .memory_clock_khz = 1'593'000,
        .memory_bus_bits = 5120,
        .l2_bytes = 40 * kMi,
        .cores_per_sm = 64,
        .double_ratio = 2,
        .threads_per_sm = 2048,
        .blocks_per_sm = 32,
        .registers_per_sm = 64 * kKi,
        .shared_per_sm = 164 * kKi,
        .shared_per_block = 48 * kKi,
        .shared_per_block_optin = 163 * kKi,
        .shared_reserved_per_block = 1 * kKi,
        .shared_granularity = 128,
        .ecc = true,
        .contains_errors = true,
        .remaps_rows = true,
        .pci_device_id = 0x20b210de,
        .idle_mw = 60'000,
        .limit_mw = 400'000,
        .idle_celsius = 30,
        .full_celsius = 70,
        .slowdown_celsius = 89,
        .shutdown_celsius = 92,
    },
    {
        .key = "H100-80",
        .name = "NVIDIA H100 80GB HBM3",
        .brand = Brand::kDataCentre,
        .compute_major = 9,
        .compute_minor = 0,
        .clock_khz = 1'980'000,
        .memory_clock_khz = 2'619'000,
        .memory_bus_bits = 5120,
        .l2_bytes = 50 * kMi,
        .cores_per_sm = 128,
        .double_ratio = 2,
        .threads_per_sm = 2048,
        .blocks_per_sm = 32,
        .registers_per_sm = 64 * kKi,
        .shared_per_sm = 228 * kKi,
        .shared_per_block = 48 * kKi,
        .shared_per_block_optin = 227 * kKi,
        .shared_reserved_per_block = 1 * kKi,
        .shared_granularity = 128,
        .ecc = true,
        .contains_errors = true,
        .remaps_rows = true,
        .pci_device_id = 0x233010de,
        .idle_mw = 70'000,
        .limit_mw = 700'000,
        .idle_celsius = 30,
        .full_celsius = 70,
        .slowdown_celsius = 89,
        .shutdown_celsius = 92,
    },
    {
        .key = "RTX4090",
        .name = "NVIDIA GeForce RTX 4090",
        .brand = Brand::kGeForceRtx,
        .compute_major = 8,
        .compute_minor = 9,
        .clock_khz = 2'520'000,
        .memory_clock_khz = 10'501'000,
        .memory_bus_bits = 384,
        .l2_bytes = 72 * kMi,
        .cores_per_sm = 128,
        .double_ratio = 64,
        .threads_per_sm = 1536,
        .blocks_per_sm = 24,
        .registers_per_sm = 64 * kKi,
        .shared_per_sm = 100 * kKi,
        .shared_per_block = 48 * kKi,
        .shared_per_block_optin = 99 * kKi,
        .shared_reserved_per_block = 1 * kKi,
        .shared_granularity = 128,
        .ecc = false,  // switched off as delivered
        .contains_errors = false,
        .remaps_rows = false,
        .pci_device_id = 0x268410de,
        .idle_mw = 20'000,
        .limit_mw = 450'000,
        .idle_celsius = 35,
        .full_celsius = 75,
        .slowdown_celsius = 97,
        .shutdown_celsius = 100,
    },
};

}  // namespace

std::span<const DeviceModel> device_models() { return kModels; }

const DeviceModel* find_model(std::string_view key) {
  if (key.empty()) return &kModels[0];
  const std::string wanted(key);
  for (const DeviceModel& model : kModels) {
    if (strcasecmp(model.key, wanted.c_str()) == 0) return &model;
  }
  return nullptr;
}

const DeviceModel& model_of(const Config& config) {
  const DeviceModel* model = find_model(config.model);
  assert(model != nullptr);
  return *model;
}

}  // namespace tessera::softgpu

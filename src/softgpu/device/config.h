// What software devices this machine has: from the environment, or from the file that SOFTGPU_CONFIG names.
//
//   SOFTGPU_DEVICES    number of devices (1)
//   SOFTGPU_MEMORY     memory of each ("8GiB", or half of the machine's where that is less)
//   SOFTGPU_SMS        streaming multiprocessors of each, that is, slots for running kernels (the online
//                      processors)
//   SOFTGPU_CPUS       the processors that run kernels, "0-3,6" (those the process may use)
//   SOFTGPU_MODEL      name of the model, see model.h
//   SOFTGPU_STATE_DIR  folder of the devices' shared files (/dev/shm/softgpu-UID)
//   SOFTGPU_OWN_TABLES on|off: whether the driver has what NVIDIA's lacks, as for holding kernels up (on)
//   SOFTGPU_ZEROING    on|off: whether memory is clean when a process gets it (on). Off shows what would be
//                      found: it is kept in files of SOFTGPU_STATE_DIR, for one process at a time
//   SOFTGPU_LOG        error|warn|info|debug
//
// Where a control daemon of MPS would be reached (cuda/multi_process_service.h), a process's portion of the
// SMs is in force as on NVIDIA's: CUDA_MPS_ACTIVE_THREAD_PERCENTAGE.
//
// The file holds lines "NAME = value" with the same names; the environment wins.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"

namespace tessera::softgpu {

constexpr int kMaxDevices = 64;
constexpr int kMaxSms = 1024;
constexpr uint64_t kMinDeviceMemory = 1u << 20;
constexpr uint64_t kMaxDeviceMemory = uint64_t{4} << 40;

struct Config {
  int devices = 1;
  uint64_t memory_bytes = 0;    // per device
  int sm_count = 1;             // per device
  std::vector<int> processors;  // that run kernels; empty: those the process may use
  bool own_tables = true;
  bool zeroing = true;
  bool mps = false;
  double mps_percent = 100;  // of the SMs, that one process may have at once
  std::string model;         // empty: the default model
  std::string state_dir;
};

// Looks a setting up by name; an empty text where it is not set.
using SettingSource = std::function<std::string(const char* name)>;

// Pure: settings to configuration. kInvalidArgument names the setting, what it holds and what it may hold.
Result<Config> parse_config(const SettingSource& setting);
// Settings of a configuration file's text, for parse_config. Blank lines and lines that begin with '#' are
// skipped.
Result<SettingSource> parse_config_file(std::string_view text);
// From the environment and SOFTGPU_CONFIG. Computed anew at each call.
Result<Config> load_config();

}  // namespace tessera::softgpu

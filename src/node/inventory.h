// The GPUs of this node, as the driver below us tells them through NVML.
#pragma once

#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"
#include "node/gpu_sensors.h"

namespace tessera::node {

// What a process had of a GPU within the last kProcessWindowNs.
struct GpuProcess {
  uint32_t pid = 0;
  uint32_t percent = 0;  // of the GPU's time and SMs, at least 1
};
inline constexpr uint64_t kProcessWindowNs = 1'000'000'000;
inline constexpr size_t kMaxGpuProcesses = 512;

// What a process holds of a GPU's memory, its contexts among it.
struct GpuMemory {
  uint32_t pid = 0;
  uint64_t bytes = 0;
};

struct Gpu {
  std::string uuid;
  std::string name;
  uint64_t total_bytes = 0;
  uint64_t used_bytes = 0;                      // by all processes, Tessera's or not
  uint32_t sm_count = 0;                        // 0: not known
  std::optional<uint32_t> utilization_percent;  // where the device tells it
  // Why the driver does not tell the rest; empty for a GPU that works. Then all but `lost` may be missing,
  // and there are 0 bytes of it to be had.
  std::string problem;
  bool lost = false;  // fallen off the bus, as NVML says
  // Errors of its memory since the driver was loaded or the GPU was reset; where it counts them.
  std::optional<uint64_t> uncorrected_errors = std::nullopt;
  // When its processes were asked for, by the asking process's clock, from an InventoryMonitor by its loop's
  // time; 0: it does not tell them.
  uint64_t processes_ns = 0;
  std::string pci{};                    // its address, "0000:3b:00.0"; empty where the driver does not tell
  std::vector<GpuProcess> processes{};  // that worked, by pid, at most kMaxGpuProcesses
  // Of all processes on it, by pid, at most kMaxGpuProcesses; nothing where the driver does not tell it of
  // each.
  std::optional<std::vector<GpuMemory>> memory{};
  SensorValues sensors{};
};

struct Inventory {
  std::string driver_kind;     // vgpu::driver_kind_name
  std::string driver_library;  // libcuda.so.1, absolute
  std::string driver_version;
  bool space = false;  // the driver can keep a process's kernels to some SMs (cuda/device_scheduling_table.h)
  std::vector<Gpu> gpus;  // by NVML index, at most kMaxGpus
  bool mps = false;       // a control daemon of MPS was there (cuda/multi_process_service.h)
};

inline constexpr size_t kMaxGpus = 64;

// Loads NVML into this process and asks it. A broken driver can hang or crash here: the daemon asks through a
// child (inventory_monitor.h).
Result<Inventory> read_inventory();

// What a standing child does (inventory_monitor.h): an answer on a line of its own, and one more for each
// line that it hears. It ends with its input, and after an answer that tells of trouble: NVML is begun anew
// by another one then.
int tell_inventory(FILE* input, FILE* output);

// One JSON object {"ok", "inventory" | "message"}: how the child answers.
std::string inventory_answer_text(const Result<Inventory>& answer);
Result<Inventory> parse_inventory_answer(std::string_view text);

}  // namespace tessera::node

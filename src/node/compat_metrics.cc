#include "node/compat_metrics.h"

#include <limits>

#include "common/strings.h"
#include "node/slice_facts.h"

namespace tessera::node {
namespace {

using monitoring::Exposition;
using monitoring::Labels;
using monitoring::Metric;
using enum monitoring::MetricType;

constexpr double kMiB = 1024 * 1024;

// dcgm-exporter's names of what a GPU's entry has, in its units; it has the help texts from DCGM.
struct DcgmFigure {
  Metric metric;
  const char* key;
  double unit = 1;
};
constexpr DcgmFigure kDcgmFigures[] = {
    {{"DCGM_FI_DEV_SM_CLOCK", kGauge, "SM clock frequency (in MHz)."}, "sm_clock_mhz"},
    {{"DCGM_FI_DEV_MEM_CLOCK", kGauge, "Memory clock frequency (in MHz)."}, "memory_clock_mhz"},
    {{"DCGM_FI_DEV_MEMORY_TEMP", kGauge, "Memory temperature (in C)."}, "memory_temperature_celsius"},
    {{"DCGM_FI_DEV_GPU_TEMP", kGauge, "GPU temperature (in C)."}, "temperature_celsius"},
    {{"DCGM_FI_DEV_POWER_USAGE", kGauge, "Power draw (in W)."}, "power_milliwatts", 1e-3},
    {{"DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", kCounter, "Total energy consumption since boot (in mJ)."},
     "energy_millijoules"},
    {{"DCGM_FI_DEV_PCIE_REPLAY_COUNTER", kCounter, "Total number of PCIe retries."}, "pcie_replays"},
    {{"DCGM_FI_DEV_GPU_UTIL", kGauge, "GPU utilization (in %)."}, "utilization_percent"},
    {{"DCGM_FI_DEV_MEM_COPY_UTIL", kGauge, "Memory utilization (in %)."}, "memory_busy_percent"},
    {{"DCGM_FI_DEV_ENC_UTIL", kGauge, "Encoder utilization (in %)."}, "encoder_percent"},
    {{"DCGM_FI_DEV_DEC_UTIL", kGauge, "Decoder utilization (in %)."}, "decoder_percent"},
    {{"DCGM_FI_DEV_FB_USED", kGauge, "Framebuffer memory used (in MiB)."}, "used_bytes", 1 / kMiB},
    {{"DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS", kCounter,
      "Number of remapped rows for uncorrectable errors"},
     "remapped_rows_uncorrected"},
    {{"DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS", kCounter, "Number of remapped rows for correctable errors"},
     "remapped_rows_corrected"},
    {{"DCGM_FI_DEV_ROW_REMAP_FAILURE", kGauge, "Whether remapping of rows has failed"}, "row_remap_failed"},
};
constexpr Metric kDcgmFree{"DCGM_FI_DEV_FB_FREE", kGauge, "Framebuffer memory free (in MiB)."};

constexpr Metric kHamiHostMemory{"HostGPUMemoryUsage", kGauge, "GPU device memory usage"};
constexpr Metric kHamiHostCore{"HostCoreUtilization", kGauge, "GPU core utilization"};
constexpr Metric kHamiUsed{"vGPU_device_memory_usage_in_bytes", kGauge, "vGPU device usage"};
constexpr Metric kHamiLimit{"vGPU_device_memory_limit_in_bytes", kGauge, "vGPU device limit"};
constexpr Metric kHamiCore{"Device_utilization_desc_of_container", kGauge,
                           "Container device utilization description"};

// Exposition leaves out what is no number.
double number(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number() ? found->get<double>()
                                                     : std::numeric_limits<double>::quiet_NaN();
}

std::string index_of(const Json& object, const char* key) {
  return std::to_string(json_uint(object, key).value_or(0));
}

Labels dcgm_labels(const Json& answer, const Json& gpu, const std::string& host) {
  const std::string index = index_of(gpu, "index");
  return {{"gpu", index},
          {"UUID", json_string(gpu, "uuid")},
          {"pci_bus_id", json_string(gpu, "pci")},
          {"device", "nvidia" + index},
          {"modelName", json_string(gpu, "name")},
          {"Hostname", host},
          {"DCGM_FI_DRIVER_VERSION", json_string(answer, "driver_version")}};
}

const Json* find_gpu(const Json& answer, uint64_t index) {
  const auto gpus = answer.find("gpus");
  if (gpus == answer.end() || !gpus->is_array()) return nullptr;
  for (const Json& gpu : *gpus) {
    if (json_uint(gpu, "index") == index) return &gpu;
  }
  return nullptr;
}

}  // namespace

std::optional<CompatNames> parse_compat_names(std::string_view text) {
  CompatNames names;
  for (const std::string_view name : split(text, ',')) {
    if (name == "dcgm") {
      names.dcgm = true;
    } else if (name == "hami") {
      names.hami = true;
    } else {
      return std::nullopt;
    }
  }
  return names;
}

void add_compat_gpu(Exposition& exposition, const CompatNames& names, const Json& answer, const Json& gpu,
                    const std::string& host) {
  if (names.dcgm) {
    const Labels labels = dcgm_labels(answer, gpu, host);
    for (const DcgmFigure& figure : kDcgmFigures)
      exposition.add(figure.metric, labels, number(gpu, figure.key) * figure.unit);
    exposition.add(kDcgmFree, labels, (number(gpu, "total_bytes") - number(gpu, "used_bytes")) / kMiB);
  }
  if (names.hami) {
    const Labels labels = {{"deviceidx", index_of(gpu, "index")}, {"deviceuuid", json_string(gpu, "uuid")}};
    exposition.add(kHamiHostMemory, labels, number(gpu, "used_bytes"));
    exposition.add(kHamiHostCore, labels, number(gpu, "utilization_percent"));
  }
}

// A slice is no pod: its name stands for the pod's and the container's.
void add_compat_slice(Exposition& exposition, const CompatNames& names, const Json& answer,
                      const SliceFacts& slice) {
  if (!names.hami) return;
  constexpr double kPermillePerPercent = 10;
  const std::string& name = slice.slice->name;
  for (size_t i = 0; i < slice.parts.size(); ++i) {
    const PartFacts& part = slice.parts[i];
    const Json* gpu = find_gpu(answer, part.device->gpu);
    if (gpu == nullptr) continue;
    const Labels labels = {{"podnamespace", "tessera"},
                           {"podname", name},
                           {"ctrname", name},
                           {"vdeviceid", std::to_string(i)},
                           {"deviceuuid", json_string(*gpu, "uuid")}};
    exposition.add(kHamiUsed, labels, static_cast<double>(part.usage.used_bytes));
    exposition.add(kHamiLimit, labels, static_cast<double>(part.device->limit_bytes));
    exposition.add(kHamiCore, labels, part.shares.achieved / kPermillePerPercent);
  }
}

}  // namespace tessera::node

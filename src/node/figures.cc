#include "node/figures.h"

#include <limits>
#include <set>
#include <unordered_map>

namespace tessera::node {
namespace {

using monitoring::Metric;
using enum monitoring::MetricType;

constexpr double kPermille = 1e-3, kPercent = 1e-2, kNanosecond = 1e-9, kThousandth = 1e-3, kMega = 1e6;

constexpr KeyedFigure kGpuFigures[] = {
    {{"tessera_gpu_memory_bytes", kGauge, "Memory of the GPU."}, "total_bytes"},
    {{"tessera_gpu_memory_used_bytes", kGauge, "Memory in use by anybody, as the driver says."},
     "used_bytes"},
    {{"tessera_gpu_memory_unreserved_bytes", kGauge, "Memory that no slice has reserved."},
     "unreserved_bytes"},
    {{"tessera_gpu_memory_lent_bytes", kGauge, "Memory lent for what has left other GPUs."}, "lent_bytes"},
    {{"tessera_gpu_sms", kGauge, "Streaming multiprocessors."}, "sm_count"},
    {{"tessera_gpu_switch_seconds", kGauge,
      "Time that handing it from one slice to another takes, as measured."},
     "switch_ns",
     kNanosecond},
    {{"tessera_gpu_utilization_ratio", kGauge, "Time in which kernels ran, as the driver says."},
     "utilization_percent",
     kPercent},
    {{"tessera_gpu_memory_utilization_ratio", kGauge, "Time in which its memory was read or written."},
     "memory_busy_percent",
     kPercent},
    {{"tessera_gpu_encoder_utilization_ratio", kGauge, "Time in which its video encoder ran."},
     "encoder_percent",
     kPercent},
    {{"tessera_gpu_decoder_utilization_ratio", kGauge, "Time in which its video decoder ran."},
     "decoder_percent",
     kPercent},
    {{"tessera_gpu_temperature_celsius", kGauge, "Temperature of the GPU."}, "temperature_celsius"},
    {{"tessera_gpu_memory_temperature_celsius", kGauge, "Temperature of its memory."},
     "memory_temperature_celsius"},
    {{"tessera_gpu_power_watts", kGauge, "Power that it draws."}, "power_milliwatts", kThousandth},
    {{"tessera_gpu_energy_joules_total", kCounter, "Energy that it took since the driver was loaded."},
     "energy_millijoules",
     kThousandth},
    {{"tessera_gpu_sm_clock_hertz", kGauge, "Clock of the multiprocessors."}, "sm_clock_mhz", kMega},
    {{"tessera_gpu_memory_clock_hertz", kGauge, "Clock of the memory."}, "memory_clock_mhz", kMega},
    {{"tessera_gpu_pcie_replays_total", kCounter, "Packets that its bus sent again."}, "pcie_replays"},
    {{"tessera_gpu_remapped_rows", kGauge, "Rows of memory replaced after uncorrectable errors."},
     "remapped_rows_uncorrected"},
    {{"tessera_gpu_row_remap_failed", kGauge, "1 where a row of memory could not be replaced."},
     "row_remap_failed"},
};
constexpr Metric kGpuUp{"tessera_gpu_up", kGauge,
                        "1 where new programs may have the GPU, 0 where it is lost or quarantined."};

constexpr KeyedFigure kSliceFigures[] = {
    {{"tessera_slice_processes_started_total", kCounter, "Processes that ever attached."}, "processes_ever"},
    {{"tessera_slice_age_seconds", kGauge, "Time since the slice was made."}, "age_seconds"},
    {{"tessera_slice_round_the_gate_total", kCounter, "Processes seen to use a GPU beside their turns."},
     "round_the_gate"},
    {{"tessera_slice_confined", kGauge, "1 while it is held to its share for that."}, "confined"},
    {{"tessera_slice_isolated", kGauge, "1 while it runs beside nobody, as its programs keep failing."},
     "isolated"},
};
constexpr KeyedFigure kProcesses{{"tessera_slice_processes", kGauge, "Processes that live."}, nullptr};

// Of a slice on a GPU. Used memory, counts and GPU time are what its processes report.
constexpr KeyedFigure kDeviceFigures[] = {
    {{"tessera_slice_memory_limit_bytes", kGauge, "The most memory that it may use."}, "limit_bytes"},
    {{"tessera_slice_memory_granted_bytes", kGauge, "What its processes may use without asking again."},
     "granted_bytes"},
    {{"tessera_slice_memory_used_bytes", kGauge, "Memory in use."}, "used_bytes"},
    {{"tessera_slice_memory_peak_bytes", kGauge, "The most that was in use."}, "peak_bytes"},
    {{"tessera_slice_memory_driver_bytes", kGauge, "Memory of its processes, as the driver says."},
     "driver_bytes"},
    {{"tessera_slice_memory_resident_bytes", kGauge, "Of what is used, on the GPU."}, "resident_bytes"},
    {{"tessera_slice_memory_evicted_bytes_total", kCounter, "Moved off the GPU."}, "evicted_bytes"},
    {{"tessera_slice_memory_restored_bytes_total", kCounter, "Moved back to the GPU."}, "restored_bytes"},
    {{"tessera_slice_memory_neighbour_bytes", kGauge, "Off the GPU, in the memory of other GPUs."},
     "swap_neighbour_bytes"},
    {{"tessera_slice_memory_wait_seconds_total", kCounter, "Waited for memory of the GPU."},
     "memory_wait_seconds"},
    {{"tessera_slice_memory_pressure_ratio", kGauge,
      "Part of the last 5 s that it waited for memory of the GPU."},
     "memory_pressure_permille",
     kPermille},
    {{"tessera_slice_memory_working_set_bytes", kGauge, "What it needs, as measured of late."},
     "working_set_bytes"},
    {{"tessera_slice_refusals_total", kCounter, "Allocations refused for its limit."}, "refusals"},
    {{"tessera_slice_allocations_total", kCounter, "Allocations."}, "allocations"},
    {{"tessera_slice_launches_total", kCounter, "Launches of kernels and graphs."}, "launches"},
    {{"tessera_slice_graph_launches_total", kCounter, "Of the launches, those of graphs."}, "graph_launches"},
    {{"tessera_slice_cooperative_launches_total", kCounter, "Of the launches, those of cooperative kernels."},
     "cooperative_launches"},
    {{"tessera_slice_copied_to_device_bytes_total", kCounter, "Copied to the GPU."}, "bytes_to_device"},
    {{"tessera_slice_copied_from_device_bytes_total", kCounter, "Copied from the GPU."}, "bytes_from_device"},
    {{"tessera_slice_copied_on_device_bytes_total", kCounter, "Copied from one place of GPUs to another."},
     "bytes_on_device"},
    {{"tessera_slice_copy_wait_seconds_total", kCounter,
      "Copies waited for its part of the way to the GPU or back."},
     "copy_wait_ns",
     kNanosecond},
    {{"tessera_slice_errors_total", kCounter, "Launches, copies and waits for the GPU that failed."},
     "errors"},
    {{"tessera_slice_faults_total", kCounter, "Processes that failed on the GPU."}, "faults"},
    {{"tessera_slice_turn_wait_seconds_total", kCounter, "Waited for turns, with work at hand."},
     "turn_wait_ns",
     kNanosecond},
    {{"tessera_slice_kernels_total", kCounter, "Kernels that have ended."}, "kernels"},
    {{"tessera_slice_gpu_seconds_total", kCounter, "Time in which its kernels were on the GPU."},
     "gpu_seconds"},
    {{"tessera_slice_share_entitled_ratio", kGauge, "Part of the GPU that it has where all want some."},
     "entitled_permille",
     kPermille},
    {{"tessera_slice_share_achieved_ratio", kGauge, "Part of the GPU that it had in the last 5 s."},
     "achieved_permille",
     kPermille},
    {{"tessera_slice_share_lent_ratio", kGauge, "Part of the GPU lent to others; below 0: borrowed."},
     "lent_permille",
     kPermille},
    {{"tessera_slice_waits", kGauge, "Waits for turns that the next figure is of."}, "waits"},
    {{"tessera_slice_wait_p99_seconds", kGauge, "99th percentile of recent waits for turns."},
     "wait_p99_ns",
     kNanosecond},
    {{"tessera_slice_weight_boost_ratio", kGauge, "What its targets make of its weight; 1 is neutral."},
     "boost_permille",
     kPermille},
    {{"tessera_slice_side_by_side_total", kCounter, "Times that it began to run beside another slice."},
     "times_side_by_side"},
};

// Not a number where there is none, which Exposition leaves out.
double value_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end()) return std::numeric_limits<double>::quiet_NaN();
  if (found->is_boolean()) return found->get<bool>() ? 1 : 0;
  return found->is_number() ? found->get<double>() : std::numeric_limits<double>::quiet_NaN();
}

template <size_t Count>
void add_all(FigureSink& sink, const KeyedFigure (&figures)[Count], const Json& object) {
  for (const KeyedFigure& figure : figures)
    sink.add(figure.metric, value_of(object, figure.key) * figure.unit);
}

// As json_array(), which copies.
const Json& array_in(const Json& object, const char* key) {
  static const Json kNone = Json::array();
  const auto found = object.find(key);
  return found != object.end() && found->is_array() ? *found : kNone;
}

std::string index_text(const Json& object, const char* key) {
  return std::to_string(json_uint(object, key).value_or(0));
}

using ByKey = std::unordered_map<std::string_view, const KeyedFigure*>;

template <size_t Count>
ByKey by_key(const KeyedFigure (&figures)[Count]) {
  ByKey found;
  for (const KeyedFigure& figure : figures) found.emplace(figure.key, &figure);
  return found;
}

const KeyedFigure* find_in(const ByKey& figures, std::string_view key) {
  const auto found = figures.find(key);
  return found == figures.end() ? nullptr : found->second;
}

template <size_t Count>
void list_all(const KeyedFigure (&figures)[Count], std::vector<const Metric*>& all) {
  for (const KeyedFigure& figure : figures) all.push_back(&figure.metric);
}

}  // namespace

void gpu_figures(const Json& gpu, FigureSink& sink) {
  sink.about({{"gpu", index_text(gpu, "index")},
              {"uuid", json_string(gpu, "uuid")},
              {"model", json_string(gpu, "name")}});
  sink.add(kGpuUp, json_string(gpu, "state") == "ok" ? 1 : 0);
  add_all(sink, kGpuFigures, gpu);
}

void slice_figures(const Json& slice, FigureSink& sink) {
  const std::string name = json_string(slice, "name");
  sink.about({{"slice", name}});
  sink.add(kProcesses.metric, static_cast<double>(array_in(slice, "processes").size()));
  add_all(sink, kSliceFigures, slice);
  for (const Json& device : array_in(slice, "devices")) {
    sink.about({{"slice", name}, {"gpu", index_text(device, "gpu")}});
    add_all(sink, kDeviceFigures, device);
  }
}

const KeyedFigure* slice_figure(std::string_view key) {
  static const ByKey kFigures = by_key(kSliceFigures);
  return find_in(kFigures, key);
}

const KeyedFigure* part_figure(std::string_view key) {
  static const ByKey kFigures = by_key(kDeviceFigures);
  return find_in(kFigures, key);
}

const KeyedFigure* process_figure() { return &kProcesses; }

const std::vector<const Metric*>& all_figures() {
  static const std::vector<const Metric*> kAll = [] {
    std::vector<const Metric*> all = {&kGpuUp};
    list_all(kGpuFigures, all);
    all.push_back(&kProcesses.metric);
    list_all(kSliceFigures, all);
    list_all(kDeviceFigures, all);
    return all;
  }();
  return kAll;
}

size_t figure_index(std::string_view name) {
  static const std::unordered_map<std::string_view, size_t> kPlaces = [] {
    std::unordered_map<std::string_view, size_t> places;
    for (const Metric* metric : all_figures()) places.emplace(short_name(*metric), places.size());
    return places;
  }();
  return kPlaces.find(name)->second;
}

std::string_view short_name(const Metric& metric) {
  constexpr std::string_view kPrefix = "tessera_";
  return std::string_view(metric.name).substr(kPrefix.size());
}

bool is_kept_long(std::string_view name) {
  static const std::set<std::string_view> kKept = {"gpu_up",
                                                   "gpu_memory_used_bytes",
                                                   "gpu_memory_unreserved_bytes",
                                                   "gpu_utilization_ratio",
                                                   "slice_processes",
                                                   "slice_memory_limit_bytes",
                                                   "slice_memory_used_bytes",
                                                   "slice_memory_resident_bytes",
                                                   "slice_memory_evicted_bytes_total",
                                                   "slice_memory_restored_bytes_total",
                                                   "slice_refusals_total",
                                                   "slice_launches_total",
                                                   "slice_copied_to_device_bytes_total",
                                                   "slice_copied_from_device_bytes_total",
                                                   "slice_errors_total",
                                                   "slice_faults_total",
                                                   "slice_turn_wait_seconds_total",
                                                   "slice_gpu_seconds_total",
                                                   "slice_share_entitled_ratio",
                                                   "slice_share_achieved_ratio",
                                                   "slice_wait_p99_seconds"};
  return kKept.contains(name);
}

const Metric* find_figure(std::string_view name) {
  for (const Metric* metric : all_figures()) {
    if (name == metric->name || name == short_name(*metric)) return metric;
  }
  return nullptr;
}

}  // namespace tessera::node

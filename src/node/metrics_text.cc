#include "node/metrics_text.h"

#include <array>

#include "node/figures.h"
#include "node/version.h"
#include "virtualization/lease/protocol.h"

namespace tessera::node {
namespace {

using monitoring::Labels;
using monitoring::Metric;

constexpr double kNsPerSecond = 1e9;

constexpr Metric kBuild{"tessera_build_info", monitoring::MetricType::kGauge,
                        "1, with the version of the tools."};

FigureSink into(monitoring::Exposition& exposition) {
  return [&exposition](const Metric& metric, const Labels& labels, double value) {
    exposition.add(metric, labels, value);
  };
}

constexpr Metric kGateWait{"tessera_slice_gate_wait_seconds", monitoring::MetricType::kHistogram,
                           "Waits of launches and copies in the program, for the turn of its slice."};

// An older daemon does not tell them.
void add_gate_waits(monitoring::Exposition& exposition, const Json& slice, const Json& device) {
  const auto count = json_uint(device, "gate_waits"), sum_ns = json_uint(device, "gate_wait_ns");
  const Json buckets = json_array(device, "gate_wait_buckets");
  if (!count || !sum_ns || buckets.size() != vgpu::kWaitBuckets) return;
  std::array<double, vgpu::kWaitBuckets> bounds;
  std::array<uint64_t, vgpu::kWaitBuckets> counts;
  for (size_t i = 0; i < counts.size(); ++i) {
    if (!buckets[i].is_number_unsigned()) return;
    bounds[i] = static_cast<double>(vgpu::kWaitBucketsNs[i]) / kNsPerSecond;
    counts[i] = buckets[i].get<uint64_t>();
  }
  const Labels labels = {{"slice", json_string(slice, "name")},
                         {"gpu", std::to_string(json_uint(device, "gpu").value_or(0))}};
  exposition.add_histogram(kGateWait, labels, bounds, counts, *count,
                           static_cast<double>(*sum_ns) / kNsPerSecond);
}

}  // namespace

MetricsText::MetricsText() { exposition_.add(kBuild, {{"version", kVersion}}, 1); }

void MetricsText::add_gpu(const Json& gpu) { gpu_figures(gpu, into(exposition_)); }

void MetricsText::add_slice(const Json& slice) {
  slice_figures(slice, into(exposition_));
  const auto devices = slice.find("devices");
  if (devices == slice.end() || !devices->is_array()) return;
  for (const Json& device : *devices) add_gate_waits(exposition_, slice, device);
}

std::string metrics_text(const Json& gpus, const Json& slices) {
  MetricsText metrics;
  for (const Json& gpu : json_array(gpus, "gpus")) metrics.add_gpu(gpu);
  for (const Json& slice : json_array(slices, "slices")) metrics.add_slice(slice);
  return metrics.text();
}

}  // namespace tessera::node

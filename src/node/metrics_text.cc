#include "node/metrics_text.h"

#include <optional>
#include <vector>

#include "node/version.h"
#include "virtualization/lease/protocol.h"

namespace tessera::node {
namespace {

using monitoring::Labels;
using monitoring::Metric;

constexpr double kNsPerSecond = 1e9;

constexpr Metric kBuild{"tessera_build_info", monitoring::MetricType::kGauge,
                        "1, with the version of the tools."};

class Samples : public FigureSink {
 public:
  explicit Samples(monitoring::Exposition& exposition) : exposition_(exposition) {}
  void about(const Labels& labels) override { labelled_.emplace(exposition_.labelled(labels)); }
  void add(const Metric& metric, double value) override { labelled_->add(metric, value); }

 private:
  monitoring::Exposition& exposition_;
  std::optional<monitoring::Exposition::Labelled> labelled_;
};

constexpr Metric kGateWait{"tessera_slice_gate_wait_seconds", monitoring::MetricType::kHistogram,
                           "Waits of launches and copies in the program, for the turn of its slice."};
constexpr Metric kKernelRun{"tessera_slice_kernel_run_seconds", monitoring::MetricType::kHistogram,
                            "Run times of kernels, as far as the driver's timing tells them."};

monitoring::Bounds in_seconds(std::span<const uint64_t> bounds_ns) {
  std::vector<double> bounds;
  for (const uint64_t ns : bounds_ns) bounds.push_back(static_cast<double>(ns) / kNsPerSecond);
  return monitoring::Bounds(bounds);
}

// An older daemon does not tell them.
void add_told(MetricsText& metrics, MetricsText::Times which, const Labels& labels, const Json& device,
              const char* count_key, const char* sum_key, const char* counts_key) {
  const auto count = json_uint(device, count_key), sum_ns = json_uint(device, sum_key);
  std::vector<uint64_t> counts;
  for (const Json& one : json_array(device, counts_key)) {
    if (!one.is_number_unsigned()) return;
    counts.push_back(one.get<uint64_t>());
  }
  if (count && sum_ns) metrics.add_times(which, labels, counts, *count, *sum_ns);
}

}  // namespace

void MetricsText::clear() {
  exposition_.clear();
  exposition_.add(kBuild, {{"version", kVersion}}, 1);
}

// What is not told at first has its place all the same: two texts differ in their figures only.
MetricsText::MetricsText() {
  exposition_.add(kBuild, {{"version", kVersion}}, 1);
  for (const Metric* metric : all_figures()) exposition_.place(*metric);
}

void MetricsText::add_gpu(const Json& gpu) {
  add_figures([&](FigureSink& sink) { gpu_figures(gpu, sink); });
}

void MetricsText::add_figures(const std::function<void(FigureSink& sink)>& give) {
  Samples samples(exposition_);
  give(samples);
}

void MetricsText::add_slice(const Json& slice) {
  add_figures([&](FigureSink& sink) { slice_figures(slice, sink); });
  const auto devices = slice.find("devices");
  if (devices == slice.end() || !devices->is_array()) return;
  for (const Json& device : *devices) {
    const Labels labels = {{"slice", json_string(slice, "name")},
                           {"gpu", std::to_string(json_uint(device, "gpu").value_or(0))}};
    add_told(*this, Times::kGateWaits, labels, device, "gate_waits", "gate_wait_ns", "gate_wait_buckets");
    add_told(*this, Times::kKernelRuns, labels, device, "timed_kernels", "timed_kernel_ns",
             "timed_kernel_buckets");
  }
}

void MetricsText::add_times(Times which, const Labels& labels, std::span<const uint64_t> counts,
                            uint64_t count, uint64_t sum_ns) {
  static const monitoring::Bounds kBounds[] = {in_seconds(vgpu::kWaitBucketsNs),
                                               in_seconds(cuda::kRunTimeBoundsNs)};
  const monitoring::Bounds& bounds = kBounds[static_cast<size_t>(which)];
  if (counts.size() != bounds.texts().size()) return;
  exposition_.labelled(labels).add_histogram(which == Times::kGateWaits ? kGateWait : kKernelRun, bounds,
                                             counts, count, static_cast<double>(sum_ns) / kNsPerSecond);
}

std::string metrics_text(const Json& gpus, const Json& slices) {
  MetricsText metrics;
  for (const Json& gpu : json_array(gpus, "gpus")) metrics.add_gpu(gpu);
  for (const Json& slice : json_array(slices, "slices")) metrics.add_slice(slice);
  return metrics.text();
}

}  // namespace tessera::node

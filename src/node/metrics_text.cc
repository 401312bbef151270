#include "node/metrics_text.h"

#include "node/figures.h"
#include "node/version.h"

namespace tessera::node {
namespace {

using monitoring::Labels;
using monitoring::Metric;

constexpr Metric kBuild{"tessera_build_info", monitoring::MetricType::kGauge,
                        "1, with the version of the tools."};

FigureSink into(monitoring::Exposition& exposition) {
  return [&exposition](const Metric& metric, const Labels& labels, double value) {
    exposition.add(metric, labels, value);
  };
}

}  // namespace

MetricsText::MetricsText() { exposition_.add(kBuild, {{"version", kVersion}}, 1); }

void MetricsText::add_gpu(const Json& gpu) { gpu_figures(gpu, into(exposition_)); }

void MetricsText::add_slice(const Json& slice) { slice_figures(slice, into(exposition_)); }

std::string metrics_text(const Json& gpus, const Json& slices) {
  MetricsText metrics;
  for (const Json& gpu : json_array(gpus, "gpus")) metrics.add_gpu(gpu);
  for (const Json& slice : json_array(slices, "slices")) metrics.add_slice(slice);
  return metrics.text();
}

}  // namespace tessera::node

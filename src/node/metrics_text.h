// What the tools show of GPUs and slices, as metrics for Prometheus.
#pragma once

#include <functional>
#include <span>
#include <string>

#include "monitoring/exposition.h"
#include "node/figures.h"
#include "node/json.h"

namespace tessera::node {

// Made piece by piece, or at once. What an answer lacks, or has as null, has no sample. docs/metrics.md says
// what there is.
class MetricsText {
 public:
  MetricsText();
  void clear();                       // see Exposition::clear
  void add_gpu(const Json& gpu);      // of gpus_json()
  void add_slice(const Json& slice);  // of the daemon's answer to "slices"
  void add_figures(const std::function<void(FigureSink& sink)>& give);
  // Waits at the gate or run times, of a slice on a GPU.
  enum class Times : uint8_t { kGateWaits, kKernelRuns };
  void add_times(Times which, const monitoring::Labels& labels, std::span<const uint64_t> counts,
                 uint64_t count, uint64_t sum_ns);
  std::string text() const { return exposition_.text(); }
  monitoring::Exposition& exposition() { return exposition_; }

 private:
  monitoring::Exposition exposition_;
};

std::string metrics_text(const Json& gpus, const Json& slices);

}  // namespace tessera::node

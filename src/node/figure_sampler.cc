#include "node/figure_sampler.h"

#include <cmath>
#include <map>

#include "common/strings.h"
#include "node/slice_facts.h"

namespace tessera::node {
namespace {

using monitoring::Figure;
using monitoring::Subject;

// By what figures are of: the slice, and each part of it.
class BySubject : public FigureSink {
 public:
  void about(const monitoring::Labels& labels) override { latest_ = &figures_[subject_of(labels)]; }
  void add(const monitoring::Metric& metric, double value) override {
    if (!std::isfinite(value)) return;
    latest_->push_back({short_name(metric), value, metric.type == monitoring::MetricType::kCounter});
  }
  const std::map<Subject, std::vector<Figure>>& figures() const { return figures_; }

 private:
  static Subject subject_of(const monitoring::Labels& labels) {
    Subject subject;
    for (const auto& [label, text] : labels) {
      if (std::string_view(label) == "slice") subject.slice = text;
      if (std::string_view(label) == "gpu") subject.gpu = static_cast<uint32_t>(parse_uint(text).value_or(0));
    }
    return subject;
  }
  std::map<Subject, std::vector<Figure>> figures_;
  std::vector<Figure>* latest_ = nullptr;
};

}  // namespace

void FigureSampler::tick(uint64_t now_ns) {
  if (!walk_ && now_ns >= next_ns_) begin(now_ns);
  if (!walk_) return;
  const bool done =
      walk_->step(leases_.ledger().slices(), kSlicesAStep, [this](const Slice& slice) { add_slice(slice); });
  if (!done) return;
  walk_.reset();
  sinks_.commit(now_ns, wall_ms_);
}

void FigureSampler::begin(uint64_t now_ns) {
  next_ns_ = now_ns + kSampleNs;
  wall_ms_ = loop_.wall_ms();
  walk_.emplace();
  control_.refresh_gpus();
  BySubject gpus;
  for (const Json& gpu : json_array(control_.gpus(), "gpus")) gpu_figures(gpu, gpus);
  for (const auto& [subject, figures] : gpus.figures()) sinks_.add(subject, figures);
}

void FigureSampler::add_slice(const Slice& slice) {
  BySubject parts;
  slice_figures(slice_facts(slice, leases_), parts);
  for (const auto& [subject, figures] : parts.figures()) sinks_.add(subject, figures);
}

}  // namespace tessera::node

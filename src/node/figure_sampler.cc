#include "node/figure_sampler.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "common/strings.h"
#include "node/slice_facts.h"

namespace tessera::node {
namespace {

constexpr uint64_t kNsPerMs = 1'000'000;

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
  std::map<Subject, std::vector<Figure>> take() { return std::move(figures_); }

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

std::map<Subject, std::vector<Figure>> figures_of(const Slice& slice, LeaseService& leases) {
  BySubject parts;
  slice_figures(slice_facts(slice, leases), parts);
  return parts.take();
}

}  // namespace

void FigureSampler::tick(uint64_t now_ns) {
  if (!walk_ && now_ns >= next_ns_) begin(now_ns);
  if (!walk_) return;
  const bool done = walk_->step(leases_.ledger().slices(), kSlicesAStep, [this](const Slice& slice) {
    const When when{wall_ms_, age_if_new(slice)};
    for (const auto& [subject, figures] : figures_of(slice, leases_)) sinks_.add(when, subject, figures);
  });
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
  for (const auto& [subject, figures] : gpus.take()) sinks_.add({wall_ms_, std::nullopt}, subject, figures);
}

std::optional<uint64_t> FigureSampler::age_if_new(const Slice& slice) {
  const bool is_first = sampled_.insert(slice.id).second;
  if (!is_first || slice.created_ns < started_ns_) return std::nullopt;
  return (leases_.now_ns() - slice.created_ns) / kNsPerMs;
}

// Later than the sample that it may be in: of a time there is one row.
void FigureSampler::look_last(const Slice& slice) {
  const When when{std::max(loop_.wall_ms(), wall_ms_ + 1), age_if_new(slice)};
  for (const auto& [subject, figures] : figures_of(slice, leases_)) sinks_.add_last(when, subject, figures);
  sampled_.erase(slice.id);
}

}  // namespace tessera::node

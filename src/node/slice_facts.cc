#include "node/slice_facts.h"

#include "node/slice_json.h"

namespace tessera::node {
namespace {

PartFacts part_facts(const Slice& slice, uint32_t device, const DeviceUsage& usage, LeaseService& leases) {
  const ComputeBroker& compute = leases.compute();
  const scheduling::WaitHistogram waits = compute.waits(slice.id, device, leases.now_ns());
  constexpr uint32_t kP99 = 990;
  PartFacts part{.device = &slice.devices[device],
                 .usage = usage,
                 .shares = leases.shares(slice.id, device),
                 .moving = std::nullopt,
                 .waits = waits.count(),
                 .wait_p99_ns = std::nullopt,
                 .turn_wait_ns = compute.waited_ns(slice.id, device),
                 .boost_permille = compute.boost_permille(slice.id, device),
                 .company = compute.company(slice.id, device),
                 .turn = compute.state(slice.id, device)};
  if (leases.residency().in_use()) {
    part.moving = leases.residency().moving(part.device->gpu);
    part.memory_pressure_permille = leases.memory_pressure_permille(slice.id, device);
  }
  if (waits.count() != 0) part.wait_p99_ns = waits.quantile(kP99);
  return part;
}

// Numbers as doubles; false where there is none.
class Numbers {
 public:
  explicit Numbers(const FigureSink& sink, monitoring::Labels labels)
      : sink_(sink), labels_(std::move(labels)) {}

  void add(const KeyedFigure* figure, double value) const {
    if (figure != nullptr) sink_(figure->metric, labels_, value * figure->unit);
  }
  template <typename T>
  void add(const KeyedFigure* figure, const std::optional<T>& value) const {
    if (value) add(figure, static_cast<double>(*value));
  }

 private:
  const FigureSink& sink_;
  const monitoring::Labels labels_;
};

}  // namespace

SliceFacts slice_facts(const Slice& slice, LeaseService& leases) {
  const SliceUsage usage = leases.usage(slice.id);
  SliceFacts facts{.slice = &slice,
                   .age_seconds = seconds_since(slice.created_ns, leases.now_ns()),
                   .processes_ever = usage.processes,
                   .round = leases.round_figures(slice.id),
                   .isolated = leases.isolated(slice),
                   .parts = {}};
  for (uint32_t i = 0; i < slice.devices.size(); ++i)
    facts.parts.push_back(part_facts(slice, i, usage.devices[i], leases));
  return facts;
}

void slice_figures(const SliceFacts& facts, const FigureSink& sink) {
  const Numbers whole(sink, {{"slice", facts.slice->name}});
  whole.add(process_figure(), static_cast<double>(facts.slice->leases.size()));
  visit_facts(facts, [&](const char* name, auto value) {
    whole.add(slice_figure(name), static_cast<double>(value));
  });
  for (const PartFacts& part : facts.parts) {
    const Numbers numbers(sink, {{"slice", facts.slice->name}, {"gpu", std::to_string(part.device->gpu)}});
    visit_facts(part, [&](const char* name, const auto& value) {
      if constexpr (requires { value.has_value(); }) {
        numbers.add(part_figure(name), value);
      } else {
        numbers.add(part_figure(name), static_cast<double>(value));
      }
    });
  }
}

void add_metrics(MetricsText& metrics, const SliceFacts& facts) {
  slice_figures(facts, [&](const monitoring::Metric& metric, const monitoring::Labels& labels, double value) {
    metrics.exposition().add(metric, labels, value);
  });
  for (const PartFacts& part : facts.parts) {
    const monitoring::Labels labels = {{"slice", facts.slice->name},
                                       {"gpu", std::to_string(part.device->gpu)}};
    const DeviceUsage& usage = part.usage;
    metrics.add_times(MetricsText::Times::kGateWaits, labels, usage.gate_wait_buckets, usage.gate_waits,
                      usage.gate_wait_ns);
    metrics.add_times(MetricsText::Times::kKernelRuns, labels, usage.timed_kernel_buckets,
                      usage.timed_kernels, usage.timed_kernel_ns);
  }
}

}  // namespace tessera::node

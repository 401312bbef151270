#include "node/slice_facts.h"

#include <limits>
#include <vector>

#include "node/slice_json.h"

namespace tessera::node {
namespace {

PartFacts part_facts(const Slice& slice, uint32_t device, const DeviceUsage& usage, LeaseService& leases) {
  const ComputeBroker& compute = leases.compute();
  const scheduling::WaitHistogram waits = compute.waits(slice.id, device, leases.now_ns());
  constexpr uint32_t kP99 = 990;
  PartFacts part{.device = &slice.devices[device],
                 .usage = usage,
                 .driver_bytes = leases.driver_bytes(slice, device),
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

template <typename T>
double number(const T& value) {
  return static_cast<double>(value);
}
template <typename T>
double number(const std::optional<T>& value) {
  return value ? number(*value) : std::numeric_limits<double>::quiet_NaN();
}

// The figures of facts in the order in which they are visited, null where a fact is none: names are looked up
// once.
template <typename Facts, typename Find>
std::vector<const KeyedFigure*> in_order(const Facts& facts, Find find) {
  std::vector<const KeyedFigure*> figures;
  visit_facts(facts, [&](const char* name, const auto&) { figures.push_back(find(name)); });
  return figures;
}

template <typename Facts>
void add_in_order(const std::vector<const KeyedFigure*>& figures, const Facts& facts, FigureSink& sink) {
  auto next = figures.begin();
  visit_facts(facts, [&](const char*, const auto& value) {
    if (const KeyedFigure* const figure = *next++) sink.add(figure->metric, number(value) * figure->unit);
  });
}

// What moves has facts of its own.
const std::vector<const KeyedFigure*>& part_figures(const PartFacts& part) {
  if (part.moving) {
    static const auto kMoving = in_order(part, part_figure);
    return kMoving;
  }
  static const auto kStaying = in_order(part, part_figure);
  return kStaying;
}

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

void slice_figures(const SliceFacts& facts, FigureSink& sink) {
  static const auto kWhole = in_order(facts, slice_figure);
  sink.about({{"slice", facts.slice->name}});
  sink.add(process_figure()->metric, static_cast<double>(facts.slice->leases.size()));
  add_in_order(kWhole, facts, sink);
  for (const PartFacts& part : facts.parts) {
    sink.about({{"slice", facts.slice->name}, {"gpu", std::to_string(part.device->gpu)}});
    add_in_order(part_figures(part), part, sink);
  }
}

void add_metrics(MetricsText& metrics, const SliceFacts& facts) {
  metrics.add_figures([&](FigureSink& sink) { slice_figures(facts, sink); });
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

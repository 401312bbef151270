// All numbers that there are to tell of a slice, gathered once: answers (slice_json.h), metrics, history and
// alerts are made of them. What a fact is called is said here alone.
#pragma once

#include <optional>
#include <vector>

#include "node/figures.h"
#include "node/lease_service.h"
#include "node/metrics_text.h"

namespace tessera::node {

// A slice on one of its GPUs.
struct PartFacts {
  const SliceDevice* device;  // the ledger's: valid while the loop does nothing else
  DeviceUsage usage;
  std::optional<uint64_t> driver_bytes;  // see LeaseService::driver_bytes
  LeaseService::Shares shares;
  std::optional<ResidencyBroker::Moving> moving;  // where limits may be more than the GPU has
  uint32_t memory_pressure_permille = 0;          // likewise
  uint64_t waits;
  std::optional<uint64_t> wait_p99_ns;
  uint64_t turn_wait_ns;
  uint32_t boost_permille;
  ComputeBroker::Company company;
  vgpu::GateState turn;
};

struct SliceFacts {
  const Slice* slice;  // as PartFacts::device
  double age_seconds;
  uint64_t processes_ever;
  LeaseService::RoundFigures round;
  bool isolated;
  std::vector<PartFacts> parts;
};

SliceFacts slice_facts(const Slice& slice, LeaseService& leases);

// Calls visit(name, value), in the order of figures.cc; where there is no value for now it is an empty
// optional.
template <typename Visit>
void visit_facts(const SliceFacts& facts, Visit visit) {
  visit("processes_ever", facts.processes_ever);
  visit("age_seconds", facts.age_seconds);
  visit("round_the_gate", facts.round.times);
  visit("confined", facts.round.confined);
  visit("isolated", facts.isolated);
}

template <typename Visit>
void visit_facts(const PartFacts& part, Visit visit) {
  constexpr double kNsPerSecond = 1e9;
  const DeviceUsage& usage = part.usage;
  visit("limit_bytes", part.device->limit_bytes);
  visit("reserved", part.device->reserved);
  visit("granted_bytes", part.device->granted_bytes);
  visit("used_bytes", usage.used_bytes);
  visit("peak_bytes", usage.peak_bytes);
  visit("driver_bytes", part.driver_bytes);
  if (part.moving) {
    visit("resident_bytes", usage.resident_bytes);
    visit("evicted_bytes", usage.evicted_bytes);
    visit("restored_bytes", usage.restored_bytes);
    visit("out_bytes", usage.out_bytes);
    visit("swap_host_bytes", usage.swap_host_bytes);
    visit("swap_file_bytes", usage.swap_file_bytes);
    visit("swap_neighbour_bytes", usage.swap_neighbour_bytes);
    visit("moving_percent", part.moving->percent);
    visit("thrashing", part.moving->thrashing);
    visit("turn_seconds", static_cast<double>(part.moving->turn_ns) / kNsPerSecond);
    visit("memory_wait_seconds", static_cast<double>(usage.memory_wait_ns) / kNsPerSecond);
    visit("memory_pressure_permille", part.memory_pressure_permille);
    visit("working_set_bytes", part.device->need_bytes);
  }
  visit("refusals", usage.refusals);
  visit("allocations", usage.allocations);
  visit("launches", usage.launches);
  visit("graph_launches", usage.graph_launches);
  visit("cooperative_launches", usage.cooperative_launches);
  visit("bytes_to_device", usage.bytes_to_device);
  visit("bytes_from_device", usage.bytes_from_device);
  visit("bytes_on_device", usage.bytes_on_device);
  visit("copy_wait_ns", usage.copy_wait_ns);
  visit("errors", usage.errors);
  visit("faults", usage.faults);
  visit("turn_wait_ns", part.turn_wait_ns);
  visit("kernels", usage.kernels);
  visit("gpu_seconds", static_cast<double>(usage.busy_ns) / kNsPerSecond);
  visit("entitled_permille", part.shares.entitled);
  visit("achieved_permille", part.shares.achieved);
  visit("lent_permille", part.shares.lent);
  visit("waits", part.waits);
  visit("wait_p99_ns", part.wait_p99_ns);
  visit("boost_permille", part.boost_permille);
  visit("times_side_by_side", part.company.times);
}

// The same by the names of metrics.
void slice_figures(const SliceFacts& facts, FigureSink& sink);
// With the histograms that are no figures.
void add_metrics(MetricsText& metrics, const SliceFacts& facts);

}  // namespace tessera::node

#include "node/slice_json.h"

#include "node/compute_json.h"
#include "node/memory_json.h"

namespace tessera::node {
namespace {

constexpr double kNsPerSecond = 1e9;

Json usage_json(const SliceDevice& device, const DeviceUsage& usage, const ResidencyBroker& residency) {
  Json entry;
  entry["gpu"] = device.gpu;
  entry["limit_bytes"] = device.limit_bytes;
  entry["reserved"] = device.reserved;
  entry["granted_bytes"] = device.granted_bytes;
  entry["used_bytes"] = usage.used_bytes;
  entry["memory"] = memory_json(device.memory);
  if (residency.in_use()) {
    entry["resident_bytes"] = usage.resident_bytes;
    entry["evicted_bytes"] = usage.evicted_bytes;
    entry["restored_bytes"] = usage.restored_bytes;
    entry["out_bytes"] = usage.out_bytes;
    entry["swap_host_bytes"] = usage.swap_host_bytes;
    entry["swap_file_bytes"] = usage.swap_file_bytes;
    const ResidencyBroker::Moving moving = residency.moving(device.gpu);
    entry["moving_percent"] = moving.percent;
    entry["thrashing"] = moving.thrashing;
    entry["turn_seconds"] = static_cast<double>(moving.turn_ns) / kNsPerSecond;
    entry["memory_wait_seconds"] = static_cast<double>(usage.memory_wait_ns) / kNsPerSecond;
  }
  entry["peak_bytes"] = usage.peak_bytes;
  entry["refusals"] = usage.refusals;
  entry["allocations"] = usage.allocations;
  entry["launches"] = usage.launches;
  entry["graph_launches"] = usage.graph_launches;
  entry["cooperative_launches"] = usage.cooperative_launches;
  entry["kernels"] = usage.kernels;
  entry["bytes_to_device"] = usage.bytes_to_device;
  entry["bytes_from_device"] = usage.bytes_from_device;
  entry["bytes_on_device"] = usage.bytes_on_device;
  entry["errors"] = usage.errors;
  entry["faults"] = usage.faults;
  entry["gate_waits"] = usage.gate_waits;
  entry["gate_wait_ns"] = usage.gate_wait_ns;
  entry["gate_wait_buckets"] = usage.gate_wait_buckets;
  entry["gpu_seconds"] = static_cast<double>(usage.busy_ns) / kNsPerSecond;
  entry["fault"] = usage.fault == 0 ? Json(nullptr) : Json(usage.fault);
  entry["compute"] = compute_json(device.compute);
  if (!device.sms.empty()) entry["sms"] = device.sms.text();
  return entry;
}

void add_shares(Json& entry, const LeaseService::Shares& shares) {
  entry["entitled_permille"] = shares.entitled;
  entry["achieved_permille"] = shares.achieved;
  entry["lent_permille"] = shares.lent;
}

void add_qos(Json& entry, LeaseService& leases, const Slice& slice, uint32_t device) {
  const scheduling::TenantSpec& spec = slice.devices[device].compute;
  const ComputeBroker& compute = leases.compute();
  const scheduling::WaitHistogram waits = compute.waits(slice.id, device, leases.now_ns());
  entry["qos_class"] = scheduling::qos_name(scheduling::qos_class(spec));
  entry["waits"] = waits.count();
  constexpr uint32_t kP99 = 990;
  entry["turn_wait_ns"] = compute.waited_ns(slice.id, device);
  entry["wait_p99_ns"] = waits.count() == 0 ? Json(nullptr) : Json(waits.quantile(kP99));
  entry["boost_permille"] = compute.boost_permille(slice.id, device);
}

void add_company(Json& entry, const ComputeBroker::Company& company) {
  entry["width_sms"] = company.width_sms == 0 ? Json(nullptr) : Json(company.width_sms);
  entry["side_by_side"] = company.now;
  entry["times_side_by_side"] = company.times;
}

}  // namespace

Json slice_json(const Slice& slice, LeaseService& leases) {
  const SliceUsage usage = leases.usage(slice.id);
  Json entry;
  entry["name"] = slice.name;
  entry["owner"] = slice.owner;
  entry["kept"] = slice.kept;
  entry["age_seconds"] = seconds_since(slice.created_ns, leases.now_ns());
  entry["processes_ever"] = usage.processes;
  const LeaseService::RoundFigures round = leases.round_figures(slice.id);
  entry["round_the_gate"] = round.times;
  entry["confined"] = round.confined;
  entry["isolated"] = leases.isolated(slice);
  entry["devices"] = Json::array();
  for (size_t i = 0; i < slice.devices.size(); ++i) {
    Json device = usage_json(slice.devices[i], usage.devices[i], leases.residency());
    if (leases.residency().in_use())
      device["memory_pressure_permille"] = leases.memory_pressure_permille(slice.id, i);
    add_shares(device, leases.shares(slice.id, i));
    add_qos(device, leases, slice, static_cast<uint32_t>(i));
    add_company(device, leases.compute().company(slice.id, static_cast<uint32_t>(i)));
    entry["devices"].push_back(std::move(device));
  }
  return entry;
}

Json swap_json(const LeaseService& leases) {
  const memory::SwapOptions& options = leases.swap_options();
  Json swap;
  swap["codec"] = memory::swap_encoding_name(options.encoding);
  swap["encrypted"] = options.encrypt;
  swap["directory"] = options.directory.empty() ? Json(nullptr) : Json(options.directory);
  const SwapSpace& space = leases.swap_space();
  swap["host_limit_bytes"] = space.in_use() ? Json(space.bound()) : Json(nullptr);
  swap["host_granted_bytes"] = space.in_use() ? Json(space.used_bytes()) : Json(nullptr);
  return swap;
}

double seconds_since(uint64_t then_ns, uint64_t now_ns) {
  return static_cast<double>(scheduling::elapsed(then_ns, now_ns)) / kNsPerSecond;
}

Result<uint32_t> gpu_index(const Json& gpu) {
  if (!gpu.is_number_unsigned() || gpu.get<uint64_t>() > UINT32_MAX) {
    return Status(Code::kInvalidArgument, "a GPU is named by its index");
  }
  return gpu.get<uint32_t>();
}

Result<SliceRequest> parse_slice_request(std::string_view text) {
  auto object = parse_json_object(text);
  SliceRequest request;
  request.name = json_string(*object, "name");
  request.program = json_string(*object, "program");
  for (const Json& gpu : json_array(*object, "gpus")) {
    TESSERA_ASSIGN_OR_RETURN(uint32_t index, gpu_index(gpu));
    request.gpus.push_back(index);
  }
  if (object->contains("memory_bytes") && json_array(*object, "memory_bytes").empty()) {
    return Status(Code::kInvalidArgument, "memory_bytes is not a list of numbers of bytes");
  }
  for (const Json& bytes : json_array(*object, "memory_bytes")) {
    if (!bytes.is_number_unsigned()) {
      return Status(Code::kInvalidArgument, "memory_bytes is not a list of numbers of bytes");
    }
    request.memory_bytes.push_back(bytes.get<uint64_t>());
  }
  for (const Json& compute : json_array(*object, "compute")) {
    TESSERA_RETURN_IF_ERROR(apply_compute_json(compute, request.compute.emplace_back()));
  }
  if (object->contains("memory")) {
    TESSERA_ASSIGN_OR_RETURN(request.memory, parse_memory_terms((*object)["memory"]));
  }
  request.kept = json_bool(*object, "kept");
  if (object->contains("packing")) {
    auto packing = partitioning::parse_packing(json_string(*object, "packing"));
    if (!packing) return Status(Code::kInvalidArgument, "packing is not spread or binpack");
    request.packing = *packing;
  }
  return request;
}

}  // namespace tessera::node

#include "node/slice_json.h"

#include "node/compute_json.h"
#include "node/memory_json.h"

namespace tessera::node {
namespace {

constexpr double kNsPerSecond = 1e9;

// Beside its numbers.
void add_rest(Json& entry, const PartFacts& part) {
  const DeviceUsage& usage = part.usage;
  entry["gate_waits"] = usage.gate_waits;
  entry["gate_wait_ns"] = usage.gate_wait_ns;
  entry["gate_wait_buckets"] = usage.gate_wait_buckets;
  entry["timed_kernels"] = usage.timed_kernels;
  entry["timed_kernel_ns"] = usage.timed_kernel_ns;
  entry["timed_kernel_buckets"] = usage.timed_kernel_buckets;
  entry["fault"] = usage.fault == 0 ? Json(nullptr) : Json(usage.fault);
  entry["memory"] = memory_json(part.device->memory);
  entry["compute"] = compute_json(part.device->compute);
  if (!part.device->sms.empty()) entry["sms"] = part.device->sms.text();
  entry["qos_class"] = scheduling::qos_name(scheduling::qos_class(part.device->compute));
  entry["turn"] = turn_name(part.turn);
  entry["width_sms"] = part.company.width_sms == 0 ? Json(nullptr) : Json(part.company.width_sms);
  entry["side_by_side"] = part.company.now;
}

// Sets what it is told under its name.
auto into(Json& entry) {
  return [&entry](const char* name, const auto& value) {
    if constexpr (requires { value.has_value(); }) {
      entry[name] = value ? Json(*value) : Json(nullptr);
    } else {
      entry[name] = value;
    }
  };
}

}  // namespace

const char* turn_name(vgpu::GateState state) {
  constexpr const char* kNames[] = {"free", "runs", "waits", "rests"};
  return kNames[static_cast<size_t>(state)];
}

Json slice_json(const SliceFacts& facts) {
  const Slice& slice = *facts.slice;
  Json entry;
  entry["name"] = slice.name;
  entry["owner"] = slice.owner;
  entry["kept"] = slice.kept;
  visit_facts(facts, into(entry));
  entry["devices"] = Json::array();
  for (const PartFacts& part : facts.parts) {
    Json device;
    device["gpu"] = part.device->gpu;
    visit_facts(part, into(device));
    add_rest(device, part);
    entry["devices"].push_back(std::move(device));
  }
  return entry;
}

Json slice_json(const Slice& slice, LeaseService& leases) { return slice_json(slice_facts(slice, leases)); }

Json swap_json(const LeaseService& leases) {
  const memory::SwapOptions& options = leases.swap_options();
  Json swap;
  swap["codec"] = memory::swap_encoding_name(options.encoding);
  swap["encrypted"] = options.encrypt;
  swap["directory"] = options.directory.empty() ? Json(nullptr) : Json(options.directory);
  swap["neighbour"] = memory::neighbour_use_name(options.neighbour_use);
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

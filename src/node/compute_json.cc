#include "node/compute_json.h"

namespace tessera::node {
namespace {

using partitioning::ComputeSpec;
using scheduling::kWhole;

bool is_capped(const ComputeSpec& spec) { return spec.cap_permille < kWhole; }

Status take_number(const Json& object, const char* key, uint32_t& value) {
  if (!object.contains(key)) return Status();
  const std::optional<uint64_t> number = json_uint(object, key);
  if (!number || *number > UINT32_MAX)
    return Status::error(Code::kInvalidArgument, "%s is not a number", key);
  value = static_cast<uint32_t>(*number);
  return Status();
}

}  // namespace

Status apply_compute_json(const Json& object, ComputeSpec& spec) {
  if (!object.is_object()) return Status(Code::kInvalidArgument, "compute is not an object");
  ComputeSpec changed = spec;
  TESSERA_RETURN_IF_ERROR(take_number(object, "share_permille", changed.share_permille));
  TESSERA_RETURN_IF_ERROR(take_number(object, "weight", changed.weight));
  if (object.contains("priority")) {
    auto priority = scheduling::parse_priority(json_string(object, "priority"));
    if (!priority) {
      return Status(Code::kInvalidArgument, "priority is not one of realtime, high, normal, low and idle");
    }
    changed.priority = *priority;
  }
  if (object.contains("slo_p99_ns")) {
    const std::optional<uint64_t> target = json_uint(object, "slo_p99_ns");
    if (!target) return Status(Code::kInvalidArgument, "slo_p99_ns is not a number");
    changed.target_wait_ns = *target;
  }
  if (object.contains("qos")) {
    const std::string name = json_string(object, "qos");
    changed.qos = scheduling::parse_qos(name);
    if (!changed.qos && name != "auto") {
      return Status(Code::kInvalidArgument, "qos is not one of guaranteed, burstable, best-effort and auto");
    }
  }
  if (object.contains("mode")) {
    auto mode = partitioning::parse_sm_mode(json_string(object, "mode"));
    if (!mode) return Status(Code::kInvalidArgument, "mode is not one of auto, time and space");
    changed.mode = *mode;
  }
  if (object.contains("gate_copies")) changed.gate_copies = json_bool(object, "gate_copies");
  const bool capped = object.contains("capped") ? json_bool(object, "capped") : is_capped(spec);
  if (capped && changed.share_permille == 0) {
    return Status(Code::kInvalidArgument, "a ceiling needs a share: give --sm with --sm-cap");
  }
  changed.cap_permille = capped ? changed.share_permille : kWhole;
  TESSERA_RETURN_IF_ERROR(check_compute(changed));
  spec = changed;
  return Status();
}

Json compute_json(const ComputeSpec& spec) {
  Json object;
  object["share_permille"] = spec.share_permille;
  object["capped"] = is_capped(spec);
  object["priority"] = scheduling::priority_name(spec.priority);
  object["weight"] = spec.weight;
  object["slo_p99_ns"] = spec.target_wait_ns;
  object["qos"] = spec.qos ? scheduling::qos_name(*spec.qos) : "auto";
  object["mode"] = partitioning::sm_mode_name(spec.mode);
  object["gate_copies"] = spec.gate_copies;
  return object;
}

}  // namespace tessera::node

#include "scheduling/tenant.h"

#include <array>

namespace tessera::scheduling {
namespace {

constexpr std::array<const char*, kPriorityClasses> kNames = {"realtime", "high", "normal", "low", "idle"};

constexpr std::array<const char*, 3> kQosNames = {"guaranteed", "burstable", "best-effort"};

}  // namespace

const char* qos_name(QosClass qos) { return kQosNames[static_cast<size_t>(qos)]; }

std::optional<QosClass> parse_qos(std::string_view name) {
  for (size_t i = 0; i < kQosNames.size(); ++i) {
    if (name == kQosNames[i]) return static_cast<QosClass>(i);
  }
  return std::nullopt;
}

QosClass qos_class(const TenantSpec& spec) {
  if (spec.qos) return *spec.qos;
  if (spec.share_permille != 0 && spec.cap_permille == spec.share_permille) return QosClass::kGuaranteed;
  return spec.share_permille != 0 || spec.target_wait_ns != 0 ? QosClass::kBurstable : QosClass::kBestEffort;
}

const char* priority_name(PriorityClass priority) { return kNames[static_cast<size_t>(priority)]; }

std::optional<PriorityClass> parse_priority(std::string_view name) {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (name == kNames[i]) return static_cast<PriorityClass>(i);
  }
  return std::nullopt;
}

Status check_spec(const TenantSpec& spec) {
  if (spec.weight < 1 || spec.weight > kMaxWeight) {
    return Status::error(Code::kInvalidArgument, "weight %u: expected 1 to %u", spec.weight, kMaxWeight);
  }
  if (spec.share_permille > kWhole) {
    return Status::error(Code::kInvalidArgument, "share %u/1000: a GPU has 1000", spec.share_permille);
  }
  if (spec.cap_permille < 1 || spec.cap_permille > kWhole) {
    return Status::error(Code::kInvalidArgument, "ceiling %u/1000: expected 1 to 1000", spec.cap_permille);
  }
  if (spec.cap_permille < spec.share_permille) {
    return Status::error(Code::kInvalidArgument, "ceiling %u/1000 is below the share of %u/1000",
                         spec.cap_permille, spec.share_permille);
  }
  if (spec.width_permille < 1 || spec.width_permille > kWhole) {
    return Status::error(Code::kInvalidArgument, "width %u/1000: expected 1 to 1000", spec.width_permille);
  }
  if (spec.target_wait_ns > kLongestTarget) {
    return Status::error(Code::kInvalidArgument, "a target wait of %.0f s: at most %.0f s",
                         static_cast<double>(spec.target_wait_ns) * 1e-9,
                         static_cast<double>(kLongestTarget) * 1e-9);
  }
  if (spec.qos == QosClass::kGuaranteed && spec.share_permille == 0) {
    return Status(Code::kInvalidArgument, "the class guaranteed needs a share: what is guaranteed otherwise");
  }
  if (spec.qos == QosClass::kBestEffort && (spec.share_permille != 0 || spec.target_wait_ns != 0)) {
    return Status(Code::kInvalidArgument,
                  "the class best-effort is promised nothing: it has neither a share nor a target");
  }
  return Status();
}

}  // namespace tessera::scheduling

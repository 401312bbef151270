#include "scheduling/tenant.h"

#include <array>

namespace tessera::scheduling {
namespace {

constexpr std::array<const char*, kPriorityClasses> kNames = {"realtime", "high", "normal", "low", "idle"};

}  // namespace

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
  return Status();
}

}  // namespace tessera::scheduling

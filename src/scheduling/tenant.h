// What a tenant of one GPU asked for, and how it stands: what policies look at.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/status.h"
#include "scheduling/time.h"

namespace tessera::scheduling {

using TenantId = uint32_t;  // small and dense: a place in the scheduler's table, used again after removal

// Most urgent first. A class goes before all below it, within the bounds that DeviceScheduler keeps.
enum class PriorityClass : uint8_t { kRealtime, kHigh, kNormal, kLow, kIdle };
inline constexpr size_t kPriorityClasses = 5;
const char* priority_name(PriorityClass priority);
std::optional<PriorityClass> parse_priority(std::string_view name);

// Who yields first where not all promises can be kept, as Kubernetes has it; see qos/qos_controller.h.
enum class QosClass : uint8_t { kGuaranteed, kBurstable, kBestEffort };
const char* qos_name(QosClass qos);  // "guaranteed", "burstable", "best-effort"
std::optional<QosClass> parse_qos(std::string_view name);

inline constexpr uint32_t kDefaultWeight = 100;
inline constexpr uint32_t kMaxWeight = 10'000;
inline constexpr Nanoseconds kLongestTarget = 60 * kSecond;

struct TenantSpec {
  PriorityClass priority = PriorityClass::kNormal;
  uint32_t weight =
      kDefaultWeight;  // 1 to kMaxWeight, against others of its class that have no share of their own
  uint32_t share_permille = 0;       // of the GPU's time, promised; 0: none, the weight decides
  uint32_t cap_permille = kWhole;    // at most this much even if the GPU would idle; kWhole: no ceiling
  uint32_t width_permille = kWhole;  // how much of the GPU it fills while it runs
  Nanoseconds target_wait_ns = 0;    // a launch should wait no longer than this (an SLO's p99); 0: no target
  std::optional<QosClass> qos;       // none: it follows from the rest, see qos_class()
};

// As said, or as Kubernetes would derive it: a share that is a ceiling, too, is guaranteed; any other promise
// is burstable; without one it is best-effort.
QosClass qos_class(const TenantSpec& spec);

// An error names the field and its range.
Status check_spec(const TenantSpec& spec);

struct Tenant {
  TenantSpec spec;
  // Millionths of the GPU where all tenants are busy; see DeviceScheduler.
  uint64_t entitled_weight = 0;
  uint64_t effective_weight = 0;     // times the boost: what policies go by
  uint32_t boost_permille = kWhole;  // of the weight, by the QoS manager
  bool runnable = false;             // has work queued or running
  Nanoseconds waiting_since = 0;     // while runnable without a grant
  Nanoseconds last_served = 0;       // end of its last grant
  Nanoseconds served_ns = 0;         // GPU time it had, ever
  Nanoseconds granted_ns = 0;        // length of its grants that have ended
  Nanoseconds waited_ns = 0;         // of its waits that have ended
  Nanoseconds kernel_ns = 0;         // moving mean of its kernels' lengths; 0: none seen yet
};

}  // namespace tessera::scheduling

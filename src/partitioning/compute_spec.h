// What a slice asks of one GPU's time and SMs.
#pragma once

#include <optional>
#include <string_view>

#include "scheduling/tenant.h"

namespace tessera::partitioning {

// How a promised share is held: in time, the slice takes turns with others; in space, some SMs are its own.
enum class SmMode : uint8_t {
  kAuto,  // in space where the share is a whole number of SMs and they are free, in time otherwise
  kTime,
  kSpace,
};
const char* sm_mode_name(SmMode mode);
std::optional<SmMode> parse_sm_mode(std::string_view name);

struct ComputeSpec : scheduling::TenantSpec {
  SmMode mode = SmMode::kAuto;
  bool gate_copies = false;  // copies and sets begin in its turn only, as kernels
};

// As scheduling::check_spec(), and a slice in space needs a share.
Status check_compute(const ComputeSpec& spec);

}  // namespace tessera::partitioning

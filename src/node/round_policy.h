// What becomes of a slice whose process goes round the gate.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "node/ledger.h"

namespace tessera::node {

enum class RoundPolicy : uint8_t {
  kWarn,  // it is logged, counted and shown
  kHard,  // and its share becomes its ceiling, or without one it comes last
  kStop,  // and the process is killed
};
std::optional<RoundPolicy> parse_round_policy(std::string_view name);

// What a slice has of a GPU while it is confined to `hard`.
SliceDevice confined_part(SliceDevice part);

}  // namespace tessera::node

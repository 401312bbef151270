#include "node/round_policy.h"

namespace tessera::node {

std::optional<RoundPolicy> parse_round_policy(std::string_view name) {
  if (name == "warn") return RoundPolicy::kWarn;
  if (name == "hard") return RoundPolicy::kHard;
  if (name == "stop") return RoundPolicy::kStop;
  return std::nullopt;
}

SliceDevice confined_part(SliceDevice part) {
  partitioning::ComputeSpec& spec = part.compute;
  if (spec.share_permille != 0) {
    spec.cap_permille = spec.share_permille;
  } else {
    spec.priority = scheduling::PriorityClass::kIdle;
    spec.target_wait_ns = 0;
    spec.qos.reset();
  }
  return part;
}

}  // namespace tessera::node

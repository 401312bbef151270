// A slice's part of a GPU's time and SMs, as requests and answers have it.
#pragma once

#include "common/status.h"
#include "node/json.h"
#include "partitioning/compute_spec.h"

namespace tessera::node {

// {"share_permille", "capped", "priority", "weight", "slo_p99_ns" (0: none), "qos" ("auto": by its
// promises), "mode"}: what is there changes `spec`, the rest stays. An error names the field and leaves
// `spec` alone.
Status apply_compute_json(const Json& object, partitioning::ComputeSpec& spec);

Json compute_json(const partitioning::ComputeSpec& spec);

}  // namespace tessera::node

// A slice's part of a GPU's time, as requests and answers have it.
#pragma once

#include "common/status.h"
#include "node/json.h"
#include "scheduling/tenant.h"

namespace tessera::node {

// {"share_permille", "capped", "priority", "weight", "slo_p99_ns" (0: none), "qos" ("auto": by its
// promises)}: what is there changes `spec`, the rest stays. An error names the field and leaves `spec` alone.
Status apply_compute_json(const Json& object, scheduling::TenantSpec& spec);

Json compute_json(const scheduling::TenantSpec& spec);

}  // namespace tessera::node

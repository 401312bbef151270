// What the tools show of GPUs and slices, as metrics for Prometheus.
#pragma once

#include <string>

#include "node/json.h"

namespace tessera::node {

// `gpus` as of gpus_json(), `slices` as the daemon's answer to "slices". What an answer lacks, or has as
// null, has no sample. docs/metrics.md says what there is.
std::string metrics_text(const Json& gpus, const Json& slices);

}  // namespace tessera::node

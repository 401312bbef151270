// The slice of a session that `tessera serve` makes for a client: what the client wishes, as far as its
// identity may have it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/compute_options.h"
#include "common/status.h"
#include "node/json.h"
#include "scheduling/tenant.h"

namespace tessera::cli {

// The most that a session of an identity gets; what is not said has no limit.
struct SessionLimits {
  std::vector<uint32_t> gpus;            // none but these; empty: any
  std::optional<uint64_t> memory_bytes;  // of each GPU
  std::optional<uint32_t> share_permille;
  std::optional<scheduling::PriorityClass> priority;
  std::optional<uint32_t> weight;
};

// A create_slice request (node/slice_json.h). `wishes` is JSON from the client, of the same form as that
// request's, and hostile; of it "program", "gpus", "memory_bytes" and "compute" count. What was not wished
// for is what the identity may have. kPermissionDenied, with both figures, where more is wished for;
// kInvalidArgument for wishes that are none.
Result<node::Json> session_slice_request(const std::string& identity, const SessionLimits& limits,
                                         const std::string& wishes);

}  // namespace tessera::cli

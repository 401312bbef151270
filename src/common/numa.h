// Memory and threads near one NUMA node. Only the system's calls: this is used in programs that are not ours.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/status.h"

namespace tessera {

// Pages of [memory, memory + bytes), whole pages that nobody has touched yet, come from the node as long as
// it has any. kUnsupported where the system has no such call, or does not let this process use it.
Status prefer_numa_node(void* memory, size_t bytes, uint32_t node);

// The calling thread runs on the node's processors, as far as it may run there at all. kNotFound where there
// is none of them, kFailedPrecondition where it may use none; then it runs where it did.
Status run_on_numa_node(uint32_t node);

}  // namespace tessera

// What a slice is promised of a GPU's memory beside its limit, as requests, answers and the journal have it.
#pragma once

#include "common/status.h"
#include "node/json.h"
#include "node/ledger.h"

namespace tessera::node {

// {"min_bytes", "weight", "copy_min", "copy_max"}: what of it is there. An error names the field.
Result<Ledger::MemoryChange> parse_memory_change(const Json& object);
// The same on the terms that all have who say nothing.
Result<partitioning::MemoryTerms> parse_memory_terms(const Json& object);
Json memory_json(const partitioning::MemoryTerms& terms);

}  // namespace tessera::node

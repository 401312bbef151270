#include "node/memory_json.h"

namespace tessera::node {

Result<Ledger::MemoryChange> parse_memory_change(const Json& object) {
  Ledger::MemoryChange change;
  if (!object.is_object()) return Status(Code::kInvalidArgument, "memory is not an object");
  if (object.contains("min_bytes")) {
    change.min_bytes = json_uint(object, "min_bytes");
    if (!change.min_bytes) return Status(Code::kInvalidArgument, "min_bytes is not a number of bytes");
  }
  if (object.contains("weight")) {
    const auto weight = json_uint(object, "weight");
    if (!weight || *weight > UINT32_MAX) return Status(Code::kInvalidArgument, "weight is not a number");
    change.weight = static_cast<uint32_t>(*weight);
  }
  if (object.contains("copy_min")) {
    change.copy_min = json_uint(object, "copy_min");
    if (!change.copy_min) return Status(Code::kInvalidArgument, "copy_min is not a number of bytes a second");
  }
  if (object.contains("copy_max")) {
    change.copy_max = json_uint(object, "copy_max");
    if (!change.copy_max) return Status(Code::kInvalidArgument, "copy_max is not a number of bytes a second");
  }
  return change;
}

Result<partitioning::MemoryTerms> parse_memory_terms(const Json& object) {
  TESSERA_ASSIGN_OR_RETURN(const Ledger::MemoryChange change, parse_memory_change(object));
  partitioning::MemoryTerms terms;
  return partitioning::MemoryTerms{
      change.min_bytes.value_or(terms.min_bytes), change.weight.value_or(terms.weight),
      change.copy_min.value_or(terms.copy_min), change.copy_max.value_or(terms.copy_max)};
}

Json memory_json(const partitioning::MemoryTerms& terms) {
  return {{"min_bytes", terms.min_bytes},
          {"weight", terms.weight},
          {"copy_min", terms.copy_min},
          {"copy_max", terms.copy_max}};
}

}  // namespace tessera::node

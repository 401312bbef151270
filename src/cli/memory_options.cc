#include "cli/memory_options.h"

#include <CLI/CLI.hpp>

#include "common/size.h"
#include "partitioning/residency.h"

namespace tessera::cli {

using partitioning::MemoryTerms;

Result<uint64_t> parse_memory(const std::string& text, const char* option) {
  auto bytes = parse_size(text);
  if (!bytes.ok()) return bytes.status().with_context(option);
  return bytes;
}

void add_memory_options(CLI::App* command, RawMemory& raw) {
  command
      ->add_option(
          "--mem-min", raw.min,
          "of --mem, what stays on each GPU where that is overcommitted, whoever else needs it; or 0")
      ->type_name("SIZE");
  command
      ->add_option(
          "--mem-weight", raw.weight,
          "how much of an overcommitted GPU's memory it has, and for how long, against others (default: "
          "100; at most 10000)")
      ->type_name("N");
}

Result<MemoryOptions> parse_memory_options(const RawMemory& raw) {
  MemoryOptions options;
  if (raw.min == "0") {
    options.min_bytes = 0;
  } else if (!raw.min.empty()) {
    TESSERA_ASSIGN_OR_RETURN(options.min_bytes, parse_memory(raw.min, "--mem-min"));
  }
  if (raw.weight && (*raw.weight < 1 || *raw.weight > MemoryTerms::kMostWeight)) {
    return Status::error(Code::kInvalidArgument, "--mem-weight: 1 to %u, not %u", MemoryTerms::kMostWeight,
                         *raw.weight);
  }
  options.weight = raw.weight;
  return options;
}

node::Json memory_request(const MemoryOptions& options) {
  node::Json request = node::Json::object();
  if (options.min_bytes) request["min_bytes"] = *options.min_bytes;
  if (options.weight) request["weight"] = *options.weight;
  return request;
}

}  // namespace tessera::cli

#include "cli/memory_options.h"

#include <CLI/CLI.hpp>

#include "common/size.h"
#include "partitioning/residency.h"
#include "remote/bandwidth/rate.h"

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
          "how much it copies to and from each GPU while others do, and of an overcommitted one's memory it "
          "has, and for how long, against others (default: 100; at most 10000)")
      ->type_name("N");
  command
      ->add_option("--copy-min", raw.copy_min,
                   "how fast it copies to and from each GPU, each way, as far as it wants to; or 0")
      ->type_name("RATE");
  command
      ->add_option("--copy-max", raw.copy_max, "how fast it copies there at most, each way; or 0: no bound")
      ->type_name("RATE");
}

namespace {

Result<std::optional<uint64_t>> parse_copy_rate(const std::string& text, const char* option) {
  if (text.empty()) return std::optional<uint64_t>();
  if (text == "0") return std::optional<uint64_t>(0);
  auto rate = remote::parse_rate(text);
  if (!rate.ok()) return rate.status().with_context(option);
  return std::optional<uint64_t>(*rate);
}

}  // namespace

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
  TESSERA_ASSIGN_OR_RETURN(options.copy_min, parse_copy_rate(raw.copy_min, "--copy-min"));
  TESSERA_ASSIGN_OR_RETURN(options.copy_max, parse_copy_rate(raw.copy_max, "--copy-max"));
  return options;
}

node::Json memory_request(const MemoryOptions& options) {
  node::Json request = node::Json::object();
  if (options.min_bytes) request["min_bytes"] = *options.min_bytes;
  if (options.weight) request["weight"] = *options.weight;
  if (options.copy_min) request["copy_min"] = *options.copy_min;
  if (options.copy_max) request["copy_max"] = *options.copy_max;
  return request;
}

}  // namespace tessera::cli

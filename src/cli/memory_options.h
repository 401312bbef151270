// The options of memory that commands have in common.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "common/status.h"
#include "node/json.h"

namespace CLI {
class App;
}

namespace tessera::cli {

Result<uint64_t> parse_memory(const std::string& text, const char* option = "--mem");

// What a slice is promised of each GPU's memory beside its limit; what is not said stays.
struct MemoryOptions {
  std::optional<uint64_t> min_bytes;
  std::optional<uint32_t> weight;
  std::optional<uint64_t> copy_min, copy_max;  // bytes a second

  bool empty() const { return !min_bytes && !weight && !copy_min && !copy_max; }
};

// As text, before it is checked.
struct RawMemory {
  std::string min;
  std::optional<uint32_t> weight;
  std::string copy_min, copy_max;
};

void add_memory_options(CLI::App* command, RawMemory& raw);
Result<MemoryOptions> parse_memory_options(const RawMemory& raw);
node::Json memory_request(const MemoryOptions& options);  // see node/memory_json.h

}  // namespace tessera::cli

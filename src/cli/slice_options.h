// What the user wants of which GPUs: the options that `run` and `slice` have in common.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/compute_options.h"
#include "cli/memory_options.h"
#include "cli/profiles.h"

namespace tessera::cli {

struct SliceOptions {
  std::vector<uint32_t> gpus;           // empty: tesserad chooses
  std::vector<uint64_t> memory_bytes;   // of each of `gpus`, or one for all; empty: no limit
  std::vector<ComputeOptions> compute;  // as memory_bytes
  MemoryOptions memory;
};

// As text, before it is checked.
struct RawSlice {
  std::vector<std::string> gpus;
  std::vector<std::string> memory;
  RawCompute compute;
  RawMemory qos;  // of memory
};

void add_slice_options(CLI::App* command, RawSlice& raw);
Status parse_slice_options(const RawSlice& raw, SliceOptions& options);
RawSlice raw_slice(const Profile& profile);

// {"gpus", "memory_bytes", "compute", "memory"}, as far as they were said; see node/slice_json.h.
node::Json slice_request(const SliceOptions& options);

}  // namespace tessera::cli

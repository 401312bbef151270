// `tessera run @NAME`: named sets of run options from YAML files.
//
//   profiles:
//     small:
//       gpu: 0              # or a list
//       mem: 2GiB           # or a list, one for each gpu
//       sm: 25
//       sm-cap: true
//       sm-mode: space
//       priority: high
//       weight: 200
//       slo: p99=2ms
//       qos: burstable
//       name: experiment
//       summary: true
//       json-summary: /tmp/figures.json
//       socket: /run/tessera/tesserad.sock
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/compute_options.h"
#include "cli/memory_options.h"
#include "common/status.h"

namespace tessera::cli {

// The options that a profile sets, as text, checked.
struct Profile {
  std::vector<std::string> gpus;
  std::vector<std::string> memory;
  RawMemory qos;  // of memory
  RawCompute compute;
  std::optional<std::string> name;
  std::optional<bool> summary;
  std::optional<std::string> json_summary;
  std::optional<std::string> socket;
};

// Where profiles are looked for, first come first served: the user's file, then the machine's.
std::vector<std::string> profile_files();

// The profile of that name in the first of `files` that has it. A file that is not there is passed over.
// Errors name file and line, what is wrong there, and what would be right.
Result<Profile> read_profile(const std::vector<std::string>& files, const std::string& name);

// The slices of a file, in its order: as profiles, under `slices:`, with the options of slices only. An error
// where there is none.
using NamedProfiles = std::vector<std::pair<std::string, Profile>>;
Result<NamedProfiles> read_slices(const std::string& path);

}  // namespace tessera::cli

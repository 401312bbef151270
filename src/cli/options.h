// What the user asked for, parsed and checked.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "cli/compute_options.h"
#include "cli/hami_environment.h"

namespace tessera::cli {

inline constexpr int kExitFailure = 1;
inline constexpr int kExitUsage = 2;

struct RunOptions {
  std::string socket;
  std::vector<uint32_t> gpus;           // empty: tesserad chooses
  std::vector<uint64_t> memory_bytes;   // of each of `gpus`, or one for all; empty: no limit
  std::vector<ComputeOptions> compute;  // as memory_bytes
  std::string name;
  bool summary = false;
  std::string json_summary;  // file, empty: none
  HamiSettings hami;         // what HAMi's variables say beyond the memory limit
  std::vector<std::string> command;
};
struct PsOptions {
  std::string socket;
  bool json = false;
};
struct SetOptions {
  std::string socket;
  bool json = false;
  std::string name;
  std::optional<uint32_t> gpu;  // none: every GPU of the slice
  std::optional<uint64_t> memory_bytes;
  ComputeOptions compute;  // one of the two is given at least
};
struct GpusOptions {
  std::string socket;
  bool json = false;
  std::optional<uint32_t> forgive;
};
struct DoctorOptions {
  std::string socket;
  bool json = false;
};
struct VersionOptions {};

using Options = std::variant<RunOptions, PsOptions, SetOptions, GpusOptions, DoctorOptions, VersionOptions>;

// Options, or the exit code where help was printed or the input is wrong; the message is printed already, one
// line.
std::variant<Options, int> parse_options(int argc, char** argv);

}  // namespace tessera::cli

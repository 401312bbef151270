// The options of `tessera slice ...`.
#pragma once

#include <optional>
#include <variant>

#include "cli/slice_options.h"

namespace tessera::cli {

struct SetOptions {
  std::string socket;
  bool json = false;
  std::string name;
  std::optional<uint32_t> gpu;  // none: every GPU of the slice
  std::optional<uint64_t> memory_bytes;
  MemoryOptions memory;
  ComputeOptions compute;  // one of the three is given at least
};
struct SlicePlanOptions {
  std::string socket;
  bool json = false;
  bool explain = false;
  std::string file;  // empty: one slice is planned, with these:
  SliceOptions slice;
};
struct SliceCreateOptions {
  std::string socket;
  bool json = false;
  std::string file;  // or:
  std::string name;
  SliceOptions slice;
  std::string packing;  // empty: tesserad's default
};
struct SliceListOptions {
  std::string socket;
  bool json = false;
};
struct SliceDeleteOptions {
  std::string socket;
  bool json = false;
  std::string name;
  bool when_unused = false;
};
struct SliceBalanceOptions {
  std::string socket;
  bool json = false;
  bool apply = false;
};
using SliceCommand = std::variant<SlicePlanOptions, SliceCreateOptions, SliceListOptions, SetOptions,
                                  SliceDeleteOptions, SliceBalanceOptions>;

// The option --socket, with the user's own as its default, and --json where it is wanted.
void add_common(CLI::App* command, std::string& socket, bool* json);

// `tessera set` and `tessera slice resize` are the same command.
class SetParser {
 public:
  void add(CLI::App* parent, const char* name, const char* description);
  bool chosen() const;
  Result<SetOptions> parse() const;

 private:
  CLI::App* command_ = nullptr;
  SetOptions options_;
  std::string memory_;
  RawMemory qos_;
  RawCompute compute_;
};

class SliceParser {
 public:
  void add(CLI::App& app);
  bool chosen() const;
  Result<SliceCommand> parse() const;

 private:
  Result<SliceCommand> parse_plan() const;
  Result<SliceCommand> parse_create() const;

  CLI::App* command_ = nullptr;
  CLI::App* plan_command_ = nullptr;
  CLI::App* create_command_ = nullptr;
  CLI::App* list_command_ = nullptr;
  CLI::App* delete_command_ = nullptr;
  CLI::App* balance_command_ = nullptr;
  SlicePlanOptions plan_;
  RawSlice plan_slice_;
  SliceCreateOptions create_;
  RawSlice create_slice_;
  SliceListOptions list_;
  SliceDeleteOptions delete_;
  SliceBalanceOptions balance_;
  SetParser resize_;
};

}  // namespace tessera::cli

// The options of `tessera trace ...`.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/status.h"

namespace CLI {
class App;
}

namespace tessera::cli {

struct TraceReplayOptions {
  bool json = false;
  std::string file;
  uint64_t memory_bytes = 0;  // of the device; 0: as much as it takes
};

// `record` runs a program, as `run` does: what is said here goes into RunOptions.
struct TraceRecordOptions {
  std::string socket;
  std::string output;
};

class TraceParser {
 public:
  void add(CLI::App& app);
  bool replay_chosen() const;
  bool record_chosen() const;
  Result<TraceReplayOptions> replay() const;
  const TraceRecordOptions& record() const { return record_; }
  // Of record: what follows its options.
  std::vector<std::string> remaining() const;

 private:
  CLI::App* replay_command_ = nullptr;
  CLI::App* record_command_ = nullptr;
  TraceReplayOptions replay_;
  TraceRecordOptions record_;
  std::string memory_;
};

}  // namespace tessera::cli

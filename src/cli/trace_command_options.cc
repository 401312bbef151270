#include "cli/trace_command_options.h"

#include <CLI/CLI.hpp>

#include "cli/slice_command_options.h"

namespace tessera::cli {

void TraceParser::add(CLI::App& app) {
  CLI::App* command = app.add_subcommand("trace", "record what programs allocate, and replay it");
  command->require_subcommand(1);

  record_command_ = command->add_subcommand("record", "run a program and write down what it allocates");
  record_command_->prefix_command();
  record_command_->footer(
      "The program and its arguments follow the options: tessera trace record --output FILE [--] program "
      "...\n"
      "A process that finds FILE made by another one writes to FILE.PID.");
  add_common(record_command_, record_.socket, nullptr);
  record_command_->add_option("--output", record_.output, "the log, a new file")
      ->type_name("FILE")
      ->required();

  replay_command_ =
      command->add_subcommand("replay", "say what the memory pool makes of a log, on no GPU at all");
  replay_command_->add_option("FILE", replay_.file, "what 'tessera trace record' wrote")->required();
  replay_command_->add_option("--mem", memory_, "memory of the device (default: as much as it takes)")
      ->type_name("SIZE");
  replay_command_->add_flag("--json", replay_.json, "print JSON");
}

bool TraceParser::replay_chosen() const { return static_cast<bool>(*replay_command_); }
bool TraceParser::record_chosen() const { return static_cast<bool>(*record_command_); }
std::vector<std::string> TraceParser::remaining() const { return record_command_->remaining(); }

Result<TraceReplayOptions> TraceParser::replay() const {
  TraceReplayOptions options = replay_;
  if (!memory_.empty()) {
    TESSERA_ASSIGN_OR_RETURN(options.memory_bytes, parse_memory(memory_));
  }
  return options;
}

}  // namespace tessera::cli

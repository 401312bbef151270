#include "cli/limit_command_options.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "cli/identity_options.h"
#include "cli/slice_command_options.h"

namespace tessera::cli {
namespace {

struct Limit {
  const char* name;  // as the identity file has it
  const char* text;
  const char* type;
  bool of_server;  // as a whole, too
};
constexpr Limit kLimits[] = {
    {"download", "bytes to its clients, the most: 1Gbit, 100MB/s or none", "RATE", true},
    {"upload", "bytes from its clients, likewise", "RATE", true},
    {"download-guaranteed", "bytes to its clients, whatever others want", "RATE", false},
    {"upload-guaranteed", "bytes from its clients, likewise", "RATE", false},
    {"link-weight", "against other identities, of the bandwidth that is left", "N", false},
    {"sessions", "at once; none: as many as the server takes", "N", false},
    {"rate", "new sessions a second", "N", false},
    {"mem", "memory of each GPU for sessions that begin from now on", "SIZE", false},
    {"sm", "percent of each GPU's time, likewise", "PERCENT", false},
    {"priority", "likewise", "CLASS", false},
    {"weight", "likewise", "N", false},
};
constexpr const char* kMaxSessions = "max-sessions";

bool is_of_server(const std::string& name) {
  if (name == kMaxSessions) return true;
  const auto* const found = std::find_if(std::begin(kLimits), std::end(kLimits),
                                         [&](const Limit& limit) { return limit.name == name; });
  return found != std::end(kLimits) && found->of_server;
}

Status of_whom(const char* option, bool wants_identity) {
  return Status::error(
      Code::kInvalidArgument, "--%s: %s", option,
      wants_identity ? "it is an identity's: name one" : "it is the server's, not an identity's");
}

}  // namespace

std::string default_admin_path(const std::string& daemon_socket) { return daemon_socket + ".serve"; }

void LimitParser::add(CLI::App& app) {
  command_ =
      app.add_subcommand("limit", "show and change the limits of a 'tessera serve' while sessions go on");
  add_common(command_, socket_, &options_.json);
  command_->add_option("IDENTITY", options_.identity, "whose; without it the server's as a whole");
  command_->add_option("--control", options_.control, "the server's own socket (default: by --socket)")
      ->type_name("PATH");
  values_.reserve(std::size(kLimits) + 1);
  for (const Limit& limit : kLimits) {
    auto& place = values_.emplace_back(limit.name, "");
    command_->add_option(std::string("--") + limit.name, place.second, limit.text)->type_name(limit.type);
  }
  auto& most = values_.emplace_back(kMaxSessions, "");
  command_->add_option("--max-sessions", most.second, "of the server, at once")->type_name("N");
}

bool LimitParser::chosen() const { return static_cast<bool>(*command_); }

// What is no value is told of before a server is asked.
Result<LimitOptions> LimitParser::parse() const {
  LimitOptions options = options_;
  if (options.control.empty()) options.control = default_admin_path(socket_);
  const bool of_identity = !options.identity.empty();
  for (const auto& [name, text] : values_) {
    if (command_->count("--" + name) == 0) continue;
    const bool of_server = is_of_server(name);
    if (!of_identity && !of_server) return of_whom(name.c_str(), true);
    if (of_identity && name == kMaxSessions) return of_whom(name.c_str(), false);
    remote::Identity identity;
    SessionLimits limits;
    remote::BandwidthTerms bandwidth;
    // As many sessions as an identity may have.
    const Status status =
        set_identity_option(name == kMaxSessions ? "sessions" : name, text, {identity, limits, bandwidth});
    if (!status.ok() || (name == kMaxSessions && text == "none"))
      return (status.ok() ? Status(Code::kInvalidArgument, "a number from 1 to 100000") : status)
          .with_context("--" + name);
    options.changes.emplace_back(name, text);
  }
  return options;
}

}  // namespace tessera::cli

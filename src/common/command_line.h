// What the programs say about a command line that CLI11 refused: one line, and the way out. For programs that
// link CLI11; nothing else includes it.
#pragma once

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

namespace tessera {

inline constexpr int kUsageExit = 2;

// "tessera slice create": as far as it was understood.
inline std::string chosen_command(const CLI::App& app) {
  std::string name = app.get_name();
  for (const CLI::App* command : app.get_subcommands()) name += " " + chosen_command(*command);
  return name;
}

inline int usage_error(const std::string& program, std::string message) {
  std::replace(message.begin(), message.end(), '\n', ' ');
  fprintf(stderr, "%s: %s; see '%s --help'\n", program.c_str(), message.c_str(), program.c_str());
  return kUsageExit;
}

inline int usage_error(const CLI::App& app, const CLI::ParseError& error) {
  const std::vector<std::string> unknown = app.remaining(true);
  std::string message = error.what();
  const std::string conversion = "Could not convert: ";
  const bool incomplete = dynamic_cast<const CLI::RequiredError*>(&error) != nullptr;
  if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr || (incomplete && !unknown.empty())) {
    // Where something is missing and something is unknown, the unknown was probably meant to be it.
    const auto option = std::find_if(unknown.begin(), unknown.end(),
                                     [](const std::string& word) { return word.starts_with("-"); });
    if (option != unknown.end()) {
      message = "unknown option '" + *option + "'";
    } else {
      message = (incomplete ? "unknown command '" : "unexpected argument '") + unknown.front() + "'";
    }
  } else if (dynamic_cast<const CLI::ConversionError*>(&error) != nullptr &&
             message.starts_with(conversion)) {
    message = message.substr(conversion.size());
    const size_t equals = message.find(" = ");
    if (equals != std::string::npos) {
      message =
          message.substr(0, equals) + ": not a number that it takes: '" + message.substr(equals + 3) + "'";
    }
  }
  return usage_error(chosen_command(app), message);
}

}  // namespace tessera

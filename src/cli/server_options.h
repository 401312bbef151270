// Which server's GPUs a program uses, and who it is there: options of `run`.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "common/status.h"

namespace CLI {
class App;
}

namespace tessera::cli {

struct ServerOptions {
  std::string server;  // empty: GPUs of this machine
  std::string token_file, identity;
  std::string ca, certificate, key;  // PEM files; empty: none
  bool checksums = false;
  bool durable = false;
  std::string journal;  // a size; empty: as it is
};

void add_server_options(CLI::App* command, ServerOptions& options);
// Errors name the option; a file that cannot be used is told of before the program starts.
Status check_server_options(const ServerOptions& options);

// Variables by which the guest finds the server (remote/client/connection.h). `wishes`: JSON.
std::vector<std::pair<std::string, std::string>> server_environment(const ServerOptions& options,
                                                                    const std::string& wishes);

}  // namespace tessera::cli

// The options of `tessera limit`.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "common/status.h"

namespace CLI {
class App;
}

namespace tessera::cli {

struct LimitOptions {
  std::string control;  // the server's socket
  bool json = false;
  std::string identity;  // empty: the server as a whole
  std::vector<std::pair<std::string, std::string>>
      changes;  // by their names in the identity file; empty: show
};

// Where `tessera serve` answers `tessera limit`, unless told otherwise.
std::string default_admin_path(const std::string& daemon_socket);

class LimitParser {
 public:
  void add(CLI::App& app);
  bool chosen() const;
  Result<LimitOptions> parse() const;

 private:
  CLI::App* command_ = nullptr;
  LimitOptions options_;
  std::string socket_;
  std::vector<std::pair<std::string, std::string>> values_;
};

}  // namespace tessera::cli

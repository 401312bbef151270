// The options of `tessera serve`.
#pragma once

#include <string>
#include <vector>

#include "common/status.h"
#include "remote/transport/address.h"

namespace CLI {
class App;
}

namespace tessera::cli {

struct ServeOptions {
  std::string socket;
  bool json = false;
  std::vector<remote::Address> listen;
  std::string tls_certificate, tls_key, client_ca;  // files; empty: none
  std::string identities, token_file;
  size_t most_sessions = 0;
  double keep_seconds = 0;            // a session that waits for its client
  std::string admin_path;             // for `tessera limit`; empty: by the daemon's socket
  uint64_t download = 0, upload = 0;  // of all clients together, bytes a second; 0: no limit
  std::string cache_directory;        // empty: nothing is kept of what clients send
  uint64_t cache_bytes = 0, cache_identity_bytes = 0;
};

class ServeParser {
 public:
  void add(CLI::App& app);
  bool chosen() const;
  Result<ServeOptions> parse() const;

 private:
  CLI::App* command_ = nullptr;
  ServeOptions options_;
  std::vector<std::string> listen_;
  std::string most_sessions_, keep_, download_, upload_, cache_size_, cache_per_identity_;
};

}  // namespace tessera::cli

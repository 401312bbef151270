// Where the daemon listens for HTTP, who may ask, and what a request must say for that. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/status.h"

namespace tessera::node {

struct HttpAddress {
  std::string host;   // numeric, IPv6 without brackets
  uint16_t port = 0;  // 0: any that is free
  bool is_v6 = false;
  bool is_loopback = false;

  // "127.0.0.1:9400", "[::1]:9400".
  std::string text() const;
};

// "127.0.0.1:9400", "[::1]:9400", or "9400" on the loopback. Names are refused: what they stand for may
// change.
Result<HttpAddress> parse_http_address(std::string_view text);

// Whether a request's Host header means this machine: an address of the loopback or "localhost", with any
// port. A page of elsewhere whose name was made to point here (DNS rebinding) names itself.
bool is_local_host(std::string_view host);

// A bearer token: 16 to 512 characters of RFC 6750's b64token, in a file that only its owner can read.
Result<std::string> read_http_token(const std::string& path);

// Whether an Authorization header carries the token; takes as long wherever they differ.
bool carries_token(std::string_view authorization, std::string_view token);

}  // namespace tessera::node

// Where a server listens, as people write it:
//
//   host:7070   tcp://host:7070   tls://host:7070   [::1]:7070   shm:/run/gpu.sock   unix:/run/gpu.sock
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"

namespace tessera::remote {

enum class Flavour : uint8_t { kTcp = 1, kTls = 2, kShm = 3, kUnix = 4 };

const char* flavour_name(Flavour flavour);  // "tcp", "tls", "shm", "unix"
// Whether it goes through a socket in the file system, which only this machine's processes can reach.
constexpr bool is_local(Flavour flavour) { return flavour == Flavour::kShm || flavour == Flavour::kUnix; }

struct Address {
  Flavour flavour = Flavour::kTcp;
  std::string host;  // of tcp and tls: a name or an address, without brackets
  uint16_t port = 0;
  std::string path;  // of shm and unix: absolute

  bool operator==(const Address&) const = default;
};

inline constexpr size_t kMostAddresses = 64;

// kInvalidArgument, with what would be right, for anything else than the forms above. Port 0, which is any
// that is free, only where a server may listen there.
enum class Purpose { kConnect, kListen };
Result<Address> parse_address(std::string_view text, Purpose purpose = Purpose::kConnect);
// "a:7070,b:7070": one to kMostAddresses of them.
Result<std::vector<Address>> parse_addresses(std::string_view text);
// The form that parse_address reads; always with its scheme.
std::string to_text(const Address& address);

}  // namespace tessera::remote

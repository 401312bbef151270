// Connecting to where a server listens, and listening there.
#pragma once

#include <cstdint>
#include <vector>

#include "common/fd.h"
#include "remote/transport/address.h"

namespace tessera::remote {

// A connected, non-blocking socket. Tries each address that the name has, until `deadline_ns` (of
// monotonic_ns()); the resolver's own time-outs come on top. kUnavailable where nobody listens, kNotFound
// where no host has that name.
Result<UniqueFd> dial(const Address& address, uint64_t deadline_ns);

// Non-blocking sockets that listen there: several where the name has several addresses. Port 0 is any that is
// free. A socket file is made with mode 0600; one that nobody listens on any more is replaced.
Result<std::vector<UniqueFd>> listen_at(const Address& address, int queue);
// The port that a socket is bound to.
Result<uint16_t> bound_port(int socket);

// Whether every address of that name is this machine's loopback; a socket file is.
Result<bool> is_loopback(const Address& address);

}  // namespace tessera::remote

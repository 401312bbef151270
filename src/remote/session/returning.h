// A session's own process and the connections that its client makes later: the server's front hands them over
// (front/front.h), and here they are made sure of.
#pragma once

#include <cstdint>
#include <memory>

#include "common/fd.h"
#include "remote/session/preamble.h"
#include "remote/session/proof.h"
#include "remote/transport/transport.h"

namespace tessera::remote {

// A connection whose preamble names this session; nothing is known of who made it.
struct Returning {
  Preamble preamble;
  UniqueFd socket;
};

struct Returned {
  ConnectionKind kind = ConnectionKind::kResume;
  std::unique_ptr<Transport> transport;
};

// Greets it, shakes hands for TLS with a key that the secret makes, and lets it prove the secret, until
// `deadline_ns` (of monotonic_ns()). After kResume the new secret holds. A client that fails has been
// told why. Several threads may each serve one; a thread should, as whoever connects may be slow on purpose.
Result<Returned> accept_returning(Returning connection, SessionSecrets& secrets, uint64_t deadline_ns);

}  // namespace tessera::remote

// What a client does to have a session on a server, to come back to it after its connection has broken, and
// to have further connections of it. Deadlines are of monotonic_ns().
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "remote/session/messages.h"
#include "remote/transport/address.h"
#include "remote/transport/transport.h"

namespace tessera::remote {

struct Credentials {
  std::string identity;     // empty: the one that goes with the token or the certificate
  std::string token;        // empty: none
  std::string ca;           // PEM file that the server's certificate is checked with; empty: the system's
  std::string certificate;  // PEM files to show; empty: none
  std::string key;
  bool checksums = false;  // of the session, both ways: for networks that alter bytes
};

struct Opened {
  std::unique_ptr<Transport> transport;
  SessionId session{};
  Secret secret{};
};

// `wishes` is JSON, kMostWishesBytes at most, for whoever makes the session. Errors say what the server wants
// instead.
Result<Opened> open_session(const Address& address, const Credentials& credentials, const std::string& wishes,
                            uint64_t deadline_ns);

// The main connection anew. `secret` becomes the new one that the server gives, which holds from then on;
// where this fails it may have, too, and still holds. kNotFound: the server has no such session any more;
// kPermissionDenied: it is not ours; kUnavailable and kDeadlineExceeded: another attempt may succeed.
Result<std::unique_ptr<Transport>> resume_session(const Address& address, const Credentials& credentials,
                                                  const SessionId& session, Secret& secret,
                                                  uint64_t deadline_ns);

// A further connection; the secret stays.
Result<std::unique_ptr<Transport>> open_stripe(const Address& address, const Credentials& credentials,
                                               const SessionId& session, const Secret& secret,
                                               uint64_t deadline_ns);

// A token as it is kept in a file: one line, without blanks around it.
Result<std::string> read_token(const std::string& path);

}  // namespace tessera::remote

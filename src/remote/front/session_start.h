// What the process of a session begins with.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "cache/content_cache.h"
#include "common/fd.h"
#include "remote/bandwidth/session_bandwidth.h"
#include "remote/session/identities.h"
#include "remote/session/preamble.h"
#include "remote/session/proof.h"
#include "remote/session/returning.h"
#include "remote/transport/transport.h"

namespace tessera::remote {

struct SessionStart {
  std::unique_ptr<Transport> transport;  // null until the client has been answered
  SessionId id{};
  std::unique_ptr<SessionSecrets> secrets;
  Identity identity;       // without its token
  std::string wishes;      // JSON from the client, kMostWishesBytes at most: hostile
  std::string peer;        // where it connects from, for the log
  std::string driver;      // the libcuda.so.1 that the session uses: prepare() says which
  bool checksums = false;  // the client checks what comes, and wants its own to be
  Bytes32 tenant_key{};    // of what processes of the identity hand each other (session/sealed.h)
  UniqueFd control;        // see control.h
  std::shared_ptr<SessionBandwidth> bandwidth;  // null: no limit
  cache::ContentCache::Options content;         // what its identity has sent; no directory: nothing is kept
  UniqueFd client;  // a pidfd of the client's process, where it is one of this machine and known
  // Without a connection the session is kept so long for a client that has fallen silent; and a sixth of it
  // for one whose connection was closed or reset, as a process that dies leaves it: a client that lives comes
  // back at once.
  std::chrono::nanoseconds keep = std::chrono::seconds(60);
};

// accept_returning() for a connection that the front has handed over (control.h), within the session's
// bandwidth.
Result<Returned> accept_connection(const SessionStart& start, Returning connection, uint64_t deadline_ns);

// Both run in the session's own process, which was forked from the front and holds no descriptor of it.
struct SessionHooks {
  // Before the client is answered; where it fails the client is refused with that reason. May be empty.
  std::function<Status(SessionStart& start)> prepare;
  // The session; the process ends with what it returns, without destructors of the front.
  std::function<int(SessionStart start)> run;
};

}  // namespace tessera::remote

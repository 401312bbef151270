// The process of a session, from the fork on.
#pragma once

#include <initializer_list>

#include "remote/front/pending_connection.h"
#include "remote/front/session_start.h"

namespace tessera::remote {

// What the front has of a new session.
struct NewSession {
  std::unique_ptr<Transport> transport;  // of shm: still its socket
  std::string answer;                    // what tells the client of its session
  Flavour flavour = Flavour::kTcp;
  Secret secret{};
  BandwidthPage* bandwidth = nullptr;  // null: nobody counts
  SessionStart start;                  // without transport and secrets
};

// In a new process of the front: lets go of all descriptors but standard streams and these, and of its ways
// with signals.
void begin_process(std::initializer_list<int> keep);

// Never returns. Lets go of all of the front's descriptors but this session's, prepares it, answers the
// client and runs it.
[[noreturn]] void become_session(NewSession session, const SessionHooks& hooks);

inline constexpr int kExitRefused = 3;  // the client was told why, or has gone before

}  // namespace tessera::remote

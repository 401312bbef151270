// What both sides say before a session and around its messages, damaged in every place: nothing may be taken
// for what it is not.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace tessera::remote {

struct DamageCheck {
  std::string what;
  size_t round_trips = 0;  // that came back as they were
  size_t damaged = 0;      // in one place each
  size_t caught = 0;       // of those: refused, or known to be something else
};

// Preambles, greetings, messages of the handshake: cut at every place, and every bit turned round.
DamageCheck check_handshake(std::vector<std::string>& failures);
// Frames of a checked link: every bit of a stream's beginning turned round. What is read is what was sent, or
// nothing.
DamageCheck check_frames(std::vector<std::string>& failures);

}  // namespace tessera::remote

// A session that sends back what it gets, for tests of the front; a few bytes are questions.
#pragma once

#include <signal.h>

#include "common/fd.h"
#include "remote/front/session_start.h"

namespace tessera::remote {

// Asked alone, each has an answer of 32 bytes.
inline constexpr char kAskPid = '\x01';
inline constexpr char kAskIdentity = '\x02';
inline constexpr char kAskWishes = '\x03';
inline constexpr char kAskTokens = '\x04';              // how many it knows
inline constexpr char kStayWithoutConnection = '\x05';  // until its client is back
inline constexpr char kIgnoreTheFront = '\x06';
inline constexpr char kEndNow = '\x07';

int run_echo_session(SessionStart start);

// A descriptor, non-blocking, that is readable when one of these blocked signals comes.
int signalfd_for(const sigset_t& signals);

}  // namespace tessera::remote

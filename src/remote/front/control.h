// Between a server's front and the process of a session: connections that the client makes later are handed
// over, and the session is asked to end. Where the front has gone, the other end of the socket has.
#pragma once

#include "common/fd.h"
#include "remote/session/returning.h"

namespace tessera::remote {

struct ControlPair {
  UniqueFd front, session;
};
Result<ControlPair> make_control();

// The front's side. kUnavailable where the session does not take what it is sent.
Status hand_over(int control, const Returning& connection);
Status ask_to_end(int control);

struct ControlEvent {
  enum class Kind { kNothing, kConnection, kEnd, kGone };
  Kind kind = Kind::kNothing;
  Returning connection;  // of kConnection: for accept_returning()
};

// The session's side, without waiting: poll(2) says when there is something.
Result<ControlEvent> receive_control(int control);

}  // namespace tessera::remote

// What a process that was forked ahead is told of the session that it becomes: one message with the client's
// socket. Between the front and a process of its own making, over a socket that nobody else has.
#pragma once

#include "remote/front/session_process.h"

namespace tessera::remote {

// kUnavailable: the process does not take it. kResourceExhausted: more than goes into a message.
Status send_order(int control, const NewSession& session, int socket);

// Without waiting. What comes has everything of a NewSession but what the process has already: the page and
// the control socket. kUnavailable where the front has gone.
Result<NewSession> receive_order(int control);

}  // namespace tessera::remote

// The process of a session: what `tessera serve` runs for each (front/session_start.h).
#pragma once

#include "remote/front/session_start.h"

namespace tessera::remote {

// Serves the client until the session ends; start.driver says which libcuda.so.1. The exit status of the
// process.
int run_session(SessionStart start);

// In the process that sessions are forked from: what each would look up for itself is there already. Nothing
// of the driver is called.
void prepare_sessions(const std::string& driver);

}  // namespace tessera::remote

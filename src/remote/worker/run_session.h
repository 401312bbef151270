// The process of a session: what `tessera serve` runs for each (front/session_start.h).
#pragma once

#include "remote/front/session_start.h"

namespace tessera::remote {

// Serves the client until the session ends; start.driver says which libcuda.so.1. The exit status of the
// process.
int run_session(SessionStart start);

}  // namespace tessera::remote

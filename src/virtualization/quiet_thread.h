// Threads of ours in a program that knows nothing of them.
#pragma once

#include <pthread.h>

#include "common/status.h"

namespace tessera::vgpu {

// Small stack, all signals blocked: the program's signals are for threads it knows.
Result<pthread_t> start_quiet_thread(const char* name, void* (*body)(void*), void* argument);

}  // namespace tessera::vgpu

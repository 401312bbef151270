// Threads of the driver's own, in a program that does not know about them.
#pragma once

#include <functional>

namespace tessera::softgpu {

// Starts a detached thread that takes no signals: the program's handlers run on the program's threads.
void start_thread(const char* name, std::function<void()> body);

}  // namespace tessera::softgpu

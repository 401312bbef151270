// Pages of a new process, got before they are needed: each costs a fault, tens of microseconds on a virtual
// machine, and a session's start would meet some two hundred one by one.
#pragma once

#include <cstddef>

namespace tessera::remote {

// All that is mapped and not large. Its own memory is copied from the process that it was forked from; what
// is in files is only looked up. What cannot be had now comes when it is touched.
void make_resident();
// What so many threads, started later, will have for stacks, and they and the caller for what they allocate
// next.
void make_threads_resident(size_t count);

}  // namespace tessera::remote

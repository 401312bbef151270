// Threads that do little, and that others wait for.
#pragma once

namespace tessera {

// Where all processors are busy a thread that wakes up waits for the one before it to have had its slice,
// some milliseconds on a kernel that looks 250 times a second. One that says that it needs little at a time
// goes first (Linux 6.12, sched_setattr(2): the slice of a thread without a real-time policy); its part of
// the processor stays what it was. For the calling thread; what it starts has what it would have had. Does
// nothing where the kernel does not know it, or where the thread's policy is another one.
void ask_for_short_slices();

}  // namespace tessera

// Places at which a test lets a process die: in a build with TESSERA_FAILPOINTS, a process whose environment
// has TESSERA_FAILPOINT=NAME or NAME:N kills itself with SIGKILL when it passes the place NAME, the N-th time
// (first). In every other build a failpoint is nothing at all.
#pragma once

namespace tessera {

#ifdef TESSERA_FAILPOINTS
void failpoint(const char* name);
#else
inline void failpoint(const char*) {}
#endif

}  // namespace tessera

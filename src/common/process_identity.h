// A process, told apart from a later one that was given the same pid.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "common/status.h"

namespace tessera {

struct ProcessIdentity {
  pid_t pid = 0;
  uint64_t start_ticks = 0;  // field 22 of /proc/PID/stat: clock ticks since boot

  bool operator==(const ProcessIdentity&) const = default;
};

// Who `pid` is now. kNotFound if there is no such process or it is a zombie (it holds nothing any more).
Result<ProcessIdentity> identify_process(pid_t pid);
// This process; computed anew at each call, so right after fork.
ProcessIdentity this_process();
// Whether that very process still runs (a zombie does not).
bool is_alive(const ProcessIdentity& process);

}  // namespace tessera

// Children that print: what may hang or crash in a driver is asked there.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "common/fd.h"
#include "common/status.h"

namespace tessera::node {

struct PrintingChild {
  pid_t pid = 0;
  UniqueFd output;  // does not block
};

// The command's first word is a path. The child has the environment of this process and blocks no signals.
Result<PrintingChild> start_printing(const std::vector<std::string>& command);

}  // namespace tessera::node

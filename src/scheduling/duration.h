// Times as people write them: "500us", "10ms", "2s", "1.5s".
#pragma once

#include <string>

#include "common/status.h"
#include "scheduling/time.h"

namespace tessera::scheduling {

// At most a million seconds; a unit is needed. Everything else is kInvalidArgument.
Result<Nanoseconds> parse_duration(const std::string& text);

}  // namespace tessera::scheduling

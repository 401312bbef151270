// Reaches the daemon, starting one where none runs.
#pragma once

#include <string>

#include "node/client.h"

namespace tessera::cli {

Result<node::ControlClient> connect_or_start(const std::string& socket);

}  // namespace tessera::cli

// Asks the driver without a daemon, in a child process: a broken driver must not take the tool along.
#pragma once

#include "node/inventory.h"

namespace tessera::cli {

Result<node::Inventory> probe_inventory();

}  // namespace tessera::cli

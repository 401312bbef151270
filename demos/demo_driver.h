// The driver that demonstrations work on, the slice's in a slice, and how they end.
#pragma once

#include "common/status.h"
#include "cuda/driver_table.h"

namespace demo {

// Ends the program with "PROGRAM: WHAT failed".
void require(bool ok, const char* what);

// With a context of GPU 0 current. Prints which GPU it is.
tessera::Result<tessera::cuda::DriverTable> start_driver(const char* program);

}  // namespace demo

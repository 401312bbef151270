// Writes down what a program allocates and frees, for `tessera trace replay`. In front of all else that the
// vGPU does with these calls: what is recorded is what the program asked for and was given.
#pragma once

#include <string>

#include "cuda/driver_table.h"

namespace tessera::vgpu {

// From the first allocation on, into a new file at `path`; where there is one, another process's, at
// "path.PID". A forked child records nothing. Once per process.
void record_allocations(cuda::DriverTable& upper, std::string path);

}  // namespace tessera::vgpu

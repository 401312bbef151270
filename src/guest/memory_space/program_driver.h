// The driver of the program that this library is in.
#pragma once

#include "common/status.h"
#include "cuda/driver_table.h"

namespace tessera::guest {

// Initialised. `wanted`: "nvidia", "software" or an absolute path; null: what the program itself has under
// the name libcuda.so.1, which in a slice is Tessera's and keeps the slice's limit. Where it has none, or
// TESSERA_DRIVER names another one and there is no slice to be in, the one that is found as everywhere.
Result<cuda::DriverTable> load_program_driver(const char* wanted);

// kNotFound where the driver has no such device.
Status check_device(const cuda::DriverTable& driver, CUdevice device);

}  // namespace tessera::guest

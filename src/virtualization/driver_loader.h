// Loads a driver library as a table of functions.
#pragma once

#include <string>

#include "common/status.h"
#include "cuda/driver_table.h"
#include "cuda/nvml_table.h"

namespace tessera::vgpu {

// A library stays loaded for the life of the process: drivers start threads and are called at exit.
Result<void*> load_library(const std::string& path);

// Every function of the driver at `path` (absolute: a bare name would find the guest). What it lacks stays
// null.
Result<cuda::DriverTable> load_driver(const std::string& path);
// The driver that the program itself gets by the name of libcuda.so.1: in a slice the guest, which keeps its
// limit. For libraries that programs link; kNotFound where there is none.
Result<cuda::DriverTable> load_program_driver();
// The one at `path`, which may be the guest: for processes that are programs of a slice themselves.
Result<cuda::DriverTable> load_program_driver(const std::string& path);
// For processes that are forked later and load it then: it is there already. Nothing of it is called.
void load_ahead(const std::string& path);
Result<cuda::NvmlTable> load_nvml(const std::string& path);

}  // namespace tessera::vgpu

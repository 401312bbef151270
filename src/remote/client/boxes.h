// Two- and three-dimensional copies and copies of arrays.
#pragma once

#include "cuda/driver_table.h"

namespace tessera::remote {

void install_box_calls(cuda::DriverTable& table);
// A copy between memory of the program and the device, where the program's is to be memory that both sides
// have: for nodes of graphs and captures. Resolves kinds of memory that are to be found out.
CUresult share_box_memory(CUDA_MEMCPY3D& copy);

}  // namespace tessera::remote

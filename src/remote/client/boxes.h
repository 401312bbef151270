// Two- and three-dimensional copies and copies of arrays.
#pragma once

#include "cuda/driver_table.h"

namespace tessera::remote {

void install_box_calls(cuda::DriverTable& table);
// Of these, batches; and the forms of CUDA 2.
void install_box_batches(cuda::DriverTable& table);
void install_early_boxes(cuda::DriverTable& table);
// In the stream; kinds of memory are found out.
CUresult copy_box_async(const CUDA_MEMCPY3D& copy, CUstream stream, bool per_thread);
// A copy between memory of the program and the device, where the program's is to be memory that both sides
// have: for nodes of graphs and captures. Resolves kinds of memory that are to be found out.
CUresult share_box_memory(CUDA_MEMCPY3D& copy);

}  // namespace tessera::remote

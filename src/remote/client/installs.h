// The calls that are written by hand, by topic: each puts its own into the table.
#pragma once

#include "cuda/driver_table.h"

namespace tessera::remote {

void install_device_calls(cuda::DriverTable& table);
void install_lookup_calls(cuda::DriverTable& table, const cuda::DriverTable& exported);
void install_context_calls(cuda::DriverTable& table);
void install_stream_calls(cuda::DriverTable& table);
void install_code_calls(cuda::DriverTable& table);
void install_launch_calls(cuda::DriverTable& table);
void install_memory_calls(cuda::DriverTable& table);
void install_copy_calls(cuda::DriverTable& table);
void install_graph_calls(cuda::DriverTable& table);
void install_graph_print(cuda::DriverTable& table);

}  // namespace tessera::remote

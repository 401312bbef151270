// NVML of GPUs across the wire.
#pragma once

#include "cuda/nvml_table.h"
#include "remote/client/connection.h"

namespace tessera::remote {

// Functions that tell which GPUs the servers lend, by what these said: names, UUIDs, places, memory. The
// others stay null. Nothing is connected before nvmlInit.
void install_remote_nvml(cuda::NvmlTable& table, RemoteConfig config);

}  // namespace tessera::remote

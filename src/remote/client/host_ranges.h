// Addresses that may be the program's or a device's.
#pragma once

#include <cstdint>

#include "cuda/abi.h"

namespace tessera::remote {

bool is_host_address(uint64_t address);
bool is_captured_stream(CUstream stream, bool per_thread);
// Makes it memory that both sides have, and compare: for what is run later than it is called.
CUresult share_host_memory(const void* host, uint64_t bytes);

}  // namespace tessera::remote

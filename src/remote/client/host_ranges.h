// Addresses that may be the program's or a device's.
#pragma once

#include <cstdint>

#include "common/bytes.h"
#include "cuda/abi.h"
#include "remote/client/host_memory.h"

namespace tessera::remote {

class Session;

bool is_host_address(uint64_t address);
// The session that has [address, address + bytes) as memory of the program: the current one's, where several
// have.
Session* find_host_range(uint64_t address, uint64_t bytes, HostRange* range);
// Memory of the program that these parameters name, and that another server was told of, is this one's, too.
void share_named_memory(Session& session, ByteSpan parameters);
bool is_captured_stream(CUstream stream, bool per_thread);
// Makes it memory that both sides have, and compare: for what is run later than it is called.
CUresult share_host_memory(const void* host, uint64_t bytes);

}  // namespace tessera::remote

// Slices in requests and answers of the control protocol.
#pragma once

#include "node/json.h"
#include "node/slice_facts.h"

namespace tessera::node {

// {"name", "owner", "age_seconds", "processes_ever", "devices": [...]}.
Json slice_json(const Slice& slice, LeaseService& leases);
Json slice_json(const SliceFacts& facts);
// What a slice on a GPU does about its turn: "free" (nobody else wants the GPU), "runs", "waits" or "rests".
const char* turn_name(vgpu::GateState state);
// How memory is kept that is off the GPUs, and how much of the host's it takes.
Json swap_json(const LeaseService& leases);
// An earlier daemon's moment may lie ahead: then none have gone by.
double seconds_since(uint64_t then_ns, uint64_t now_ns);

Result<uint32_t> gpu_index(const Json& gpu);
// Of create_slice; the token and the owner are not in it.
Result<SliceRequest> parse_slice_request(std::string_view text);

}  // namespace tessera::node

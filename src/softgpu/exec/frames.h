// Register frames and local memory of a warp.
#pragma once

#include "softgpu/exec/warp.h"

namespace tessera::softgpu::exec {

// The frame of the entry function, for all lanes. Call once the warp's lanes are known.
void push_entry_frame(WarpState& warp, const DecodedFunction& function);
// Drops what was called and sets the block index again, for another block of the same launch.
void refresh_entry_frame(WarpState& warp);
// A frame for `mask` lanes that call `function`; false where the stack is exhausted. May move all frames.
bool push_frame(WarpState& warp, const DecodedFunction& function, uint32_t mask, uint32_t parent,
                uint32_t call_pc, uint32_t* index);
// More local memory behind what the frame has, for all its lanes; false where the stack is exhausted.
// `address` is in the local space. The alignment is a power of two.
bool extend_frame(WarpState& warp, uint32_t index, uint64_t bytes, uint32_t alignment, uint32_t* address);
// Lanes that left a frame for good; frames without lanes at the top are dropped.
void leave_frame(WarpState& warp, uint32_t index, uint32_t mask);

// Copies call parameters: rows of 32 words, only the lanes of `mask`.
void copy_parameters(std::byte* to, const std::byte* from, uint32_t bytes, uint32_t mask);

// A lane's memory at a generic address, for the device runtime; null where [address, address+size) is not
// readable.
const std::byte* readable(WarpState& warp, uint32_t lane, uint64_t address, uint64_t size);

}  // namespace tessera::softgpu::exec

// Arguments and results of calls to the device's runtime, and the memory they point to.
#pragma once

#include <cstddef>
#include <cstdint>

#include "softgpu/exec/warp.h"

namespace tessera::softgpu::exec {

// Word `word` of a lane's argument `index`; 0 beyond its end.
uint32_t argument_word(const CallSite& site, const std::byte* frame, size_t index, uint32_t word,
                       uint32_t lane);
// The argument's first 8 bytes.
uint64_t argument(const CallSite& site, const std::byte* frame, size_t index, uint32_t lane);
// The result, where the caller takes one.
void write_result(const CallSite& site, std::byte* frame, uint32_t lane, uint64_t value);
// Writes `size` bytes to a generic address of a lane; false where it may not.
bool write_to(WarpState& warp, uint32_t lane, uint64_t address, const void* value, size_t size);

}  // namespace tessera::softgpu::exec

// IEEE 754 half precision, one number at a time; the handlers have their own for whole warps.
#pragma once

#include <cstdint>

namespace tessera::softgpu::exec {

float half_to_float(uint16_t half);
// Rounds to the nearest, to even between two. What is no number is 0x7FFF, as PTX has it.
uint16_t float_to_half(float value);

}  // namespace tessera::softgpu::exec

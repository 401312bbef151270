// Where a texture's or a surface's texels lie and what they are.
#pragma once

#include "cuda/abi.h"
#include "softgpu/exec/texture.h"

namespace tessera::softgpu {

class Array;

// CUDA_ERROR_INVALID_VALUE for what no texture can be made of.
CUresult place_texture(const CUDA_RESOURCE_DESC& resource, exec::Texture* texture);
// The faces of a cubemap are the layers of its surface.
void place_surface(const Array& array, exec::Texture* surface);

}  // namespace tessera::softgpu

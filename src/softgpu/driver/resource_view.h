// Resource views: the texels of an array taken for those of another format, and parts of its levels and
// layers.
#pragma once

#include "cuda/abi.h"
#include "softgpu/exec/texture.h"

namespace tessera::softgpu {

// Of a texture that is placed as the resource is. CUDA_ERROR_INVALID_VALUE where CUDA forbids the view,
// CUDA_ERROR_NOT_SUPPORTED for block-compressed formats. Layers of a layered cubemap are counted as
// texCubemapLayered counts them; CUDA does not say.
CUresult apply_view(const CUDA_RESOURCE_VIEW_DESC& view, const CUDA_RESOURCE_DESC& resource,
                    exec::Texture* texture);

}  // namespace tessera::softgpu

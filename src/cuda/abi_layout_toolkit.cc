#define __CUDA_API_VERSION_INTERNAL
#include <cuda.h>

#include "cuda/abi_layout.h"

const std::vector<LayoutOf>& layout_toolkit() {
  static const std::vector<LayoutOf> layouts = {
#define LAYOUT(type) {#type, sizeof(type), alignof(type)},
#include "cuda/abi_layout.inc"
#undef LAYOUT
  };
  return layouts;
}

#include "cuda/abi.h"
#include "cuda/abi_layout.h"

const std::vector<LayoutOf>& layout_ours() {
  static const std::vector<LayoutOf> layouts = {
#define LAYOUT(type) {#type, sizeof(type), alignof(type)},
#include "cuda/abi_layout.inc"
#undef LAYOUT
  };
  return layouts;
}

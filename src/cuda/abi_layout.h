// Sizes and alignments of the driver's types, as one header declares them.
#pragma once

#include <cstddef>
#include <vector>

struct LayoutOf {
  const char* name;
  size_t size, align;
};

const std::vector<LayoutOf>& layout_ours();
const std::vector<LayoutOf>& layout_toolkit();

// A graph as a drawing: a text that Graphviz reads.
#pragma once

#include <string>

#include "softgpu/driver/graph/graph.h"

namespace tessera::softgpu {

// Nodes, edges and graphs inside; what nodes do as far as `flags` (CUgraphDebugDot_flags) ask for it.
std::string dot_of(const Graph& graph, unsigned flags);

}  // namespace tessera::softgpu

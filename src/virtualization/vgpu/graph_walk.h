// The nodes of graphs, those of graphs within them included.
#pragma once

#include <algorithm>
#include <vector>

#include "virtualization/vgpu/calls.h"

namespace tessera::vgpu {

// Calls visit(node, type, top) for each node that is no graph; `top` is the node of `graph` itself that it is
// a part of. Bodies of conditions are left out: nobody knows how often they run.
template <typename Visit>
void visit_nodes(CUgraph graph, const Visit& visit, CUgraphNode top = nullptr) {
  size_t count = 0;
  if (lower().cuGraphGetNodes(graph, nullptr, &count) != CUDA_SUCCESS || count == 0) return;
  std::vector<CUgraphNode> nodes(count);
  if (lower().cuGraphGetNodes(graph, nodes.data(), &count) != CUDA_SUCCESS) return;
  nodes.resize(std::min(count, nodes.size()));
  for (const CUgraphNode node : nodes) {
    CUgraphNodeType type;
    if (lower().cuGraphNodeGetType(node, &type) != CUDA_SUCCESS) continue;
    const CUgraphNode owner = top != nullptr ? top : node;
    CUgraph child = nullptr;
    if (type != CU_GRAPH_NODE_TYPE_GRAPH) {
      visit(node, type, owner);
    } else if (lower().cuGraphChildGraphNodeGetGraph(node, &child) == CUDA_SUCCESS) {
      visit_nodes(child, visit, owner);
    }
  }
}

}  // namespace tessera::vgpu

// Graphs: making them, their nodes and edges, and asking about them.
#include <algorithm>
#include <cstdio>

#include "cuda/abi.h"
#include "softgpu/driver/graph/dot.h"
#include "softgpu/driver/graph/lookup.h"
#include "softgpu/driver/graph/memory_nodes.h"
#include "softgpu/driver/graph/node_params.h"

using namespace tessera::softgpu;  // NOLINT: the C interface of that namespace

namespace {

// Edges of a graph, in order of creation of the nodes they lead to.
struct EdgeList {
  std::vector<CUgraphNode> from, to;
  std::vector<CUgraphEdgeData> data;

  void add(const GraphNode::Edge& edge, const GraphNode& target) {
    from.push_back(edge.from->handle());
    to.push_back(target.handle());
    data.push_back(edge.data);
  }
  // Programs that cannot be told of edge data must not be answered as if there were none.
  bool plain() const {
    return std::all_of(data.begin(), data.end(),
                       [](const CUgraphEdgeData& edge) { return same_edge(edge, kPlainEdge); });
  }
};

CUresult get_edges(CUgraph handle, CUgraphNode* from, CUgraphNode* to, CUgraphEdgeData* data, size_t* count) {
  return on_graph(handle, [&](Graph& graph) -> CUresult {
    if (count == nullptr || (from == nullptr) != (to == nullptr)) return CUDA_ERROR_INVALID_VALUE;
    EdgeList list;
    for (const auto& node : graph.nodes()) {
      for (const GraphNode::Edge& edge : node->dependencies()) list.add(edge, *node);
    }
    if (from != nullptr && data == nullptr && !list.plain()) return CUDA_ERROR_LOSSY_QUERY;
    size_t room = *count;
    if (data != nullptr) write_list(list.data, data, &room);
    room = *count;
    write_list(list.to, to, &room);
    write_list(list.from, from, count);
    return CUDA_SUCCESS;
  });
}

CUresult get_dependencies(CUgraphNode handle, CUgraphNode* nodes, CUgraphEdgeData* data, size_t* count) {
  return on_node(handle, [&](GraphNode& node) -> CUresult {
    if (count == nullptr) return CUDA_ERROR_INVALID_VALUE;
    EdgeList list;
    for (const GraphNode::Edge& edge : node.dependencies()) list.add(edge, node);
    if (nodes != nullptr && data == nullptr && !list.plain()) return CUDA_ERROR_LOSSY_QUERY;
    size_t room = *count;
    if (data != nullptr) write_list(list.data, data, &room);
    write_list(list.from, nodes, count);
    return CUDA_SUCCESS;
  });
}

CUresult get_dependents(CUgraphNode handle, CUgraphNode* nodes, CUgraphEdgeData* data, size_t* count) {
  return on_node(handle, [&](GraphNode& node) -> CUresult {
    if (count == nullptr) return CUDA_ERROR_INVALID_VALUE;
    EdgeList list;
    for (const GraphNode* dependent : node.dependents()) {
      for (const GraphNode::Edge& edge : dependent->dependencies()) {
        if (edge.from == &node) list.add(edge, *dependent);
      }
    }
    if (nodes != nullptr && data == nullptr && !list.plain()) return CUDA_ERROR_LOSSY_QUERY;
    size_t room = *count;
    if (data != nullptr) write_list(list.data, data, &room);
    write_list(list.to, nodes, count);
    return CUDA_SUCCESS;
  });
}

enum class Change : uint8_t { kAdd, kRemove };

CUresult change_edges(CUgraph handle, const CUgraphNode* from, const CUgraphNode* to,
                      const CUgraphEdgeData* data, size_t count, Change change) {
  return on_graph(handle, [&](Graph& graph) -> CUresult {
    std::vector<GraphNode*> sources, targets;
    SOFTGPU_RETURN_IF_ERROR(nodes_of(from, count, &sources));
    SOFTGPU_RETURN_IF_ERROR(nodes_of(to, count, &targets));
    const std::vector<CUgraphEdgeData> edges =
        data != nullptr ? std::vector(data, data + count) : std::vector(count, kPlainEdge);
    if (change == Change::kAdd) return graph.connect(sources, targets, edges);
    if (holds_memory(graph)) return CUDA_ERROR_NOT_SUPPORTED;
    return graph.disconnect(sources, targets, edges);
  });
}

}  // namespace

extern "C" {

CUresult cuGraphCreate(CUgraph* phGraph, unsigned int flags) {
  return on_graphs([&]() -> CUresult {
    if (phGraph == nullptr || flags != 0) return CUDA_ERROR_INVALID_VALUE;
    *phGraph = Graph::create()->handle();
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphDestroy(CUgraph hGraph) {
  return on_graph(hGraph, [&](Graph& graph) -> CUresult {
    if (graph.owned()) return CUDA_ERROR_INVALID_VALUE;
    graph.retire();
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphClone(CUgraph* phGraphClone, CUgraph originalGraph) {
  return on_graph(originalGraph, [&](Graph& graph) -> CUresult {
    if (phGraphClone == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (holds_memory(graph) || graph.contains(CU_GRAPH_NODE_TYPE_CONDITIONAL))
      return CUDA_ERROR_NOT_SUPPORTED;
    *phGraphClone = graph.clone()->handle();
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphNodeFindInClone(CUgraphNode* phNode, CUgraphNode hOriginalNode, CUgraph hClonedGraph) {
  return on_graph(hClonedGraph, [&](Graph& graph) -> CUresult {
    if (phNode == nullptr) return CUDA_ERROR_INVALID_VALUE;
    for (const auto& node : graph.nodes()) {
      if (hOriginalNode == nullptr || node->original() != hOriginalNode) continue;
      *phNode = node->handle();
      return CUDA_SUCCESS;
    }
    return CUDA_ERROR_INVALID_VALUE;
  });
}

CUresult cuGraphDestroyNode(CUgraphNode hNode) {
  return on_node(hNode, [&](GraphNode& node) -> CUresult {
    if (holds_memory(node.graph())) return CUDA_ERROR_NOT_SUPPORTED;
    node.graph().remove(node);
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphNodeGetType(CUgraphNode hNode, CUgraphNodeType* type) {
  return on_node(hNode, [&](GraphNode& node) -> CUresult {
    if (type == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *type = node.work()->type();
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphGetNodes(CUgraph hGraph, CUgraphNode* nodes, size_t* numNodes) {
  return on_graph(hGraph, [&](Graph& graph) -> CUresult {
    if (numNodes == nullptr) return CUDA_ERROR_INVALID_VALUE;
    std::vector<CUgraphNode> list;
    for (const auto& node : graph.nodes()) list.push_back(node->handle());
    write_list(list, nodes, numNodes);
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphGetRootNodes(CUgraph hGraph, CUgraphNode* rootNodes, size_t* numRootNodes) {
  return on_graph(hGraph, [&](Graph& graph) -> CUresult {
    if (numRootNodes == nullptr) return CUDA_ERROR_INVALID_VALUE;
    std::vector<CUgraphNode> list;
    for (const auto& node : graph.nodes()) {
      if (node->dependencies().empty()) list.push_back(node->handle());
    }
    write_list(list, rootNodes, numRootNodes);
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphGetEdges(CUgraph hGraph, CUgraphNode* from, CUgraphNode* to, size_t* numEdges) {
  return get_edges(hGraph, from, to, nullptr, numEdges);
}
CUresult cuGraphGetEdges_v2(CUgraph hGraph, CUgraphNode* from, CUgraphNode* to, CUgraphEdgeData* edgeData,
                            size_t* numEdges) {
  return get_edges(hGraph, from, to, edgeData, numEdges);
}
CUresult cuGraphNodeGetDependencies(CUgraphNode hNode, CUgraphNode* dependencies, size_t* numDependencies) {
  return get_dependencies(hNode, dependencies, nullptr, numDependencies);
}
CUresult cuGraphNodeGetDependencies_v2(CUgraphNode hNode, CUgraphNode* dependencies,
                                       CUgraphEdgeData* edgeData, size_t* numDependencies) {
  return get_dependencies(hNode, dependencies, edgeData, numDependencies);
}
CUresult cuGraphNodeGetDependentNodes(CUgraphNode hNode, CUgraphNode* dependentNodes,
                                      size_t* numDependentNodes) {
  return get_dependents(hNode, dependentNodes, nullptr, numDependentNodes);
}
CUresult cuGraphNodeGetDependentNodes_v2(CUgraphNode hNode, CUgraphNode* dependentNodes,
                                         CUgraphEdgeData* edgeData, size_t* numDependentNodes) {
  return get_dependents(hNode, dependentNodes, edgeData, numDependentNodes);
}

CUresult cuGraphAddDependencies(CUgraph hGraph, const CUgraphNode* from, const CUgraphNode* to,
                                size_t numDependencies) {
  return change_edges(hGraph, from, to, nullptr, numDependencies, Change::kAdd);
}
CUresult cuGraphAddDependencies_v2(CUgraph hGraph, const CUgraphNode* from, const CUgraphNode* to,
                                   const CUgraphEdgeData* edgeData, size_t numDependencies) {
  return change_edges(hGraph, from, to, edgeData, numDependencies, Change::kAdd);
}
CUresult cuGraphRemoveDependencies(CUgraph hGraph, const CUgraphNode* from, const CUgraphNode* to,
                                   size_t numDependencies) {
  return change_edges(hGraph, from, to, nullptr, numDependencies, Change::kRemove);
}
CUresult cuGraphRemoveDependencies_v2(CUgraph hGraph, const CUgraphNode* from, const CUgraphNode* to,
                                      const CUgraphEdgeData* edgeData, size_t numDependencies) {
  return change_edges(hGraph, from, to, edgeData, numDependencies, Change::kRemove);
}

CUresult cuGraphDebugDotPrint(CUgraph hGraph, const char* path, unsigned int flags) {
  return on_graph(hGraph, [&](Graph& graph) -> CUresult {
    if (path == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const std::string text = dot_of(graph, flags);
    FILE* file = fopen(path, "we");
    if (file == nullptr) return CUDA_ERROR_OPERATING_SYSTEM;
    const bool written = fwrite(text.data(), 1, text.size(), file) == text.size();
    return fclose(file) == 0 && written ? CUDA_SUCCESS : CUDA_ERROR_OPERATING_SYSTEM;
  });
}

}  // extern "C"

// From a program's handles to the objects of graphs, and what every entry about graphs begins with.
#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "softgpu/driver/entry.h"
#include "softgpu/driver/graph/exec.h"
#include "softgpu/driver/graph/graph.h"
#include "softgpu/driver/handle_registry.h"

namespace tessera::softgpu {

// Runs `body` with graph_mutex() held.
template <typename Body>
CUresult on_graphs(Body&& body) noexcept {
  return guarded([&]() -> CUresult {
    SOFTGPU_RETURN_IF_ERROR(require_initialised_outside_callback());
    std::lock_guard lock(graph_mutex());
    return body();
  });
}

// Runs `body(Graph&)`, `body(GraphNode&)`, `body(GraphExec&)`; CUDA_ERROR_INVALID_VALUE for any other handle.
template <typename Object, typename Handle, typename Body>
CUresult on_object(Handle handle, Body&& body) noexcept {
  return on_graphs([&]() -> CUresult {
    const std::shared_ptr<Object> object = live<Object>().find(handle);
    return object ? body(*object) : CUDA_ERROR_INVALID_VALUE;
  });
}
template <typename Body>
CUresult on_graph(CUgraph handle, Body&& body) noexcept {
  return on_object<Graph>(handle, std::forward<Body>(body));
}
template <typename Body>
CUresult on_node(CUgraphNode handle, Body&& body) noexcept {
  return on_object<GraphNode>(handle, std::forward<Body>(body));
}
template <typename Body>
CUresult on_exec(CUgraphExec handle, Body&& body) noexcept {
  return on_object<GraphExec>(handle, std::forward<Body>(body));
}

// With graph_mutex() held. `edges` may be null: plain ones.
CUresult edges_of(const CUgraphNode* nodes, const CUgraphEdgeData* edges, size_t count,
                  std::vector<GraphNode::Edge>* out);
CUresult nodes_of(const CUgraphNode* nodes, size_t count, std::vector<GraphNode*>* out);

// Where a node goes: CUDA's parameters.
struct Place {
  CUgraphNode* out;
  CUgraph graph;
  const CUgraphNode* dependencies;
  size_t count;
  const CUgraphEdgeData* edges = nullptr;
};

// `add(Graph&, span<const GraphNode::Edge>, GraphNode**)` adds the node.
template <typename Add>
CUresult add_node(const Place& place, Add&& add) noexcept {
  return on_graph(place.graph, [&](Graph& graph) -> CUresult {
    if (place.out == nullptr) return CUDA_ERROR_INVALID_VALUE;
    std::vector<GraphNode::Edge> edges;
    SOFTGPU_RETURN_IF_ERROR(edges_of(place.dependencies, place.edges, place.count, &edges));
    GraphNode* node = nullptr;
    SOFTGPU_RETURN_IF_ERROR(add(graph, std::span<const GraphNode::Edge>(edges), &node));
    *place.out = node->handle();
    return CUDA_SUCCESS;
  });
}

// `body(const Work&)`, where the node is of that type.
template <typename Work, typename Body>
CUresult on_work(CUgraphNode handle, Body&& body) noexcept {
  return on_node(handle, [&](GraphNode& node) -> CUresult {
    const auto* work = dynamic_cast<const Work*>(node.work().get());
    return work != nullptr ? body(*work) : CUDA_ERROR_INVALID_VALUE;
  });
}

// CUDA's way to answer a list: the program says how many it has room for, null asks for the number. Beyond
// the list there are nulls, and `count` is how many were written.
template <typename T>
void write_list(const std::vector<T>& list, T* out, size_t* count) {
  if (out != nullptr) {
    for (size_t i = 0; i < *count; ++i) out[i] = i < list.size() ? list[i] : T{};
    *count = std::min(*count, list.size());
  } else {
    *count = list.size();
  }
}

}  // namespace tessera::softgpu

#include "softgpu/driver/graph/graph.h"

#include <algorithm>
#include <cstring>

#include "softgpu/driver/graph/user_object.h"
#include "softgpu/driver/handle_registry.h"

namespace tessera::softgpu {
namespace {

bool depends_on(const GraphNode& node, const GraphNode& other) {
  return std::any_of(node.dependencies().begin(), node.dependencies().end(),
                     [&](const GraphNode::Edge& edge) { return edge.from == &other; });
}

}  // namespace

std::mutex& graph_mutex() {
  static auto* mutex = new std::mutex();
  return *mutex;
}

bool same_edge(const CUgraphEdgeData& a, const CUgraphEdgeData& b) { return memcmp(&a, &b, sizeof(a)) == 0; }

CUresult check_edge(const CUgraphEdgeData& data, const NodeWork& from, const NodeWork& to) {
  if (same_edge(data, kPlainEdge)) return CUDA_SUCCESS;
  constexpr unsigned char kLaunchCompletionPort = 2;  // CU_GRAPH_KERNEL_NODE_PORT_LAUNCH_ORDER
  const bool kernels =
      from.type() == CU_GRAPH_NODE_TYPE_KERNEL &&
      (to.type() == CU_GRAPH_NODE_TYPE_KERNEL || data.type == CU_GRAPH_DEPENDENCY_TYPE_DEFAULT);
  const bool reserved = std::any_of(std::begin(data.reserved), std::end(data.reserved),
                                    [](unsigned char byte) { return byte != 0; });
  const bool known = data.to_port == 0 && data.from_port <= kLaunchCompletionPort &&
                     data.type <= CU_GRAPH_DEPENDENCY_TYPE_PROGRAMMATIC;
  return kernels && known && !reserved ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

GraphNode::GraphNode(Graph& graph, WorkRef work)
    : graph_(graph), handle_(next_handle()), work_(std::move(work)) {}

Graph::Graph() : handle_(next_handle()) {}

std::shared_ptr<Graph> Graph::create() {
  std::shared_ptr<Graph> graph(new Graph());
  live<Graph>().add(graph->handle_, graph);
  return graph;
}

Graph::~Graph() {
  for (const auto& node : nodes_) live<GraphNode>().remove(node->handle());
  for (const auto& [object, count] : user_objects_) object->release(count);
}

bool Graph::contains(CUgraphNodeType type) const {
  return std::any_of(nodes_.begin(), nodes_.end(), [type](const auto& node) {
    const auto inner = node->work_->inner();
    return node->work_->type() == type || std::any_of(inner.begin(), inner.end(), [type](const auto& graph) {
             return graph->contains(type);
           });
  });
}

CUresult Graph::add(WorkRef work, std::span<const GraphNode::Edge> dependencies, GraphNode** node) {
  for (size_t i = 0; i < dependencies.size(); ++i) {
    if (!mine(dependencies[i].from)) return CUDA_ERROR_INVALID_VALUE;
    const CUresult result = check_edge(dependencies[i].data, *dependencies[i].from->work_, *work);
    if (result != CUDA_SUCCESS) return result;
    for (size_t j = 0; j < i; ++j) {
      if (dependencies[j].from == dependencies[i].from) return CUDA_ERROR_INVALID_VALUE;
    }
  }
  std::shared_ptr<GraphNode> made(new GraphNode(*this, std::move(work)));
  made->dependencies_.assign(dependencies.begin(), dependencies.end());
  for (const GraphNode::Edge& edge : dependencies) edge.from->dependents_.push_back(made.get());
  live<GraphNode>().add(made->handle_, made);
  *node = made.get();
  nodes_.push_back(std::move(made));
  return CUDA_SUCCESS;
}

CUresult Graph::connect(std::span<GraphNode* const> from, std::span<GraphNode* const> to,
                        std::span<const CUgraphEdgeData> data) {
  for (size_t i = 0; i < from.size(); ++i) {
    if (!mine(from[i]) || !mine(to[i]) || from[i] == to[i]) return CUDA_ERROR_INVALID_VALUE;
    if (depends_on(*to[i], *from[i])) return CUDA_ERROR_INVALID_VALUE;
    const CUresult result = check_edge(data[i], *from[i]->work_, *to[i]->work_);
    if (result != CUDA_SUCCESS) return result;
    for (size_t j = 0; j < i; ++j) {
      if (from[j] == from[i] && to[j] == to[i]) return CUDA_ERROR_INVALID_VALUE;
    }
  }
  for (size_t i = 0; i < from.size(); ++i) {
    to[i]->dependencies_.push_back({from[i], data[i]});
    from[i]->dependents_.push_back(to[i]);
  }
  return CUDA_SUCCESS;
}

CUresult Graph::disconnect(std::span<GraphNode* const> from, std::span<GraphNode* const> to,
                           std::span<const CUgraphEdgeData> data) {
  for (size_t i = 0; i < from.size(); ++i) {
    if (!mine(from[i]) || !mine(to[i])) return CUDA_ERROR_INVALID_VALUE;
    const auto& edges = to[i]->dependencies_;
    const bool there = std::any_of(edges.begin(), edges.end(), [&](const GraphNode::Edge& edge) {
      return edge.from == from[i] && same_edge(edge.data, data[i]);
    });
    if (!there) return CUDA_ERROR_INVALID_VALUE;
  }
  for (size_t i = 0; i < from.size(); ++i) {
    std::erase_if(to[i]->dependencies_, [&](const GraphNode::Edge& edge) { return edge.from == from[i]; });
    std::erase(from[i]->dependents_, to[i]);
  }
  return CUDA_SUCCESS;
}

void Graph::retire() {
  live<Graph>().remove(handle());
  for (const auto& node : nodes_) {
    live<GraphNode>().remove(node->handle());
    for (const auto& inner : node->work_->inner()) inner->retire();
  }
}

void Graph::remove(GraphNode& node) {
  for (const auto& inner : node.work_->inner()) inner->retire();
  for (const GraphNode::Edge& edge : node.dependencies_) std::erase(edge.from->dependents_, &node);
  for (GraphNode* dependent : node.dependents_) {
    std::erase_if(dependent->dependencies_, [&](const GraphNode::Edge& edge) { return edge.from == &node; });
  }
  live<GraphNode>().remove(node.handle());
  std::erase_if(nodes_, [&](const auto& other) { return other.get() == &node; });
}

std::shared_ptr<Graph> Graph::clone() const {
  std::shared_ptr<Graph> copy = create();
  std::unordered_map<const GraphNode*, GraphNode*> copies;
  for (const auto& node : nodes_) {
    WorkRef work = node->work_->cloned();
    GraphNode* made = nullptr;
    // Without edges nothing can be refused.
    (void)copy->add(work ? std::move(work) : node->work_, {}, &made);
    made->original_ = node->handle();
    copies[node.get()] = made;
  }
  for (const auto& node : nodes_) {
    GraphNode* made = copies[node.get()];
    for (const GraphNode::Edge& edge : node->dependencies_) {
      made->dependencies_.push_back({copies[edge.from], edge.data});
    }
    for (const GraphNode* dependent : node->dependents_) made->dependents_.push_back(copies[dependent]);
  }
  for (const auto& [object, count] : user_objects_) {
    object->retain(count);
    copy->user_objects_[object] = count;
  }
  return copy;
}

std::vector<GraphNode*> Graph::in_order() const {
  std::unordered_map<const GraphNode*, size_t> missing;
  std::vector<GraphNode*> order;
  order.reserve(nodes_.size());
  for (const auto& node : nodes_) {
    missing[node.get()] = node->dependencies_.size();
    if (node->dependencies_.empty()) order.push_back(node.get());
  }
  for (size_t i = 0; i < order.size(); ++i) {
    for (GraphNode* dependent : order[i]->dependents_) {
      if (--missing[dependent] == 0) order.push_back(dependent);
    }
  }
  if (order.size() != nodes_.size()) order.clear();
  return order;
}

}  // namespace tessera::softgpu

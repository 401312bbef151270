// The structure of CUDA graphs: nodes and the order between them, apart from what the nodes do and from any
// execution.
//
// CUDA leaves it to programs not to use one graph in two threads at once; ours lock graph_mutex() around
// every call, so that a program that does so all the same breaks nothing but its own graph. The mutex comes
// before the operation graph's lock and before any registry's.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>
#include <vector>

#include "cuda/abi.h"

namespace tessera::softgpu {

class Condition;
class Graph;
class GraphExec;
class UserObject;

std::mutex& graph_mutex();

// What a node does; never changes once made, so that launches and clones share it.
class NodeWork {
 public:
  NodeWork() = default;
  virtual ~NodeWork() = default;
  NodeWork(const NodeWork&) = delete;
  NodeWork& operator=(const NodeWork&) = delete;
  virtual CUgraphNodeType type() const = 0;
  // The graphs inside it: a child graph, the bodies of a condition.
  virtual std::span<const std::shared_ptr<Graph>> inner() const { return {}; }
  // The same work with copies of the graphs inside it; null where it can be shared as it is.
  virtual std::shared_ptr<const NodeWork> cloned() const { return nullptr; }
};
using WorkRef = std::shared_ptr<const NodeWork>;

class GraphNode {
 public:
  struct Edge {
    GraphNode* from;
    CUgraphEdgeData data;
  };

  CUgraphNode handle() const { return reinterpret_cast<CUgraphNode>(handle_); }
  Graph& graph() const { return graph_; }
  const WorkRef& work() const { return work_; }
  void set_work(WorkRef work) { work_ = std::move(work); }
  const std::vector<Edge>& dependencies() const { return dependencies_; }
  const std::vector<GraphNode*>& dependents() const { return dependents_; }
  // The node of the graph that this one's was cloned from; null where it was not cloned.
  CUgraphNode original() const { return original_; }

 private:
  friend class Graph;
  GraphNode(Graph& graph, WorkRef work);

  Graph& graph_;
  const uintptr_t handle_;
  WorkRef work_;
  std::vector<Edge> dependencies_;
  std::vector<GraphNode*> dependents_;
  CUgraphNode original_ = nullptr;
};

class Graph : public std::enable_shared_from_this<Graph> {
 public:
  static std::shared_ptr<Graph> create();
  ~Graph();
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  CUgraph handle() const { return reinterpret_cast<CUgraph>(handle_); }
  // In order of creation.
  const std::vector<std::shared_ptr<GraphNode>>& nodes() const { return nodes_; }
  // Part of a node of another graph: destroyed with that node, not by the program.
  bool owned() const { return owned_; }
  void set_owned() { owned_ = true; }
  // Moved into its node, which the program gave it to.
  bool moved() const { return moved_; }
  void set_moved() { moved_ = true; }
  bool contains(CUgraphNodeType type) const;  // also in graphs inside it

  // CUDA_ERROR_INVALID_VALUE where a dependency is not of this graph or named twice.
  CUresult add(WorkRef work, std::span<const GraphNode::Edge> dependencies, GraphNode** node);
  // All or none. CUDA_ERROR_INVALID_VALUE where an edge exists already, leaves the graph or is a loop onto
  // itself.
  CUresult connect(std::span<GraphNode* const> from, std::span<GraphNode* const> to,
                   std::span<const CUgraphEdgeData> data);
  // All or none. CUDA_ERROR_INVALID_VALUE where an edge is not there or its data differs.
  CUresult disconnect(std::span<GraphNode* const> from, std::span<GraphNode* const> to,
                      std::span<const CUgraphEdgeData> data);
  void remove(GraphNode& node);
  // The program destroyed it: handles of the graph, of its nodes and of the graphs in them mean nothing from
  // now on, whatever still runs of it.
  void retire();
  std::shared_ptr<Graph> clone() const;
  // The nodes such that each comes after those it depends on; among the free ones in order of creation. Empty
  // where the edges form a cycle (and where there are no nodes).
  std::vector<GraphNode*> in_order() const;

  // References to program objects that the graph keeps: retained by clones, released at its end.
  std::unordered_map<std::shared_ptr<UserObject>, uint64_t>& user_objects() { return user_objects_; }
  // The values that decide conditional nodes of this graph.
  std::vector<std::shared_ptr<Condition>>& conditions() { return conditions_; }
  const std::vector<std::shared_ptr<Condition>>& conditions() const { return conditions_; }
  // The executable graph that was made from it, where there are memory nodes: there is one at a time.
  std::weak_ptr<GraphExec>& memory_exec() { return memory_exec_; }

 private:
  Graph();
  bool mine(const GraphNode* node) const { return node != nullptr && &node->graph_ == this; }

  const uintptr_t handle_;
  std::vector<std::shared_ptr<GraphNode>> nodes_;
  bool owned_ = false;
  bool moved_ = false;
  std::weak_ptr<GraphExec> memory_exec_;
  std::unordered_map<std::shared_ptr<UserObject>, uint64_t> user_objects_;
  std::vector<std::shared_ptr<Condition>> conditions_;
};

// No ports, full serialisation: what the forms without edge data mean.
inline constexpr CUgraphEdgeData kPlainEdge{};
bool same_edge(const CUgraphEdgeData& a, const CUgraphEdgeData& b);
// Kernel nodes may trigger their dependents early; the full wait used here satisfies that too.
CUresult check_edge(const CUgraphEdgeData& data, const NodeWork& from, const NodeWork& to);

}  // namespace tessera::softgpu

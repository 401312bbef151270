// Executable graphs: a snapshot of a graph, launched as often as one likes.
#pragma once

#include <memory>
#include <vector>

#include "cuda/abi.h"
#include "softgpu/driver/graph/graph.h"
#include "softgpu/driver/graph/graph_memory.h"
#include "softgpu/driver/op_graph.h"
#include "softgpu/driver/stream.h"

namespace tessera::softgpu {

// The nodes of a graph in an order in which each comes after those it depends on.
struct Plan {
  struct Node {
    CUgraphNode node = nullptr;  // of the graph it was made from
    WorkRef work;
    std::vector<uint32_t> after;
    bool enabled = true;
    std::vector<std::shared_ptr<Plan>> inner;
  };
  std::vector<Node> nodes;
  std::vector<std::shared_ptr<Condition>> conditions;

  // CUDA_ERROR_INVALID_VALUE where the edges form a cycle; `*error` is a node of it.
  static CUresult create(const Graph& graph, std::shared_ptr<Plan>* plan, CUgraphNode* error);
  std::shared_ptr<Plan> copy() const;
  // A graph that does the same. CUDA_ERROR_NOT_SUPPORTED where there are conditional or memory nodes: those
  // cannot be there twice.
  CUresult graph(std::shared_ptr<Graph>* graph) const;
  // Also in graphs inside; null where there is none.
  Node* find(CUgraphNode node);
};

// The operations of one run of a plan. `root` keeps alive what conditional nodes run later.
OpGroup expand(const std::shared_ptr<const Plan>& root, const Plan& plan,
               const std::shared_ptr<Context>& site);

class GraphExec {
 public:
  // CUDA_ERROR_INVALID_VALUE for what CUDA does not let be instantiated, with a node that is in the way.
  static CUresult create(Graph& graph, uint64_t flags, std::shared_ptr<GraphExec>* exec, CUgraphNode* error);
  ~GraphExec();
  GraphExec(const GraphExec&) = delete;
  GraphExec& operator=(const GraphExec&) = delete;

  CUgraphExec handle() const { return reinterpret_cast<CUgraphExec>(handle_); }
  uint64_t flags() const { return flags_; }
  const std::shared_ptr<Plan>& plan() const { return plan_; }
  // To change it: launches that have begun keep the plan they began with.
  Plan& plan_to_change();
  // All nodes from a graph of the same shape.
  CUgraphExecUpdateResultInfo update(const Graph& graph);
  // The same for the graph in a child node.
  bool update_child(CUgraphNode node, const Graph& graph, CUgraphExecUpdateResultInfo* info);
  // Behind its earlier launches, in whatever stream: a graph never overlaps itself.
  CUresult launch(Stream& stream);
  // What a launch would have to bring about first.
  CUresult upload() { return GraphMemory::instance().back(memory_); }

 private:
  GraphExec(std::shared_ptr<Plan> plan, uint64_t flags);

  const uintptr_t handle_;
  const uint64_t flags_;
  std::shared_ptr<Plan> plan_;
  std::unordered_map<std::shared_ptr<UserObject>, uint64_t> user_objects_;
  const std::vector<GraphMemory::Step>
      memory_;  // what its nodes allocate and free; updates change none of it
  OpRef last_launch_;
};

}  // namespace tessera::softgpu

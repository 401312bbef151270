// Allocation and free nodes of graphs.
#pragma once

#include <span>
#include <vector>

#include "cuda/abi.h"
#include "softgpu/driver/graph/graph.h"
#include "softgpu/driver/graph/graph_memory.h"
#include "softgpu/driver/graph/work.h"

namespace tessera::softgpu {

// What both have in common: in a launch they only hold a place in the order of the others.
class MemoryWork : public OpWork {
 public:
  explicit MemoryWork(GraphBlockRef block);
  ~MemoryWork() override;
  CUresult make(const std::shared_ptr<Context>& site, OpRef* op) const override;
  const GraphBlockRef& block() const { return block_; }

 private:
  const GraphBlockRef block_;
};

class AllocWork : public MemoryWork {
 public:
  AllocWork(GraphBlockRef block, const CUDA_MEM_ALLOC_NODE_PARAMS& params);
  CUgraphNodeType type() const override { return CU_GRAPH_NODE_TYPE_MEM_ALLOC; }
  // The pointer in it leads into this object.
  CUDA_MEM_ALLOC_NODE_PARAMS params() const;

 private:
  const std::vector<CUmemAccessDesc> access_;
  const CUDA_MEM_ALLOC_NODE_PARAMS params_;
};

class FreeWork : public MemoryWork {
 public:
  static CUresult create(const Graph& graph, CUdeviceptr address, WorkRef* work);
  ~FreeWork() override;
  CUgraphNodeType type() const override { return CU_GRAPH_NODE_TYPE_MEM_FREE; }
  CUdeviceptr address() const { return block()->begin(); }

 private:
  FreeWork(GraphBlockRef block, CUgraph graph) : MemoryWork(std::move(block)), graph_(graph) {}
  const CUgraph graph_;
  bool counted_ = false;
};

// Callers hold graph_mutex(). CUDA_ERROR_NOT_SUPPORTED in graphs that belong to a node,
// CUDA_ERROR_INVALID_VALUE, CUDA_ERROR_OUT_OF_MEMORY.
CUresult add_alloc_node(Graph& graph, std::span<const GraphNode::Edge> dependencies,
                        const CUDA_MEM_ALLOC_NODE_PARAMS& params, GraphNode** node);
CUresult add_free_node(Graph& graph, std::span<const GraphNode::Edge> dependencies, CUdeviceptr address,
                       GraphNode** node);

bool holds_memory(const Graph& graph);

}  // namespace tessera::softgpu

// Copies of executable graphs: known from when they are made, and counted with each launch.
#include "virtualization/vgpu/copied_bytes.h"
#include "virtualization/vgpu/graph_walk.h"

namespace tessera::vgpu {
namespace {

using T = cuda::DriverTable;

// Runs `body` with what is known of graphs' copies.
template <typename Body>
void with_copies(Body body) {
  Tenant* tenant = active_vgpu->tenant();
  if (tenant == nullptr || !tenant->graphs_with_copies.load(std::memory_order_acquire)) return;
  std::lock_guard lock(tenant->graph_copies_mutex);
  body(tenant->graph_copies);
}

std::vector<GraphCopy> copies_of(CUgraph graph) {
  std::vector<GraphCopy> copies;
  visit_nodes(graph, [&](CUgraphNode node, CUgraphNodeType type, CUgraphNode top) {
    add_copy(node, type, top, copies);
  });
  return copies;
}

CUresult set_params(CUgraphExec exec, CUgraphNode node, const CUDA_MEMCPY3D* copy, CUcontext context) {
  const CUresult result = lower().cuGraphExecMemcpyNodeSetParams(exec, node, copy, context);
  if (result == CUDA_SUCCESS)
    with_copies([&](GraphCopies& copies) { copies.set_copy(exec, node, CopiedByShape::told(*copy)); });
  return result;
}

CUresult set_any_params(CUgraphExec exec, CUgraphNode node, CUgraphNodeParams* params) {
  const CUresult result = lower().cuGraphExecNodeSetParams(exec, node, params);
  if (result != CUDA_SUCCESS) return result;
  with_copies([&](GraphCopies& copies) {
    if (params->type == CU_GRAPH_NODE_TYPE_MEMCPY)
      copies.set_copy(exec, node, CopiedByShape::told(params->memcpy.copyParams));
    if (params->type == CU_GRAPH_NODE_TYPE_GRAPH)
      copies.made_like(exec, node, copies_of(params->graph.graph));
  });
  return result;
}

CUresult set_enabled(CUgraphExec exec, CUgraphNode node, unsigned int enabled) {
  const CUresult result = lower().cuGraphNodeSetEnabled(exec, node, enabled);
  if (result == CUDA_SUCCESS)
    with_copies([&](GraphCopies& copies) { copies.set_enabled(exec, node, enabled != 0); });
  return result;
}

CUresult set_child(CUgraphExec exec, CUgraphNode node, CUgraph child) {
  const CUresult result = lower().cuGraphExecChildGraphNodeSetParams(exec, node, child);
  if (result == CUDA_SUCCESS)
    with_copies([&](GraphCopies& copies) { copies.made_like(exec, node, copies_of(child)); });
  return result;
}

void made_like(CUgraphExec exec, CUgraph graph) {
  with_copies([&](GraphCopies& copies) { copies.made_like(exec, std::nullopt, copies_of(graph)); });
}

CUresult update(CUgraphExec exec, CUgraph graph, CUgraphNode* error, CUgraphExecUpdateResult* told) {
  const CUresult result = lower().cuGraphExecUpdate(exec, graph, error, told);
  if (result == CUDA_SUCCESS) made_like(exec, graph);
  return result;
}

CUresult update_v2(CUgraphExec exec, CUgraph graph, CUgraphExecUpdateResultInfo* told) {
  const CUresult result = lower().cuGraphExecUpdate_v2(exec, graph, told);
  if (result == CUDA_SUCCESS) made_like(exec, graph);
  return result;
}

}  // namespace

void add_copy(CUgraphNode node, CUgraphNodeType type, CUgraphNode top, std::vector<GraphCopy>& copies) {
  CUDA_MEMCPY3D copy{};
  if (type == CU_GRAPH_NODE_TYPE_MEMCPY && lower().cuGraphMemcpyNodeGetParams(node, &copy) == CUDA_SUCCESS)
    copies.push_back({node, top, CopiedByShape::told(copy)});
}

void note_graph_copies(Tenant& tenant, CUgraphExec exec, std::vector<GraphCopy> copies) {
  if (copies.empty() && !tenant.graphs_with_copies.load(std::memory_order_acquire)) return;
  std::lock_guard lock(tenant.graph_copies_mutex);
  tenant.graph_copies.instantiated(exec, std::move(copies));
  tenant.graphs_with_copies.store(true, std::memory_order_release);
}

void forget_graph_copies(CUgraphExec exec) {
  with_copies([&](GraphCopies& copies) { copies.destroyed(exec); });
}

void count_graph_copies(CUgraphExec exec) {
  with_copies([&](const GraphCopies& copies) {
    const GraphCopies::Totals totals = copies.totals(exec);
    for (size_t way = 0; way < totals.size(); ++way) {
      if (totals[way] != 0) count_copied({static_cast<CopyWay>(way), totals[way]});
    }
  });
}

void install_graph_copy_calls(T& upper, const T& lower) {
  replace<&T::cuGraphExecMemcpyNodeSetParams, &set_params>(upper, lower);
  replace<&T::cuGraphExecNodeSetParams, &set_any_params>(upper, lower);
  replace<&T::cuGraphNodeSetEnabled, &set_enabled>(upper, lower);
  replace<&T::cuGraphExecChildGraphNodeSetParams, &set_child>(upper, lower);
  replace<&T::cuGraphExecUpdate, &update>(upper, lower);
  replace<&T::cuGraphExecUpdate_v2, &update_v2>(upper, lower);
}

}  // namespace tessera::vgpu

// Memory of graphs: allocation and free nodes, and what is kept for them.
#include "cuda/abi.h"
#include "softgpu/driver/device.h"
#include "softgpu/driver/graph/graph_memory.h"
#include "softgpu/driver/graph/lookup.h"
#include "softgpu/driver/graph/memory_nodes.h"
#include "softgpu/driver/graph/node_params.h"

using namespace tessera::softgpu;  // NOLINT: the C interface of that namespace

namespace {

template <typename Body>
CUresult on_device(CUdevice ordinal, Body&& body) {
  return on_graphs([&]() -> CUresult {
    Device* device = nullptr;
    SOFTGPU_RETURN_IF_ERROR(find_device(ordinal, &device));
    return body(*device);
  });
}

}  // namespace

extern "C" {

CUresult cuGraphAddMemAllocNode(CUgraphNode* phGraphNode, CUgraph hGraph, const CUgraphNode* dependencies,
                                size_t numDependencies, CUDA_MEM_ALLOC_NODE_PARAMS* nodeParams) {
  if (nodeParams == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return add_node({phGraphNode, hGraph, dependencies, numDependencies},
                  [&](Graph& graph, std::span<const GraphNode::Edge> edges, GraphNode** node) -> CUresult {
                    SOFTGPU_RETURN_IF_ERROR(add_alloc_node(graph, edges, *nodeParams, node));
                    nodeParams->dptr = work_as<AllocWork>(*(*node)->work())->params().dptr;
                    return CUDA_SUCCESS;
                  });
}

CUresult cuGraphMemAllocNodeGetParams(CUgraphNode hNode, CUDA_MEM_ALLOC_NODE_PARAMS* params_out) {
  return on_work<AllocWork>(hNode, [&](const AllocWork& work) -> CUresult {
    if (params_out == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *params_out = work.params();
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphAddMemFreeNode(CUgraphNode* phGraphNode, CUgraph hGraph, const CUgraphNode* dependencies,
                               size_t numDependencies, CUdeviceptr dptr) {
  return add_node({phGraphNode, hGraph, dependencies, numDependencies},
                  [&](Graph& graph, std::span<const GraphNode::Edge> edges, GraphNode** node) {
                    return add_free_node(graph, edges, dptr, node);
                  });
}

CUresult cuGraphMemFreeNodeGetParams(CUgraphNode hNode, CUdeviceptr* dptr_out) {
  return on_work<FreeWork>(hNode, [&](const FreeWork& work) -> CUresult {
    if (dptr_out == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *dptr_out = work.address();
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceGraphMemTrim(CUdevice device) {
  return on_device(device, [](const Device& found) -> CUresult {
    GraphMemory::instance().trim(found);
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceGetGraphMemAttribute(CUdevice device, CUgraphMem_attribute attr, void* value) {
  return on_device(device, [&](const Device& found) -> CUresult {
    if (value == nullptr) return CUDA_ERROR_INVALID_VALUE;
    return GraphMemory::instance().get_attribute(found, attr, static_cast<cuuint64_t*>(value));
  });
}

CUresult cuDeviceSetGraphMemAttribute(CUdevice device, CUgraphMem_attribute attr, void* value) {
  return on_device(device, [&](const Device& found) -> CUresult {
    if (value == nullptr) return CUDA_ERROR_INVALID_VALUE;
    return GraphMemory::instance().set_attribute(found, attr, *static_cast<const cuuint64_t*>(value));
  });
}

}  // extern "C"

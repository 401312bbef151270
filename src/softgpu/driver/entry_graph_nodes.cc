// Graph nodes of each type: adding them, and reading and changing what they do.
#include <cstring>

#include "cuda/abi.h"
#include "softgpu/driver/graph/condition.h"
#include "softgpu/driver/graph/lookup.h"
#include "softgpu/driver/graph/memory_nodes.h"
#include "softgpu/driver/graph/node_params.h"

using namespace tessera::softgpu;  // NOLINT: the C interface of that namespace

namespace {

// `make(Graph&, WorkRef*)` makes the work.
template <typename Make>
CUresult add_work(const Place& place, Make&& make) {
  return add_node(place,
                  [&](Graph& graph, std::span<const GraphNode::Edge> edges, GraphNode** node) -> CUresult {
                    WorkRef work;
                    SOFTGPU_RETURN_IF_ERROR(make(graph, &work));
                    return graph.add(std::move(work), edges, node);
                  });
}

// Replaces what a node of type `type` does by what `make(WorkRef*)` makes.
template <typename Make>
CUresult change_node(CUgraphNode handle, CUgraphNodeType type, Make&& make) {
  return on_node(handle, [&](GraphNode& node) -> CUresult {
    if (node.work()->type() != type) return CUDA_ERROR_INVALID_VALUE;
    WorkRef work;
    SOFTGPU_RETURN_IF_ERROR(make(&work));
    node.set_work(std::move(work));
    return CUDA_SUCCESS;
  });
}

CUresult get_event(CUgraphNode handle, CUgraphNodeType type, CUevent* event) {
  return on_work<EventWork>(handle, [&](const EventWork& work) -> CUresult {
    if (event == nullptr || work.type() != type) return CUDA_ERROR_INVALID_VALUE;
    *event = work.event().handle();
    return CUDA_SUCCESS;
  });
}

CUresult add_described_node(Graph& graph, std::span<const GraphNode::Edge> edges, CUgraphNodeParams* params,
                            GraphNode** node) {
  if (params->type == CU_GRAPH_NODE_TYPE_MEM_ALLOC) {
    CUDA_MEM_ALLOC_NODE_PARAMS alloc;
    static_assert(sizeof(alloc) == sizeof(params->alloc));
    memcpy(&alloc, &params->alloc, sizeof(alloc));
    SOFTGPU_RETURN_IF_ERROR(add_alloc_node(graph, edges, alloc, node));
    params->alloc.dptr = work_as<AllocWork>(*(*node)->work())->params().dptr;
    return CUDA_SUCCESS;
  }
  if (params->type == CU_GRAPH_NODE_TYPE_MEM_FREE)
    return add_free_node(graph, edges, params->free.dptr, node);
  WorkRef work;
  SOFTGPU_RETURN_IF_ERROR(make_work(graph, params, &work));
  return graph.add(std::move(work), edges, node);
}

}  // namespace

extern "C" {

CUresult cuGraphAddKernelNode(CUgraphNode* phGraphNode, CUgraph hGraph, const CUgraphNode* dependencies,
                              size_t numDependencies, const CUDA_KERNEL_NODE_PARAMS_v1* nodeParams) {
  if (nodeParams == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const CUDA_KERNEL_NODE_PARAMS wide = widened(*nodeParams);
  return cuGraphAddKernelNode_v2(phGraphNode, hGraph, dependencies, numDependencies, &wide);
}
CUresult cuGraphAddKernelNode_v2(CUgraphNode* phGraphNode, CUgraph hGraph, const CUgraphNode* dependencies,
                                 size_t numDependencies, const CUDA_KERNEL_NODE_PARAMS* nodeParams) {
  if (nodeParams == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return add_work({phGraphNode, hGraph, dependencies, numDependencies},
                  [&](Graph&, WorkRef* work) { return make_kernel_work(*nodeParams, work); });
}
CUresult cuGraphKernelNodeGetParams(CUgraphNode hNode, CUDA_KERNEL_NODE_PARAMS_v1* nodeParams) {
  return on_work<KernelWork>(hNode, [&](const KernelWork& work) -> CUresult {
    if (nodeParams == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *nodeParams = narrowed(work.params());
    return CUDA_SUCCESS;
  });
}
CUresult cuGraphKernelNodeGetParams_v2(CUgraphNode hNode, CUDA_KERNEL_NODE_PARAMS* nodeParams) {
  return on_work<KernelWork>(hNode, [&](const KernelWork& work) -> CUresult {
    if (nodeParams == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *nodeParams = work.params();
    return CUDA_SUCCESS;
  });
}
CUresult cuGraphKernelNodeSetParams(CUgraphNode hNode, const CUDA_KERNEL_NODE_PARAMS_v1* nodeParams) {
  if (nodeParams == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const CUDA_KERNEL_NODE_PARAMS wide = widened(*nodeParams);
  return cuGraphKernelNodeSetParams_v2(hNode, &wide);
}
CUresult cuGraphKernelNodeSetParams_v2(CUgraphNode hNode, const CUDA_KERNEL_NODE_PARAMS* nodeParams) {
  if (nodeParams == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return on_node(hNode, [&](GraphNode& node) -> CUresult {
    WorkRef work;
    SOFTGPU_RETURN_IF_ERROR(make_kernel_work(*nodeParams, *node.work(), &work));
    node.set_work(std::move(work));
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphKernelNodeGetAttribute(CUgraphNode hNode, CUlaunchAttributeID attr,
                                       CUlaunchAttributeValue* value_out) {
  return on_work<KernelWork>(hNode, [&](const KernelWork& work) -> CUresult {
    return value_out == nullptr ? CUDA_ERROR_INVALID_VALUE : work.attribute(attr, value_out);
  });
}
CUresult cuGraphKernelNodeSetAttribute(CUgraphNode hNode, CUlaunchAttributeID attr,
                                       const CUlaunchAttributeValue* value) {
  return on_node(hNode, [&](GraphNode& node) -> CUresult {
    const auto* work = work_as<KernelWork>(*node.work());
    if (work == nullptr || value == nullptr) return CUDA_ERROR_INVALID_VALUE;
    std::shared_ptr<KernelWork> changed;
    SOFTGPU_RETURN_IF_ERROR(work->with_attribute(attr, *value, &changed));
    node.set_work(std::move(changed));
    return CUDA_SUCCESS;
  });
}
CUresult cuGraphKernelNodeCopyAttributes(CUgraphNode dst, CUgraphNode src) {
  return on_node(dst, [&](GraphNode& node) -> CUresult {
    const auto source = live<GraphNode>().find(src);
    const auto* to = work_as<KernelWork>(*node.work());
    const auto* from = source ? work_as<KernelWork>(*source->work()) : nullptr;
    if (to == nullptr || from == nullptr) return CUDA_ERROR_INVALID_VALUE;
    node.set_work(to->with_attributes_of(*from));
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphAddMemcpyNode(CUgraphNode* phGraphNode, CUgraph hGraph, const CUgraphNode* dependencies,
                              size_t numDependencies, const CUDA_MEMCPY3D* copyParams, CUcontext ctx) {
  return add_work({phGraphNode, hGraph, dependencies, numDependencies},
                  [&](Graph&, WorkRef* work) { return make_copy_work(copyParams, ctx, work); });
}
CUresult cuGraphMemcpyNodeGetParams(CUgraphNode hNode, CUDA_MEMCPY3D* nodeParams) {
  return on_work<CopyWork>(hNode, [&](const CopyWork& work) -> CUresult {
    if (nodeParams == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *nodeParams = work.params();
    return CUDA_SUCCESS;
  });
}
CUresult cuGraphMemcpyNodeSetParams(CUgraphNode hNode, const CUDA_MEMCPY3D* nodeParams) {
  return on_node(hNode, [&](GraphNode& node) -> CUresult {
    const auto* old = work_as<CopyWork>(*node.work());
    if (old == nullptr) return CUDA_ERROR_INVALID_VALUE;
    WorkRef work;
    SOFTGPU_RETURN_IF_ERROR(make_copy_work(nodeParams, old->context()->handle(), &work));
    node.set_work(std::move(work));
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphAddMemsetNode(CUgraphNode* phGraphNode, CUgraph hGraph, const CUgraphNode* dependencies,
                              size_t numDependencies, const CUDA_MEMSET_NODE_PARAMS* memsetParams,
                              CUcontext ctx) {
  return add_work({phGraphNode, hGraph, dependencies, numDependencies},
                  [&](Graph&, WorkRef* work) { return make_set_work(memsetParams, ctx, work); });
}
CUresult cuGraphMemsetNodeGetParams(CUgraphNode hNode, CUDA_MEMSET_NODE_PARAMS* nodeParams) {
  return on_work<SetWork>(hNode, [&](const SetWork& work) -> CUresult {
    if (nodeParams == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *nodeParams = work.params();
    return CUDA_SUCCESS;
  });
}
CUresult cuGraphMemsetNodeSetParams(CUgraphNode hNode, const CUDA_MEMSET_NODE_PARAMS* nodeParams) {
  return on_node(hNode, [&](GraphNode& node) -> CUresult {
    const auto* old = work_as<SetWork>(*node.work());
    if (old == nullptr) return CUDA_ERROR_INVALID_VALUE;
    WorkRef work;
    SOFTGPU_RETURN_IF_ERROR(make_set_work(nodeParams, old->context()->handle(), &work));
    node.set_work(std::move(work));
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphAddHostNode(CUgraphNode* phGraphNode, CUgraph hGraph, const CUgraphNode* dependencies,
                            size_t numDependencies, const CUDA_HOST_NODE_PARAMS* nodeParams) {
  return add_work({phGraphNode, hGraph, dependencies, numDependencies},
                  [&](Graph&, WorkRef* work) { return make_host_work(nodeParams, work); });
}
CUresult cuGraphHostNodeGetParams(CUgraphNode hNode, CUDA_HOST_NODE_PARAMS* nodeParams) {
  return on_work<HostWork>(hNode, [&](const HostWork& work) -> CUresult {
    if (nodeParams == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *nodeParams = work.params();
    return CUDA_SUCCESS;
  });
}
CUresult cuGraphHostNodeSetParams(CUgraphNode hNode, const CUDA_HOST_NODE_PARAMS* nodeParams) {
  return change_node(hNode, CU_GRAPH_NODE_TYPE_HOST,
                     [&](WorkRef* work) { return make_host_work(nodeParams, work); });
}

CUresult cuGraphAddChildGraphNode(CUgraphNode* phGraphNode, CUgraph hGraph, const CUgraphNode* dependencies,
                                  size_t numDependencies, CUgraph childGraph) {
  return add_work({phGraphNode, hGraph, dependencies, numDependencies}, [&](Graph& graph, WorkRef* work) {
    return make_child_work(graph, childGraph, CU_GRAPH_CHILD_GRAPH_OWNERSHIP_CLONE, work);
  });
}
CUresult cuGraphChildGraphNodeGetGraph(CUgraphNode hNode, CUgraph* phGraph) {
  return on_work<ChildWork>(hNode, [&](const ChildWork& work) -> CUresult {
    if (phGraph == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *phGraph = work.inner().front()->handle();
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphAddEmptyNode(CUgraphNode* phGraphNode, CUgraph hGraph, const CUgraphNode* dependencies,
                             size_t numDependencies) {
  return add_work({phGraphNode, hGraph, dependencies, numDependencies},
                  [&](Graph&, WorkRef* work) -> CUresult {
                    *work = std::make_shared<EmptyWork>();
                    return CUDA_SUCCESS;
                  });
}

CUresult cuGraphAddEventRecordNode(CUgraphNode* phGraphNode, CUgraph hGraph, const CUgraphNode* dependencies,
                                   size_t numDependencies, CUevent event) {
  return add_work({phGraphNode, hGraph, dependencies, numDependencies},
                  [&](Graph&, WorkRef* work) { return make_event_work(true, event, work); });
}
CUresult cuGraphEventRecordNodeGetEvent(CUgraphNode hNode, CUevent* event_out) {
  return get_event(hNode, CU_GRAPH_NODE_TYPE_EVENT_RECORD, event_out);
}
CUresult cuGraphEventRecordNodeSetEvent(CUgraphNode hNode, CUevent event) {
  return change_node(hNode, CU_GRAPH_NODE_TYPE_EVENT_RECORD,
                     [&](WorkRef* work) { return make_event_work(true, event, work); });
}
CUresult cuGraphAddEventWaitNode(CUgraphNode* phGraphNode, CUgraph hGraph, const CUgraphNode* dependencies,
                                 size_t numDependencies, CUevent event) {
  return add_work({phGraphNode, hGraph, dependencies, numDependencies},
                  [&](Graph&, WorkRef* work) { return make_event_work(false, event, work); });
}
CUresult cuGraphEventWaitNodeGetEvent(CUgraphNode hNode, CUevent* event_out) {
  return get_event(hNode, CU_GRAPH_NODE_TYPE_WAIT_EVENT, event_out);
}
CUresult cuGraphEventWaitNodeSetEvent(CUgraphNode hNode, CUevent event) {
  return change_node(hNode, CU_GRAPH_NODE_TYPE_WAIT_EVENT,
                     [&](WorkRef* work) { return make_event_work(false, event, work); });
}

CUresult cuGraphConditionalHandleCreate(CUgraphConditionalHandle* pHandle_out, CUgraph hGraph, CUcontext ctx,
                                        unsigned int defaultLaunchValue, unsigned int flags) {
  return on_graph(hGraph, [&](Graph& graph) -> CUresult {
    if (pHandle_out == nullptr) return CUDA_ERROR_INVALID_VALUE;
    std::shared_ptr<Context> context;
    SOFTGPU_RETURN_IF_ERROR(context_of(ctx, &context));
    std::shared_ptr<Condition> condition;
    SOFTGPU_RETURN_IF_ERROR(Condition::create(*context, defaultLaunchValue, flags, &condition));
    *pHandle_out = condition->handle();
    graph.conditions().push_back(std::move(condition));
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphAddNode(CUgraphNode* phGraphNode, CUgraph hGraph, const CUgraphNode* dependencies,
                        size_t numDependencies, CUgraphNodeParams* nodeParams) {
  return cuGraphAddNode_v2(phGraphNode, hGraph, dependencies, nullptr, numDependencies, nodeParams);
}
CUresult cuGraphAddNode_v2(CUgraphNode* phGraphNode, CUgraph hGraph, const CUgraphNode* dependencies,
                           const CUgraphEdgeData* dependencyData, size_t numDependencies,
                           CUgraphNodeParams* nodeParams) {
  if (nodeParams == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return add_node({phGraphNode, hGraph, dependencies, numDependencies, dependencyData},
                  [&](Graph& graph, std::span<const GraphNode::Edge> edges, GraphNode** node) {
                    return add_described_node(graph, edges, nodeParams, node);
                  });
}

CUresult cuGraphNodeSetParams(CUgraphNode hNode, CUgraphNodeParams* nodeParams) {
  return on_node(hNode, [&](GraphNode& node) -> CUresult {
    if (nodeParams == nullptr || nodeParams->type != node.work()->type()) return CUDA_ERROR_INVALID_VALUE;
    switch (nodeParams->type) {
      case CU_GRAPH_NODE_TYPE_MEM_ALLOC:
      case CU_GRAPH_NODE_TYPE_MEM_FREE:
      case CU_GRAPH_NODE_TYPE_CONDITIONAL:
        return CUDA_ERROR_NOT_SUPPORTED;
      default:
        break;
    }
    WorkRef work;
    SOFTGPU_RETURN_IF_ERROR(make_work(node.graph(), nodeParams, &work));
    if (const auto* kernel = work_as<KernelWork>(*work))
      work = kernel->with_attributes_of(*work_as<KernelWork>(*node.work()));
    for (const auto& inner : node.work()->inner()) inner->retire();
    node.set_work(std::move(work));
    return CUDA_SUCCESS;
  });
}

}  // extern "C"

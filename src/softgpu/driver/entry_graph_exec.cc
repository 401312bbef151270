// Executable graphs: instantiating, launching, updating.
#include "cuda/abi.h"
#include "softgpu/driver/compute_engine.h"
#include "softgpu/driver/device.h"
#include "softgpu/driver/graph/capture.h"
#include "softgpu/driver/graph/condition.h"
#include "softgpu/driver/graph/lookup.h"
#include "softgpu/driver/graph/node_params.h"
#include "softgpu/driver/stream.h"

using namespace tessera::softgpu;  // NOLINT: the C interface of that namespace

namespace {

constexpr uint64_t kKnownFlags =
    CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH | CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD |
    CUDA_GRAPH_INSTANTIATE_FLAG_DEVICE_LAUNCH | CUDA_GRAPH_INSTANTIATE_FLAG_USE_NODE_PRIORITY;

struct Instantiated {
  CUgraphNode error_node = nullptr;
  CUgraphInstantiateResult result = CUDA_GRAPH_INSTANTIATE_SUCCESS;
};

CUresult instantiate(CUgraphExec* out, CUgraph handle, uint64_t flags, Instantiated* report) {
  return on_graph(handle, [&](Graph& graph) -> CUresult {
    if (out == nullptr || (flags & ~kKnownFlags) != 0) return CUDA_ERROR_INVALID_VALUE;
    report->result = CUDA_GRAPH_INSTANTIATE_ERROR;
    constexpr uint64_t kExclusive =
        CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH | CUDA_GRAPH_INSTANTIATE_FLAG_DEVICE_LAUNCH;
    if ((flags & kExclusive) == kExclusive) return CUDA_ERROR_INVALID_VALUE;
    if ((flags & CUDA_GRAPH_INSTANTIATE_FLAG_DEVICE_LAUNCH) != 0) return CUDA_ERROR_NOT_SUPPORTED;
    for (const auto& condition : graph.conditions()) {
      if (condition->used) continue;
      report->result = CUDA_GRAPH_INSTANTIATE_CONDITIONAL_HANDLE_UNUSED;
      return CUDA_ERROR_INVALID_VALUE;
    }
    std::shared_ptr<GraphExec> exec;
    const CUresult result = GraphExec::create(graph, flags, &exec, &report->error_node);
    if (report->error_node != nullptr) report->result = CUDA_GRAPH_INSTANTIATE_INVALID_STRUCTURE;
    if (result != CUDA_SUCCESS) return result;
    report->result = CUDA_GRAPH_INSTANTIATE_SUCCESS;
    *out = exec->handle();
    return CUDA_SUCCESS;
  });
}

// Replaces what one node does; `make(const NodeWork& old, WorkRef*)` makes the new work.
template <typename Make>
CUresult change(CUgraphExec handle, CUgraphNode node, CUgraphNodeType type, Make&& make) {
  return on_exec(handle, [&](GraphExec& exec) -> CUresult {
    const Plan::Node* found = exec.plan()->find(node);
    if (found == nullptr || found->work->type() != type) return CUDA_ERROR_INVALID_VALUE;
    WorkRef work;
    SOFTGPU_RETURN_IF_ERROR(make(*found->work, &work));
    if (check_update(*found->work, *work) != CU_GRAPH_EXEC_UPDATE_SUCCESS) return CUDA_ERROR_INVALID_VALUE;
    exec.plan_to_change().find(node)->work = std::move(work);
    return CUDA_SUCCESS;
  });
}

CUresult launch_graph(CUgraphExec handle, CUstream hStream) {
  return guarded([&]() -> CUresult {
    std::shared_ptr<Stream> stream;
    SOFTGPU_RETURN_IF_ERROR(stream_of(hStream, &stream));
    bool captured = false;
    SOFTGPU_RETURN_IF_ERROR(enter_stream(*stream, &captured));
    if (!captured) {
      stream->context().device().compute().work().await_room();
      return on_exec(handle, [&](GraphExec& exec) { return exec.launch(*stream); });
    }
    std::shared_ptr<Graph> graph;
    SOFTGPU_RETURN_IF_ERROR(on_exec(handle, [&](GraphExec& exec) { return exec.plan()->graph(&graph); }));
    return capture_work(*stream, std::make_shared<ChildWork>(std::move(graph)));
  });
}

// Only these do nothing when they are left out.
bool can_disable(CUgraphNodeType type) {
  return type == CU_GRAPH_NODE_TYPE_KERNEL || type == CU_GRAPH_NODE_TYPE_MEMCPY ||
         type == CU_GRAPH_NODE_TYPE_MEMSET;
}

}  // namespace

extern "C" {

CUresult cuGraphInstantiate(CUgraphExec* phGraphExec, CUgraph hGraph, CUgraphNode* phErrorNode,
                            char* logBuffer, size_t bufferSize) {
  return cuGraphInstantiate_v2(phGraphExec, hGraph, phErrorNode, logBuffer, bufferSize);
}
CUresult cuGraphInstantiate_v2(CUgraphExec* phGraphExec, CUgraph hGraph, CUgraphNode* phErrorNode,
                               char* logBuffer, size_t bufferSize) {
  Instantiated report;
  const CUresult result = instantiate(phGraphExec, hGraph, 0, &report);
  if (phErrorNode != nullptr) *phErrorNode = report.error_node;
  if (logBuffer != nullptr && bufferSize != 0) *logBuffer = '\0';
  return result;
}
CUresult cuGraphInstantiateWithFlags(CUgraphExec* phGraphExec, CUgraph hGraph, unsigned long long flags) {
  Instantiated report;
  return instantiate(phGraphExec, hGraph, flags, &report);
}
CUresult cuGraphInstantiateWithParams(CUgraphExec* phGraphExec, CUgraph hGraph,
                                      CUDA_GRAPH_INSTANTIATE_PARAMS* instantiateParams) {
  if (instantiateParams == nullptr) return CUDA_ERROR_INVALID_VALUE;
  Instantiated report;
  CUresult result = instantiate(phGraphExec, hGraph, instantiateParams->flags, &report);
  if (result == CUDA_SUCCESS && (instantiateParams->flags & CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD) != 0) {
    result = cuGraphUpload(*phGraphExec, instantiateParams->hUploadStream);
  }
  instantiateParams->hErrNode_out = report.error_node;
  instantiateParams->result_out = report.result;
  return result;
}

CUresult cuGraphUpload(CUgraphExec hGraph, CUstream hStream) {
  return on_exec(hGraph, [&](GraphExec& exec) -> CUresult {
    std::shared_ptr<Stream> stream;
    SOFTGPU_RETURN_IF_ERROR(stream_of(hStream, &stream));
    return exec.upload();
  });
}
CUresult cuGraphLaunch(CUgraphExec hGraph, CUstream hStream) { return launch_graph(hGraph, hStream); }

// Launches go on: they have what they need.
CUresult cuGraphExecDestroy(CUgraphExec hGraphExec) {
  return on_exec(hGraphExec, [&](GraphExec&) -> CUresult {
    live<GraphExec>().remove(hGraphExec);
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphExecGetFlags(CUgraphExec hGraphExec, cuuint64_t* flags) {
  return on_exec(hGraphExec, [&](GraphExec& exec) -> CUresult {
    if (flags == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *flags = exec.flags();
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphExecUpdate_v2(CUgraphExec hGraphExec, CUgraph hGraph,
                              CUgraphExecUpdateResultInfo* resultInfo) {
  return on_exec(hGraphExec, [&](GraphExec& exec) -> CUresult {
    const auto graph = live<Graph>().find(hGraph);
    if (!graph || graph->moved() || resultInfo == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *resultInfo = exec.update(*graph);
    return resultInfo->result == CU_GRAPH_EXEC_UPDATE_SUCCESS ? CUDA_SUCCESS
                                                              : CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE;
  });
}
CUresult cuGraphExecUpdate(CUgraphExec hGraphExec, CUgraph hGraph, CUgraphNode* hErrorNode_out,
                           CUgraphExecUpdateResult* updateResult_out) {
  CUgraphExecUpdateResultInfo info{};
  const CUresult result = cuGraphExecUpdate_v2(hGraphExec, hGraph, &info);
  if (hErrorNode_out != nullptr) *hErrorNode_out = info.errorNode;
  if (updateResult_out != nullptr) *updateResult_out = info.result;
  return result;
}

CUresult cuGraphExecKernelNodeSetParams(CUgraphExec hGraphExec, CUgraphNode hNode,
                                        const CUDA_KERNEL_NODE_PARAMS_v1* nodeParams) {
  if (nodeParams == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const CUDA_KERNEL_NODE_PARAMS wide = widened(*nodeParams);
  return cuGraphExecKernelNodeSetParams_v2(hGraphExec, hNode, &wide);
}
CUresult cuGraphExecKernelNodeSetParams_v2(CUgraphExec hGraphExec, CUgraphNode hNode,
                                           const CUDA_KERNEL_NODE_PARAMS* nodeParams) {
  if (nodeParams == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return change(hGraphExec, hNode, CU_GRAPH_NODE_TYPE_KERNEL,
                [&](const NodeWork& old, WorkRef* work) { return make_kernel_work(*nodeParams, old, work); });
}
CUresult cuGraphExecMemcpyNodeSetParams(CUgraphExec hGraphExec, CUgraphNode hNode,
                                        const CUDA_MEMCPY3D* copyParams, CUcontext ctx) {
  return change(hGraphExec, hNode, CU_GRAPH_NODE_TYPE_MEMCPY,
                [&](const NodeWork&, WorkRef* work) { return make_copy_work(copyParams, ctx, work); });
}
CUresult cuGraphExecMemsetNodeSetParams(CUgraphExec hGraphExec, CUgraphNode hNode,
                                        const CUDA_MEMSET_NODE_PARAMS* memsetParams, CUcontext ctx) {
  return change(hGraphExec, hNode, CU_GRAPH_NODE_TYPE_MEMSET,
                [&](const NodeWork&, WorkRef* work) { return make_set_work(memsetParams, ctx, work); });
}
CUresult cuGraphExecHostNodeSetParams(CUgraphExec hGraphExec, CUgraphNode hNode,
                                      const CUDA_HOST_NODE_PARAMS* nodeParams) {
  return change(hGraphExec, hNode, CU_GRAPH_NODE_TYPE_HOST,
                [&](const NodeWork&, WorkRef* work) { return make_host_work(nodeParams, work); });
}
CUresult cuGraphExecEventRecordNodeSetEvent(CUgraphExec hGraphExec, CUgraphNode hNode, CUevent event) {
  return change(hGraphExec, hNode, CU_GRAPH_NODE_TYPE_EVENT_RECORD,
                [&](const NodeWork&, WorkRef* work) { return make_event_work(true, event, work); });
}
CUresult cuGraphExecEventWaitNodeSetEvent(CUgraphExec hGraphExec, CUgraphNode hNode, CUevent event) {
  return change(hGraphExec, hNode, CU_GRAPH_NODE_TYPE_WAIT_EVENT,
                [&](const NodeWork&, WorkRef* work) { return make_event_work(false, event, work); });
}
CUresult cuGraphExecChildGraphNodeSetParams(CUgraphExec hGraphExec, CUgraphNode hNode, CUgraph childGraph) {
  return on_exec(hGraphExec, [&](GraphExec& exec) -> CUresult {
    const auto graph = live<Graph>().find(childGraph);
    const Plan::Node* found = exec.plan()->find(hNode);
    const bool child = found != nullptr && found->work->type() == CU_GRAPH_NODE_TYPE_GRAPH;
    if (!graph || !child) return CUDA_ERROR_INVALID_VALUE;
    CUgraphExecUpdateResultInfo info{};
    return exec.update_child(hNode, *graph, &info) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
  });
}

CUresult cuGraphExecNodeSetParams(CUgraphExec hGraphExec, CUgraphNode hNode, CUgraphNodeParams* nodeParams) {
  if (nodeParams == nullptr) return CUDA_ERROR_INVALID_VALUE;
  switch (nodeParams->type) {
    case CU_GRAPH_NODE_TYPE_GRAPH:
      return cuGraphExecChildGraphNodeSetParams(hGraphExec, hNode, nodeParams->graph.graph);
    case CU_GRAPH_NODE_TYPE_MEM_ALLOC:
    case CU_GRAPH_NODE_TYPE_MEM_FREE:
    case CU_GRAPH_NODE_TYPE_CONDITIONAL:
      return CUDA_ERROR_NOT_SUPPORTED;
    default:
      break;
  }
  return change(hGraphExec, hNode, nodeParams->type, [&](const NodeWork&, WorkRef* work) -> CUresult {
    // None of these types looks at the graph it will be in.
    const std::shared_ptr<Graph> nowhere = Graph::create();
    live<Graph>().remove(nowhere->handle());
    return make_work(*nowhere, nodeParams, work);
  });
}

CUresult cuGraphNodeSetEnabled(CUgraphExec hGraphExec, CUgraphNode hNode, unsigned int isEnabled) {
  return on_exec(hGraphExec, [&](GraphExec& exec) -> CUresult {
    const Plan::Node* found = exec.plan()->find(hNode);
    if (found == nullptr || !can_disable(found->work->type())) return CUDA_ERROR_INVALID_VALUE;
    exec.plan_to_change().find(hNode)->enabled = isEnabled != 0;
    return CUDA_SUCCESS;
  });
}
CUresult cuGraphNodeGetEnabled(CUgraphExec hGraphExec, CUgraphNode hNode, unsigned int* isEnabled) {
  return on_exec(hGraphExec, [&](GraphExec& exec) -> CUresult {
    const Plan::Node* found = exec.plan()->find(hNode);
    if (found == nullptr || isEnabled == nullptr || !can_disable(found->work->type())) {
      return CUDA_ERROR_INVALID_VALUE;
    }
    *isEnabled = found->enabled ? 1 : 0;
    return CUDA_SUCCESS;
  });
}

}  // extern "C"

#include "softgpu/driver/graph/node_params.h"

#include <cstring>

#include "softgpu/driver/entry.h"
#include "softgpu/driver/graph/condition.h"
#include "softgpu/driver/graph/lookup.h"
#include "softgpu/driver/graph/mem_op_work.h"
#include "softgpu/driver/graph/memory_nodes.h"
#include "softgpu/driver/handle_registry.h"
#include "softgpu/driver/library.h"

namespace tessera::softgpu {
namespace {

constexpr unsigned kMaxBodies = 1024;  // of one conditional node

CUresult make_conditional_work(Graph& graph, CUDA_CONDITIONAL_NODE_PARAMS* params, WorkRef* work) {
  std::shared_ptr<Condition> condition;
  for (const auto& known : graph.conditions()) {
    if (known->handle() == params->handle) condition = known;
  }
  const bool size_ok = params->type == CU_GRAPH_COND_TYPE_WHILE ? params->size == 1
                       : params->type == CU_GRAPH_COND_TYPE_IF
                           ? params->size == 1 || params->size == 2
                           : params->type == CU_GRAPH_COND_TYPE_SWITCH && params->size >= 1;
  if (!condition || condition->used || !size_ok || params->size > kMaxBodies) return CUDA_ERROR_INVALID_VALUE;
  std::vector<std::shared_ptr<Graph>> bodies;
  for (unsigned i = 0; i < params->size; ++i) bodies.push_back(Graph::create());
  condition->used = true;
  auto made = std::make_shared<ConditionalWork>(condition, params->type, std::move(bodies));
  params->phGraph_out = made->body_handles();
  *work = std::move(made);
  return CUDA_SUCCESS;
}

CUresult make_mem_op_work(const CUDA_BATCH_MEM_OP_NODE_PARAMS_v2& params, WorkRef* work) {
  std::shared_ptr<Context> context;
  SOFTGPU_RETURN_IF_ERROR(context_of(params.ctx, &context));
  const bool list_ok = params.count <= kMaxMemOps && (params.count == 0 || params.paramArray != nullptr);
  if (!list_ok || params.flags != 0) return CUDA_ERROR_INVALID_VALUE;
  std::vector<CUstreamBatchMemOpParams> ops(params.paramArray, params.paramArray + params.count);
  SOFTGPU_RETURN_IF_ERROR(check_mem_ops(ops));
  *work = std::make_shared<MemOpWork>(std::move(context), std::move(ops));
  return CUDA_SUCCESS;
}

bool encloses(const Graph& outer, const Graph& graph) {
  if (&outer == &graph) return true;
  for (const auto& node : outer.nodes()) {
    for (const auto& inner : node->work()->inner()) {
      if (encloses(*inner, graph)) return true;
    }
  }
  return false;
}

}  // namespace

CUDA_KERNEL_NODE_PARAMS widened(const CUDA_KERNEL_NODE_PARAMS_v1& params) {
  CUDA_KERNEL_NODE_PARAMS wide{};
  static_assert(sizeof(params) <= sizeof(wide));
  memcpy(&wide, &params, sizeof(params));  // the newer form begins as the older one
  return wide;
}

CUDA_KERNEL_NODE_PARAMS_v1 narrowed(const CUDA_KERNEL_NODE_PARAMS& params) {
  CUDA_KERNEL_NODE_PARAMS_v1 narrow{};
  memcpy(&narrow, &params, sizeof(narrow));
  return narrow;
}

CUresult make_kernel_work(const CUDA_KERNEL_NODE_PARAMS& params, WorkRef* work) {
  LaunchRequest request;
  request.grid = {params.gridDimX, params.gridDimY, params.gridDimZ};
  request.block = {params.blockDimX, params.blockDimY, params.blockDimZ};
  request.dynamic_shared_bytes = params.sharedMemBytes;
  request.by_kernel = params.func == nullptr || live<LibraryKernel>().find(params.func) != nullptr;
  request.parameters = params.kernelParams;
  request.extra = params.extra;
  std::shared_ptr<KernelWork> made;
  SOFTGPU_RETURN_IF_ERROR(KernelWork::create(params, request, &made));
  *work = std::move(made);
  return CUDA_SUCCESS;
}

CUresult make_kernel_work(const CUDA_KERNEL_NODE_PARAMS& params, const NodeWork& before, WorkRef* work) {
  const auto* known = work_as<KernelWork>(before);
  if (known == nullptr) return CUDA_ERROR_INVALID_VALUE;
  SOFTGPU_RETURN_IF_ERROR(make_kernel_work(params, work));
  *work = work_as<KernelWork>(**work)->with_attributes_of(*known);
  return CUDA_SUCCESS;
}

CUresult make_copy_work(const CUDA_MEMCPY3D* params, CUcontext handle, WorkRef* work) {
  std::shared_ptr<Context> context;
  SOFTGPU_RETURN_IF_ERROR(context_of(handle, &context));
  return params == nullptr ? CUDA_ERROR_INVALID_VALUE : CopyWork::create(*params, std::move(context), work);
}

CUresult make_set_work(const CUDA_MEMSET_NODE_PARAMS* params, CUcontext handle, WorkRef* work) {
  std::shared_ptr<Context> context;
  SOFTGPU_RETURN_IF_ERROR(context_of(handle, &context));
  return params == nullptr ? CUDA_ERROR_INVALID_VALUE : SetWork::create(*params, std::move(context), work);
}

CUresult make_host_work(const CUDA_HOST_NODE_PARAMS* params, WorkRef* work) {
  if (params == nullptr || params->fn == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *work = std::make_shared<HostWork>(*params);
  return CUDA_SUCCESS;
}

CUresult make_event_work(bool record, CUevent handle, WorkRef* work) {
  std::shared_ptr<Event> event;
  SOFTGPU_RETURN_IF_ERROR(event_of(handle, &event));
  *work = std::make_shared<EventWork>(record, std::move(event));
  return CUDA_SUCCESS;
}

CUresult make_child_work(const Graph& parent, CUgraph handle, CUgraphChildGraphNodeOwnership ownership,
                         WorkRef* work) {
  const auto child = live<Graph>().find(handle);
  if (!child) return CUDA_ERROR_INVALID_VALUE;
  const bool memory = holds_memory(*child);
  if (ownership == CU_GRAPH_CHILD_GRAPH_OWNERSHIP_MOVE) {
    if (child->owned() || encloses(*child, parent)) return CUDA_ERROR_INVALID_VALUE;
    if (memory && parent.owned()) return CUDA_ERROR_NOT_SUPPORTED;
    child->set_moved();
    *work = std::make_shared<ChildWork>(child);
    return CUDA_SUCCESS;
  }
  if (memory || child->contains(CU_GRAPH_NODE_TYPE_CONDITIONAL)) return CUDA_ERROR_NOT_SUPPORTED;
  *work = std::make_shared<ChildWork>(child->clone());
  return CUDA_SUCCESS;
}

CUresult make_work(Graph& graph, CUgraphNodeParams* params, WorkRef* work) {
  if (params == nullptr) return CUDA_ERROR_INVALID_VALUE;
  switch (params->type) {
    case CU_GRAPH_NODE_TYPE_KERNEL: {
      CUDA_KERNEL_NODE_PARAMS kernel;
      static_assert(sizeof(kernel) == sizeof(params->kernel));
      memcpy(&kernel, &params->kernel, sizeof(kernel));
      return make_kernel_work(kernel, work);
    }
    case CU_GRAPH_NODE_TYPE_MEMCPY:
      if (params->memcpy.flags != 0) return CUDA_ERROR_INVALID_VALUE;
      return make_copy_work(&params->memcpy.copyParams, params->memcpy.copyCtx, work);
    case CU_GRAPH_NODE_TYPE_MEMSET: {
      const auto& set = params->memset;
      const CUDA_MEMSET_NODE_PARAMS plain{set.dst,         set.pitch, set.value,
                                          set.elementSize, set.width, set.height};
      return make_set_work(&plain, set.ctx, work);
    }
    case CU_GRAPH_NODE_TYPE_HOST: {
      const CUDA_HOST_NODE_PARAMS host{params->host.fn, params->host.userData};
      return make_host_work(&host, work);
    }
    case CU_GRAPH_NODE_TYPE_GRAPH:
      return make_child_work(graph, params->graph.graph, params->graph.ownership, work);
    case CU_GRAPH_NODE_TYPE_EMPTY:
      *work = std::make_shared<EmptyWork>();
      return CUDA_SUCCESS;
    case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
      return make_event_work(false, params->eventWait.event, work);
    case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
      return make_event_work(true, params->eventRecord.event, work);
    case CU_GRAPH_NODE_TYPE_BATCH_MEM_OP:
      return make_mem_op_work(params->memOp, work);
    case CU_GRAPH_NODE_TYPE_CONDITIONAL:
      return make_conditional_work(graph, &params->conditional, work);
    case CU_GRAPH_NODE_TYPE_MEM_ALLOC:  // whose work depends on where the node is
    case CU_GRAPH_NODE_TYPE_MEM_FREE:
    case CU_GRAPH_NODE_TYPE_EXT_SEMAS_SIGNAL:
    case CU_GRAPH_NODE_TYPE_EXT_SEMAS_WAIT:
      return CUDA_ERROR_NOT_SUPPORTED;
  }
  return CUDA_ERROR_INVALID_VALUE;
}

}  // namespace tessera::softgpu

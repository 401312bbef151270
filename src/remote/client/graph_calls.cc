// Nodes of graphs whose parameters hold addresses of the program.
#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>

#include "remote/client/boxes.h"
#include "remote/client/callbacks.h"
#include "remote/client/connection.h"
#include "remote/client/functions.h"
#include "remote/client/installs.h"
#include "remote/client/request.h"
#include "remote/rpc.h"

namespace tessera::remote {
namespace {

// What calls that read a node's parameters give addresses of: kept for the node, until it is asked again.
struct NodeMemory {
  std::vector<std::byte> values;
  std::vector<void*> pointers;
  std::vector<CUstreamBatchMemOpParams> ops;
  std::vector<CUmemAccessDesc> access;
};

struct Nodes {
  std::mutex lock;
  std::map<CUgraphNode, NodeMemory> memory;
};

Nodes& nodes() {
  static auto* found = new Nodes;
  return *found;
}

Request& begin_node(Request& request, CUgraph graph, const CUgraphNode* dependencies, size_t count) {
  return request.value(graph).array(dependencies, dependencies == nullptr ? 0 : count);
}

template <typename Handle>
CUresult take_node(Request& request, CUresult result, Handle* node) {
  request.take(node);
  return result;
}

// --- Kernels

template <typename Params>
CUfunction function_of(const Params& params) {
  if constexpr (requires { params.kern; }) {
    if (params.func == nullptr) return reinterpret_cast<CUfunction>(params.kern);
  }
  return params.func;
}

template <typename Params>
CUresult put_kernel(Request& request, const Params& params) {
  const CUfunction function = function_of(params);
  ThreadState& thread = this_thread();
  // Asking for the function would be another request in the midst of this one.
  const ClientFunction* found = find_function(function);
  if (found == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  if (!found->is_known) return CUDA_ERROR_NOT_SUPPORTED;
  thread.parameters.clear();
  const CUresult result = gather_parameters(*found, params.kernelParams, params.extra, thread.parameters);
  if (result != CUDA_SUCCESS) return result;
  LaunchFields fields;
  fields.function = reinterpret_cast<uint64_t>(function);
  fields.grid[0] = params.gridDimX;
  fields.grid[1] = params.gridDimY;
  fields.grid[2] = params.gridDimZ;
  fields.block[0] = params.blockDimX;
  fields.block[1] = params.blockDimY;
  fields.block[2] = params.blockDimZ;
  fields.shared_bytes = params.sharedMemBytes;
  fields.parameter_bytes = static_cast<uint32_t>(thread.parameters.size());
  request.value(fields).raw(thread.parameters.data(), thread.parameters.size());
  return CUDA_SUCCESS;
}

template <typename Params>
CUresult add_kernel_node(CUgraphNode* node, CUgraph graph, const CUgraphNode* dependencies, size_t count,
                         const Params* params) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (node == nullptr || params == nullptr) return CUDA_ERROR_INVALID_VALUE;
  (void)find_function(function_of(*params));
  Request request(Op::cuGraphAddKernelNode_v2, false);
  begin_node(request, graph, dependencies, count);
  const CUresult result = put_kernel(request, *params);
  return result != CUDA_SUCCESS ? result : take_node(request, request.run(), node);
}

template <typename Params>
CUresult set_kernel_node(CUgraphNode node, const Params* params) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (params == nullptr) return CUDA_ERROR_INVALID_VALUE;
  (void)find_function(function_of(*params));
  Request request(Op::cuGraphKernelNodeSetParams_v2, false);
  request.value(node);
  const CUresult result = put_kernel(request, *params);
  return result != CUDA_SUCCESS ? result : request.run();
}

template <typename Params>
CUresult exec_set_kernel_node(CUgraphExec exec, CUgraphNode node, const Params* params) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (params == nullptr) return CUDA_ERROR_INVALID_VALUE;
  (void)find_function(function_of(*params));
  Request request(Op::cuGraphExecKernelNodeSetParams_v2, false);
  request.value(exec).value(node);
  const CUresult result = put_kernel(request, *params);
  return result != CUDA_SUCCESS ? result : request.run();
}

template <typename Params>
CUresult get_kernel_node(CUgraphNode node, Params* params) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (params == nullptr) return CUDA_ERROR_INVALID_VALUE;
  Request request(Op::cuGraphKernelNodeGetParams_v2, false);
  const CUresult result = request.value(node).run();
  if (result != CUDA_SUCCESS) return result;
  const auto fields = request.next_value<LaunchFields>();
  uint64_t bytes = 0, count = 0;
  const auto* values = request.next_array<std::byte>(&bytes);
  const auto* parameters = request.next_array<FunctionParameter>(&count);
  std::lock_guard lock(nodes().lock);
  NodeMemory& memory = nodes().memory[node];
  memory.values.assign(values, values + bytes);
  memory.pointers.clear();
  for (uint64_t i = 0; i < count && parameters[i].offset + uint64_t{parameters[i].bytes} <= bytes; ++i) {
    memory.pointers.push_back(memory.values.data() + parameters[i].offset);
  }
  *params = {};
  params->func = reinterpret_cast<CUfunction>(fields.function);
  params->gridDimX = fields.grid[0];
  params->gridDimY = fields.grid[1];
  params->gridDimZ = fields.grid[2];
  params->blockDimX = fields.block[0];
  params->blockDimY = fields.block[1];
  params->blockDimZ = fields.block[2];
  params->sharedMemBytes = fields.shared_bytes;
  params->kernelParams = memory.pointers.data();
  return result;
}

// --- Functions of the program

CUresult add_host_node(CUgraphNode* node, CUgraph graph, const CUgraphNode* dependencies, size_t count,
                       const CUDA_HOST_NODE_PARAMS* params) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (node == nullptr || params == nullptr || params->fn == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const uint64_t number = number_graph_function(params->fn, params->userData);
  if (number == 0) return CUDA_ERROR_OUT_OF_MEMORY;
  session()->expect_callbacks(true);
  Request request(Op::cuGraphAddHostNode, false);
  begin_node(request, graph, dependencies, count).value(number);
  return take_node(request, request.run(), node);
}

CUresult set_host_node(CUgraphNode node, const CUDA_HOST_NODE_PARAMS* params) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (params == nullptr || params->fn == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const uint64_t number = number_graph_function(params->fn, params->userData);
  if (number == 0) return CUDA_ERROR_OUT_OF_MEMORY;
  session()->expect_callbacks(true);
  return Request(Op::cuGraphHostNodeSetParams, false).value(node).value(number).run();
}

CUresult exec_set_host_node(CUgraphExec exec, CUgraphNode node, const CUDA_HOST_NODE_PARAMS* params) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (params == nullptr || params->fn == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const uint64_t number = number_graph_function(params->fn, params->userData);
  if (number == 0) return CUDA_ERROR_OUT_OF_MEMORY;
  session()->expect_callbacks(true);
  return Request(Op::cuGraphExecHostNodeSetParams, false).value(exec).value(node).value(number).run();
}

CUresult get_host_node(CUgraphNode node, CUDA_HOST_NODE_PARAMS* params) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (params == nullptr) return CUDA_ERROR_INVALID_VALUE;
  Request request(Op::cuGraphHostNodeGetParams, false);
  const CUresult result = request.value(node).run();
  if (result != CUDA_SUCCESS) return result;
  *params = {};
  (void)host_function_of(request.next_value<uint64_t>(), &params->fn, &params->userData);
  return result;
}

// --- Copies

CUresult add_copy_node(CUgraphNode* node, CUgraph graph, const CUgraphNode* dependencies, size_t count,
                       const CUDA_MEMCPY3D* params, CUcontext context) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (node == nullptr || params == nullptr) return CUDA_ERROR_INVALID_VALUE;
  CUDA_MEMCPY3D copy = *params;
  if (const CUresult result = share_box_memory(copy); result != CUDA_SUCCESS) return result;
  Request request(Op::cuGraphAddMemcpyNode, false);
  begin_node(request, graph, dependencies, count).value(copy).value(context);
  return take_node(request, request.run(), node);
}

CUresult set_copy_node(CUgraphNode node, const CUDA_MEMCPY3D* params) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (params == nullptr) return CUDA_ERROR_INVALID_VALUE;
  CUDA_MEMCPY3D copy = *params;
  if (const CUresult result = share_box_memory(copy); result != CUDA_SUCCESS) return result;
  return Request(Op::cuGraphMemcpyNodeSetParams, false).value(node).value(copy).value<uint64_t>(0).run();
}

CUresult exec_set_copy_node(CUgraphExec exec, CUgraphNode node, const CUDA_MEMCPY3D* params,
                            CUcontext context) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (params == nullptr) return CUDA_ERROR_INVALID_VALUE;
  CUDA_MEMCPY3D copy = *params;
  if (const CUresult result = share_box_memory(copy); result != CUDA_SUCCESS) return result;
  return Request(Op::cuGraphExecMemcpyNodeSetParams, false)
      .value(exec)
      .value(node)
      .value(copy)
      .value(context)
      .run();
}

CUresult get_copy_node(CUgraphNode node, CUDA_MEMCPY3D* params) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (params == nullptr) return CUDA_ERROR_INVALID_VALUE;
  Request request(Op::cuGraphMemcpyNodeGetParams, false);
  const CUresult result = request.value(node).run();
  if (result == CUDA_SUCCESS) *params = request.next_value<CUDA_MEMCPY3D>();
  return result;
}

// --- Memory operations, and memory that a graph allocates

CUresult put_batch(Request& request, const CUDA_BATCH_MEM_OP_NODE_PARAMS& params) {
  if (params.paramArray == nullptr && params.count != 0) return CUDA_ERROR_INVALID_VALUE;
  request.value(params.ctx).array(params.paramArray, params.count).value<uint32_t>(params.flags);
  return CUDA_SUCCESS;
}

CUresult add_batch_node(CUgraphNode* node, CUgraph graph, const CUgraphNode* dependencies, size_t count,
                        const CUDA_BATCH_MEM_OP_NODE_PARAMS* params) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (node == nullptr || params == nullptr) return CUDA_ERROR_INVALID_VALUE;
  Request request(Op::cuGraphAddBatchMemOpNode, false);
  const CUresult result = put_batch(begin_node(request, graph, dependencies, count), *params);
  return result != CUDA_SUCCESS ? result : take_node(request, request.run(), node);
}

CUresult set_batch_node(CUgraphNode node, const CUDA_BATCH_MEM_OP_NODE_PARAMS* params) {
  if (params == nullptr) return CUDA_ERROR_INVALID_VALUE;
  Request request(Op::cuGraphBatchMemOpNodeSetParams, false);
  const CUresult result = put_batch(request.value(node), *params);
  return result != CUDA_SUCCESS ? result : request.run();
}

CUresult exec_set_batch_node(CUgraphExec exec, CUgraphNode node,
                             const CUDA_BATCH_MEM_OP_NODE_PARAMS* params) {
  if (params == nullptr) return CUDA_ERROR_INVALID_VALUE;
  Request request(Op::cuGraphExecBatchMemOpNodeSetParams, false);
  const CUresult result = put_batch(request.value(exec).value(node), *params);
  return result != CUDA_SUCCESS ? result : request.run();
}

CUresult get_batch_node(CUgraphNode node, CUDA_BATCH_MEM_OP_NODE_PARAMS* params) {
  if (params == nullptr) return CUDA_ERROR_INVALID_VALUE;
  Request request(Op::cuGraphBatchMemOpNodeGetParams, false);
  const CUresult result = request.value(node).run();
  if (result != CUDA_SUCCESS) return result;
  *params = {};
  params->ctx = reinterpret_cast<CUcontext>(request.next_value<uint64_t>());
  uint64_t count = 0;
  const auto* ops = request.next_array<CUstreamBatchMemOpParams>(&count);
  std::lock_guard lock(nodes().lock);
  NodeMemory& memory = nodes().memory[node];
  memory.ops.assign(ops, ops + count);
  params->count = static_cast<unsigned>(count);
  params->paramArray = memory.ops.data();
  params->flags = request.next_value<uint32_t>();
  return result;
}

CUresult add_alloc_node(CUgraphNode* node, CUgraph graph, const CUgraphNode* dependencies, size_t count,
                        CUDA_MEM_ALLOC_NODE_PARAMS* params) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (node == nullptr || params == nullptr) return CUDA_ERROR_INVALID_VALUE;
  Request request(Op::cuGraphAddMemAllocNode, false);
  begin_node(request, graph, dependencies, count)
      .value(*params)
      .array(params->accessDescs, params->accessDescCount);
  const CUresult result = take_node(request, request.run(), node);
  if (result == CUDA_SUCCESS) params->dptr = request.next_value<CUdeviceptr>();
  return result;
}

CUresult get_alloc_node(CUgraphNode node, CUDA_MEM_ALLOC_NODE_PARAMS* params) {
  if (params == nullptr) return CUDA_ERROR_INVALID_VALUE;
  Request request(Op::cuGraphMemAllocNodeGetParams, false);
  const CUresult result = request.value(node).run();
  if (result != CUDA_SUCCESS) return result;
  *params = request.next_value<CUDA_MEM_ALLOC_NODE_PARAMS>();
  uint64_t count = 0;
  const auto* access = request.next_array<CUmemAccessDesc>(&count);
  std::lock_guard lock(nodes().lock);
  NodeMemory& memory = nodes().memory[node];
  memory.access.assign(access, access + count);
  params->accessDescs = count == 0 ? nullptr : memory.access.data();
  params->accessDescCount = count;
  return result;
}

// --- Nodes of any type: by the call for that type

CUresult add_conditional_node(CUgraphNode* node, CUgraph graph, const CUgraphNode* dependencies, size_t count,
                              CUDA_CONDITIONAL_NODE_PARAMS& params) {
  Request request(Op::cuGraphAddNode, false);
  begin_node(request, graph, dependencies, count);
  request.value(params.handle).value(params.type).value<uint32_t>(params.size).value(params.ctx);
  const CUresult result = take_node(request, request.run(), node);
  if (result != CUDA_SUCCESS) return result;
  uint64_t graphs = 0;
  const auto* found = request.next_array<CUgraph>(&graphs);
  // CUDA gives the address of an array that lives as long as the graph, of as many as were asked for.
  auto* kept = new CUgraph[params.size]();
  // NOLINTNEXTLINE(bugprone-sizeof-expression): handles
  if (graphs > 0) memcpy(kept, found, std::min<uint64_t>(graphs, params.size) * sizeof(CUgraph));
  params.phGraph_out = kept;
  return result;
}

// The child belongs to the graph afterwards, and ends with it.
CUresult give_child_graph(CUgraphNode* node, CUgraph graph, const CUgraphNode* dependencies, size_t count,
                          const CUDA_CHILD_GRAPH_NODE_PARAMS& params) {
  Request request(Op::cuGraphAddNode_v2, false);
  begin_node(request, graph, dependencies, count).value(params.graph).value(params.ownership);
  return take_node(request, request.run(), node);
}

CUresult add_node(CUgraphNode* node, CUgraph graph, const CUgraphNode* dependencies, size_t count,
                  CUgraphNodeParams* params) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (node == nullptr || params == nullptr) return CUDA_ERROR_INVALID_VALUE;
  switch (params->type) {
    case CU_GRAPH_NODE_TYPE_KERNEL:
      return add_kernel_node(node, graph, dependencies, count, &params->kernel);
    case CU_GRAPH_NODE_TYPE_MEMCPY:
      return add_copy_node(node, graph, dependencies, count, &params->memcpy.copyParams,
                           params->memcpy.copyCtx);
    case CU_GRAPH_NODE_TYPE_MEMSET: {
      CUDA_MEMSET_NODE_PARAMS fill;
      memcpy(&fill, &params->memset, sizeof fill);
      return rpc::cuGraphAddMemsetNode(false, node, graph, dependencies, count, &fill, params->memset.ctx);
    }
    case CU_GRAPH_NODE_TYPE_HOST: {
      const CUDA_HOST_NODE_PARAMS host{params->host.fn, params->host.userData};
      return add_host_node(node, graph, dependencies, count, &host);
    }
    case CU_GRAPH_NODE_TYPE_GRAPH:
      if (params->graph.ownership != CU_GRAPH_CHILD_GRAPH_OWNERSHIP_CLONE)
        return give_child_graph(node, graph, dependencies, count, params->graph);
      return rpc::cuGraphAddChildGraphNode(false, node, graph, dependencies, count, params->graph.graph);
    case CU_GRAPH_NODE_TYPE_EMPTY:
      return rpc::cuGraphAddEmptyNode(false, node, graph, dependencies, count);
    case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
      return rpc::cuGraphAddEventWaitNode(false, node, graph, dependencies, count, params->eventWait.event);
    case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
      return rpc::cuGraphAddEventRecordNode(false, node, graph, dependencies, count,
                                            params->eventRecord.event);
    case CU_GRAPH_NODE_TYPE_MEM_ALLOC: {
      CUDA_MEM_ALLOC_NODE_PARAMS alloc;
      static_assert(sizeof alloc == sizeof params->alloc);
      memcpy(&alloc, &params->alloc, sizeof alloc);
      const CUresult result = add_alloc_node(node, graph, dependencies, count, &alloc);
      if (result == CUDA_SUCCESS) params->alloc.dptr = alloc.dptr;
      return result;
    }
    case CU_GRAPH_NODE_TYPE_MEM_FREE:
      return rpc::cuGraphAddMemFreeNode(false, node, graph, dependencies, count, params->free.dptr);
    case CU_GRAPH_NODE_TYPE_BATCH_MEM_OP: {
      const CUDA_BATCH_MEM_OP_NODE_PARAMS batch{params->memOp.ctx, params->memOp.count,
                                                params->memOp.paramArray, params->memOp.flags};
      return add_batch_node(node, graph, dependencies, count, &batch);
    }
    case CU_GRAPH_NODE_TYPE_CONDITIONAL:
      return add_conditional_node(node, graph, dependencies, count, params->conditional);
    default:
      return not_over_the_wire("cuGraphAddNode of that type");
  }
}

CUresult add_node_v2(CUgraphNode* node, CUgraph graph, const CUgraphNode* dependencies,
                     const CUgraphEdgeData* edges, size_t count, CUgraphNodeParams* params) {
  static constexpr CUgraphEdgeData kPlain{};
  for (size_t i = 0; edges != nullptr && i < count; ++i) {
    if (memcmp(&edges[i], &kPlain, sizeof kPlain) != 0)
      return not_over_the_wire("cuGraphAddNode_v2 with edge data");
  }
  return add_node(node, graph, dependencies, count, params);
}

CUresult set_node(CUgraphNode node, CUgraphNodeParams* params) {
  if (params == nullptr) return CUDA_ERROR_INVALID_VALUE;
  switch (params->type) {
    case CU_GRAPH_NODE_TYPE_KERNEL:
      return set_kernel_node(node, &params->kernel);
    case CU_GRAPH_NODE_TYPE_MEMCPY:
      return set_copy_node(node, &params->memcpy.copyParams);
    case CU_GRAPH_NODE_TYPE_MEMSET: {
      CUDA_MEMSET_NODE_PARAMS fill;
      memcpy(&fill, &params->memset, sizeof fill);
      return rpc::cuGraphMemsetNodeSetParams(false, node, &fill);
    }
    case CU_GRAPH_NODE_TYPE_HOST: {
      const CUDA_HOST_NODE_PARAMS host{params->host.fn, params->host.userData};
      return set_host_node(node, &host);
    }
    case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
      return rpc::cuGraphEventWaitNodeSetEvent(false, node, params->eventWait.event);
    case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
      return rpc::cuGraphEventRecordNodeSetEvent(false, node, params->eventRecord.event);
    default:
      return not_over_the_wire("cuGraphNodeSetParams of that type");
  }
}

CUresult exec_set_node(CUgraphExec exec, CUgraphNode node, CUgraphNodeParams* params) {
  if (params == nullptr) return CUDA_ERROR_INVALID_VALUE;
  switch (params->type) {
    case CU_GRAPH_NODE_TYPE_KERNEL:
      return exec_set_kernel_node(exec, node, &params->kernel);
    case CU_GRAPH_NODE_TYPE_MEMCPY:
      return exec_set_copy_node(exec, node, &params->memcpy.copyParams, params->memcpy.copyCtx);
    case CU_GRAPH_NODE_TYPE_MEMSET: {
      CUDA_MEMSET_NODE_PARAMS fill;
      memcpy(&fill, &params->memset, sizeof fill);
      return rpc::cuGraphExecMemsetNodeSetParams(false, exec, node, &fill, params->memset.ctx);
    }
    case CU_GRAPH_NODE_TYPE_HOST: {
      const CUDA_HOST_NODE_PARAMS host{params->host.fn, params->host.userData};
      return exec_set_host_node(exec, node, &host);
    }
    case CU_GRAPH_NODE_TYPE_GRAPH:
      return rpc::cuGraphExecChildGraphNodeSetParams(false, exec, node, params->graph.graph);
    default:
      return not_over_the_wire("cuGraphExecNodeSetParams of that type");
  }
}

CUresult user_object_create(CUuserObject* object, void* argument, CUhostFn destroy, unsigned int references,
                            unsigned int flags) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (object == nullptr || destroy == nullptr) return CUDA_ERROR_INVALID_VALUE;
  session()->expect_callbacks(true);
  Request request(Op::cuUserObjectCreate, false);
  const uint64_t number = number_host_function(destroy, argument);
  request.value(number).value<uint32_t>(references).value<uint32_t>(flags);
  const CUresult result = request.run();
  if (result != CUDA_SUCCESS) forget_number(number);
  return take_node(request, result, object);
}

}  // namespace

void install_graph_calls(cuda::DriverTable& table) {
  table.cuGraphAddKernelNode = add_kernel_node<CUDA_KERNEL_NODE_PARAMS_v1>;
  table.cuGraphAddKernelNode_v2 = add_kernel_node<CUDA_KERNEL_NODE_PARAMS>;
  table.cuGraphKernelNodeSetParams = set_kernel_node<CUDA_KERNEL_NODE_PARAMS_v1>;
  table.cuGraphKernelNodeSetParams_v2 = set_kernel_node<CUDA_KERNEL_NODE_PARAMS>;
  table.cuGraphExecKernelNodeSetParams = exec_set_kernel_node<CUDA_KERNEL_NODE_PARAMS_v1>;
  table.cuGraphExecKernelNodeSetParams_v2 = exec_set_kernel_node<CUDA_KERNEL_NODE_PARAMS>;
  table.cuGraphKernelNodeGetParams = get_kernel_node<CUDA_KERNEL_NODE_PARAMS_v1>;
  table.cuGraphKernelNodeGetParams_v2 = get_kernel_node<CUDA_KERNEL_NODE_PARAMS>;
  table.cuGraphAddHostNode = add_host_node;
  table.cuGraphHostNodeSetParams = set_host_node;
  table.cuGraphExecHostNodeSetParams = exec_set_host_node;
  table.cuGraphHostNodeGetParams = get_host_node;
  table.cuGraphAddMemcpyNode = add_copy_node;
  table.cuGraphMemcpyNodeSetParams = set_copy_node;
  table.cuGraphExecMemcpyNodeSetParams = exec_set_copy_node;
  table.cuGraphMemcpyNodeGetParams = get_copy_node;
  table.cuGraphAddBatchMemOpNode = add_batch_node;
  table.cuGraphBatchMemOpNodeSetParams = set_batch_node;
  table.cuGraphExecBatchMemOpNodeSetParams = exec_set_batch_node;
  table.cuGraphBatchMemOpNodeGetParams = get_batch_node;
  table.cuGraphAddMemAllocNode = add_alloc_node;
  table.cuGraphMemAllocNodeGetParams = get_alloc_node;
  table.cuGraphAddNode = add_node;
  table.cuGraphAddNode_v2 = add_node_v2;
  table.cuGraphNodeSetParams = set_node;
  table.cuGraphExecNodeSetParams = exec_set_node;
  table.cuUserObjectCreate = user_object_create;
  install_graph_print(table);
}

}  // namespace tessera::remote

// Graphs built by hand, and what is run of them.
#include <atomic>
#include <iterator>

#include "tests/fuzz/driver_calls/copies.h"
#include "tests/fuzz/driver_calls/launches.h"

namespace tessera::fuzz {
namespace {

constexpr int kMostChildGraphs = 4;
constexpr CUhostFn kCount = [](void*) {};

CUgraph graph(World& w) { return w.get<CUgraph>(Kind::kGraph); }
CUgraphNode node(World& w) { return w.get<CUgraphNode>(Kind::kNode); }
CUgraphExec exec(World& w) { return w.get<CUgraphExec>(Kind::kGraphExec); }
CUcontext context(World& w) { return w.bytes.coin() ? nullptr : w.get<CUcontext>(Kind::kContext); }

// Nodes to depend on, mostly the newest.
struct Dependencies {
  CUgraphNode nodes[2];
  size_t count;
  explicit Dependencies(World& w)
      : nodes{node(w), node(w)}, count(w.bytes.below(8) == 0 ? w.bytes.below(3) : 0) {
    const auto& all = w.all(Kind::kNode);
    if (count != 0 || all.empty() || w.bytes.coin()) return;
    nodes[0] = reinterpret_cast<CUgraphNode>(all.back());
    count = 1;
  }
};

void keep(World& w, CUresult result, CUgraphNode made) {
  if (result == CUDA_SUCCESS) w.add(Kind::kNode, made);
}

void create_graph(World& w) {
  CUgraph made = nullptr;
  if (CALL(w, cuGraphCreate, &made, w.bytes.below(16) == 0) == CUDA_SUCCESS) w.add(Kind::kGraph, made);
}
void destroy_graph(World& w) { CALL(w, cuGraphDestroy, graph(w)); }
void clone_graph(World& w) {
  CUgraph made = nullptr;
  if (CALL(w, cuGraphClone, &made, graph(w)) == CUDA_SUCCESS) w.add(Kind::kGraph, made);
}

void add_empty(World& w) {
  CUgraphNode made = nullptr;
  const Dependencies after(w);
  keep(w, CALL(w, cuGraphAddEmptyNode, &made, graph(w), after.nodes, after.count), made);
}

CUDA_KERNEL_NODE_PARAMS kernel_node(World& w, Arguments& arguments) {
  const Shape s = launch_shape(w);
  CUDA_KERNEL_NODE_PARAMS params{};
  params.func = w.get<CUfunction>(Kind::kFunction);
  params.gridDimX = s.grid[0], params.gridDimY = s.grid[1], params.gridDimZ = s.grid[2];
  params.blockDimX = s.block[0], params.blockDimY = s.block[1], params.blockDimZ = s.block[2];
  params.sharedMemBytes = s.shared_bytes;
  params.kernelParams = arguments.list;
  if (w.bytes.below(8) == 0) params.func = nullptr, params.kern = w.get<CUkernel>(Kind::kKernel);
  if (w.bytes.below(8) == 0) params.ctx = context(w);
  return params;
}

void add_kernel(World& w) {
  CUgraphNode made = nullptr;
  const Dependencies after(w);
  Arguments arguments(w);
  const CUDA_KERNEL_NODE_PARAMS params = kernel_node(w, arguments);
  keep(w, CALL(w, cuGraphAddKernelNode_v2, &made, graph(w), after.nodes, after.count, &params), made);
}

void add_copy(World& w) {
  CUgraphNode made = nullptr;
  const Dependencies after(w);
  const CUDA_MEMCPY3D params = box_copy(w);
  keep(w, CALL(w, cuGraphAddMemcpyNode, &made, graph(w), after.nodes, after.count, &params, context(w)),
       made);
}

CUDA_MEMSET_NODE_PARAMS set_node(World& w) {
  constexpr unsigned kElements[] = {1, 2, 4, 4, 3, 0};
  return {w.device_pointer(), w.size(), w.bytes.byte(), w.bytes.one_of(kElements), w.size(), w.size()};
}

void add_set(World& w) {
  CUgraphNode made = nullptr;
  const Dependencies after(w);
  const CUDA_MEMSET_NODE_PARAMS params = set_node(w);
  keep(w, CALL(w, cuGraphAddMemsetNode, &made, graph(w), after.nodes, after.count, &params, context(w)),
       made);
}

void add_host(World& w) {
  CUgraphNode made = nullptr;
  const Dependencies after(w);
  const CUDA_HOST_NODE_PARAMS params{w.bytes.below(16) == 0 ? nullptr : kCount, nullptr};
  keep(w, CALL(w, cuGraphAddHostNode, &made, graph(w), after.nodes, after.count, &params), made);
}

void add_child(World& w) {
  if (++w.child_graphs > kMostChildGraphs) return;
  CUgraphNode made = nullptr;
  const Dependencies after(w);
  keep(w, CALL(w, cuGraphAddChildGraphNode, &made, graph(w), after.nodes, after.count, graph(w)), made);
  CUgraph inner = nullptr;
  if (CALL(w, cuGraphChildGraphNodeGetGraph, made, &inner) == CUDA_SUCCESS) w.add(Kind::kGraph, inner);
}

void add_event(World& w) {
  CUgraphNode made = nullptr;
  const Dependencies after(w);
  const auto event = w.get<CUevent>(Kind::kEvent);
  keep(w,
       w.bytes.coin() ? CALL(w, cuGraphAddEventRecordNode, &made, graph(w), after.nodes, after.count, event)
                      : CALL(w, cuGraphAddEventWaitNode, &made, graph(w), after.nodes, after.count, event),
       made);
}

void add_allocation(World& w) {
  CUgraphNode made = nullptr;
  const Dependencies after(w);
  CUDA_MEM_ALLOC_NODE_PARAMS params{};
  params.poolProps.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
  params.poolProps.location = {CU_MEM_LOCATION_TYPE_DEVICE, w.device()};
  params.bytesize = w.size();
  const CUresult result = CALL(w, cuGraphAddMemAllocNode, &made, graph(w), after.nodes, after.count, &params);
  keep(w, result, made);
  if (result == CUDA_SUCCESS) w.add(Kind::kDevicePointer, params.dptr);
}

void add_free(World& w) {
  CUgraphNode made = nullptr;
  const Dependencies after(w);
  const auto address = w.get<CUdeviceptr>(Kind::kDevicePointer);
  keep(w, CALL(w, cuGraphAddMemFreeNode, &made, graph(w), after.nodes, after.count, address), made);
}

// Never a WHILE that begins true: without a kernel that ends it, it rightly runs for ever.
void add_condition(World& w) {
  CUgraphConditionalHandle handle = 0;
  const CUgraph in = graph(w);
  const unsigned value = w.bytes.below(3);
  if (CALL(w, cuGraphConditionalHandleCreate, &handle, in, context(w), value, w.bytes.below(2)) !=
      CUDA_SUCCESS)
    return;
  CUgraphNode made = nullptr;
  CUgraph bodies[4]{};
  CUgraphNodeParams params{};
  params.type = CU_GRAPH_NODE_TYPE_CONDITIONAL;
  params.conditional.handle = handle;
  params.conditional.type =
      value == 0 ? static_cast<CUgraphConditionalNodeType>(w.bytes.below(4)) : CU_GRAPH_COND_TYPE_SWITCH;
  params.conditional.size = w.bytes.below(5);
  params.conditional.phGraph_out = bodies;
  const Dependencies after(w);
  if (CALL(w, cuGraphAddNode_v2, &made, in, after.nodes, nullptr, after.count, &params) != CUDA_SUCCESS)
    return;
  w.add(Kind::kNode, made);
  for (unsigned i = 0; i < params.conditional.size; ++i)
    w.add(Kind::kGraph, params.conditional.phGraph_out[i]);
}

void edges(World& w) {
  const CUgraph in = graph(w);
  const CUgraphNode from[] = {node(w)}, to[] = {node(w)};
  if (w.bytes.coin())
    CALL(w, cuGraphAddDependencies_v2, in, from, to, nullptr, 1);
  else
    CALL(w, cuGraphRemoveDependencies_v2, in, from, to, nullptr, 1);
}
void destroy_node(World& w) { CALL(w, cuGraphDestroyNode, node(w)); }

void ask_graph(World& w) {
  CUgraphNode from[3]{}, to[3]{};
  size_t count = w.bytes.below(4);
  CUgraphNodeType type{};
  const CUgraph of = graph(w);
  CALL(w, cuGraphGetNodes, of, w.bytes.coin() ? from : nullptr, &count);
  count = w.bytes.below(4);
  CALL(w, cuGraphGetRootNodes, of, from, &count);
  count = w.bytes.below(4);
  CALL(w, cuGraphGetEdges_v2, of, from, to, nullptr, &count);
  CALL(w, cuGraphNodeGetType, node(w), &type);
  count = w.bytes.below(4);
  CALL(w, cuGraphNodeGetDependencies_v2, node(w), from, nullptr, &count);
  count = w.bytes.below(4);
  CALL(w, cuGraphNodeGetDependentNodes_v2, node(w), from, nullptr, &count);
  CUgraphNode found = nullptr;
  CALL(w, cuGraphNodeFindInClone, &found, node(w), graph(w));
  CALL(w, cuGraphDebugDotPrint, of, "/dev/null", w.bytes.byte());
}

void ask_nodes(World& w) {
  CUDA_MEMCPY3D copy{};
  CUDA_MEMSET_NODE_PARAMS set{};
  CUDA_KERNEL_NODE_PARAMS kernel{};
  CUDA_MEM_ALLOC_NODE_PARAMS allocation{};
  CUdeviceptr freed = 0;
  CALL(w, cuGraphMemcpyNodeGetParams, node(w), &copy);
  CALL(w, cuGraphMemsetNodeGetParams, node(w), &set);
  CALL(w, cuGraphKernelNodeGetParams_v2, node(w), &kernel);
  CALL(w, cuGraphMemAllocNodeGetParams, node(w), &allocation);
  CALL(w, cuGraphMemFreeNodeGetParams, node(w), &freed);
}

void set_nodes(World& w) {
  Arguments arguments(w);
  const CUDA_MEMCPY3D copy = box_copy(w);
  const CUDA_MEMSET_NODE_PARAMS set = set_node(w);
  const CUDA_KERNEL_NODE_PARAMS kernel = kernel_node(w, arguments);
  const CUgraphNode of = node(w);
  CALL(w, cuGraphMemcpyNodeSetParams, of, &copy);
  CALL(w, cuGraphMemsetNodeSetParams, of, &set);
  CALL(w, cuGraphKernelNodeSetParams_v2, of, &kernel);
}

void instantiate(World& w) {
  CUgraphExec made = nullptr;
  if (CALL(w, cuGraphInstantiateWithFlags, &made, graph(w), w.bytes.below(17)) == CUDA_SUCCESS)
    w.add(Kind::kGraphExec, made);
}
void launch_graph(World& w) { CALL(w, cuGraphLaunch, exec(w), w.stream()); }
void upload_graph(World& w) { CALL(w, cuGraphUpload, exec(w), w.stream()); }
void destroy_exec(World& w) { CALL(w, cuGraphExecDestroy, exec(w)); }
void update_exec(World& w) {
  CUgraphExecUpdateResultInfo info{};
  CALL(w, cuGraphExecUpdate_v2, exec(w), graph(w), &info);
}

void set_exec_nodes(World& w) {
  Arguments arguments(w);
  const CUDA_MEMCPY3D copy = box_copy(w);
  const CUDA_MEMSET_NODE_PARAMS set = set_node(w);
  const CUDA_KERNEL_NODE_PARAMS kernel = kernel_node(w, arguments);
  const CUDA_HOST_NODE_PARAMS host{kCount, nullptr};
  const CUgraphExec in = exec(w);
  const CUgraphNode of = node(w);
  unsigned enabled = 0;
  CALL(w, cuGraphExecMemcpyNodeSetParams, in, of, &copy, context(w));
  CALL(w, cuGraphExecMemsetNodeSetParams, in, of, &set, context(w));
  CALL(w, cuGraphExecKernelNodeSetParams_v2, in, of, &kernel);
  CALL(w, cuGraphExecHostNodeSetParams, in, of, &host);
  CALL(w, cuGraphExecChildGraphNodeSetParams, in, of, graph(w));
  CALL(w, cuGraphExecEventRecordNodeSetEvent, in, of, w.get<CUevent>(Kind::kEvent));
  CALL(w, cuGraphNodeSetEnabled, in, of, w.bytes.below(3));
  CALL(w, cuGraphNodeGetEnabled, in, of, &enabled);
}

void user_objects(World& w) {
  CUuserObject object = nullptr;
  switch (w.bytes.below(5)) {
    case 0:
      if (CALL(w, cuUserObjectCreate, &object, nullptr, kCount, w.bytes.below(4), w.bytes.below(3)) ==
          CUDA_SUCCESS)
        w.add(Kind::kUserObject, object);
      break;
    case 1:
      CALL(w, cuUserObjectRetain, w.get<CUuserObject>(Kind::kUserObject), w.bytes.below(4));
      break;
    case 2:
      CALL(w, cuUserObjectRelease, w.get<CUuserObject>(Kind::kUserObject), w.bytes.below(4));
      break;
    case 3:
      CALL(w, cuGraphRetainUserObject, graph(w), w.get<CUuserObject>(Kind::kUserObject), w.bytes.below(4),
           w.bytes.below(3));
      break;
    default:
      CALL(w, cuGraphReleaseUserObject, graph(w), w.get<CUuserObject>(Kind::kUserObject), w.bytes.below(4));
      break;
  }
}

}  // namespace

std::span<const Call> graph_calls() {
  static constexpr Call kCalls[] = {create_graph, create_graph, destroy_graph,  clone_graph,  add_empty,
                                    add_kernel,   add_kernel,   add_copy,       add_set,      add_host,
                                    add_child,    add_event,    add_allocation, add_free,     add_condition,
                                    edges,        destroy_node, ask_graph,      ask_nodes,    set_nodes,
                                    instantiate,  instantiate,  launch_graph,   launch_graph, upload_graph,
                                    destroy_exec, update_exec,  set_exec_nodes, user_objects};
  return kCalls;
}

}  // namespace tessera::fuzz

// Graphs built by hand, and what is run of them.
#include <algorithm>
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

CUgraphNode node_of(World& w, CUgraph in) {
  const auto& inside = w.nodes[in];
  return inside.empty() || w.bytes.rarely() ? node(w) : inside[w.bytes.byte() % inside.size()];
}

// Nodes of the graph to depend on.
struct Dependencies {
  CUgraphNode nodes[2];
  size_t count;
  Dependencies(World& w, CUgraph in) : nodes{node_of(w, in), node_of(w, in)}, count(w.bytes.below(3)) {
    const bool twice = count == 2 && nodes[0] == nodes[1];
    if (w.nodes[in].empty() || twice) count = w.bytes.rarely() ? count : 0;
  }
};

CUresult keep(World& w, CUgraph in, CUresult result, CUgraphNode made) {
  if (result == CUDA_SUCCESS) {
    w.add(Kind::kNode, made);
    w.nodes[in].push_back(made);
  }
  return result;
}

void create_graph(World& w) {
  CUgraph made = nullptr;
  if (CALL(w, cuGraphCreate, &made, w.bytes.rarely()) == CUDA_SUCCESS) w.add(Kind::kGraph, made);
}
void forget_nodes(World& w, CUgraph of) {
  for (const CUgraphNode inside : w.nodes[of]) w.gone(Kind::kNode, inside);
  w.nodes.erase(of);
}
void destroy_graph(World& w) {
  const CUgraph old = graph(w);
  if (CALL(w, cuGraphDestroy, old) != CUDA_SUCCESS) return;
  w.gone(Kind::kGraph, old);
  forget_nodes(w, old);
}
void clone_graph(World& w) {
  CUgraph made = nullptr;
  const CUgraph original = graph(w);
  if (CALL(w, cuGraphClone, &made, original) != CUDA_SUCCESS) return;
  w.add(Kind::kGraph, made);
  for (const CUgraphNode inside : std::vector(w.nodes[original])) {
    CUgraphNode found = nullptr;
    if (CALL(w, cuGraphNodeFindInClone, &found, inside, made) == CUDA_SUCCESS)
      keep(w, made, CUDA_SUCCESS, found);
  }
}

void add_empty(World& w) {
  CUgraphNode made = nullptr;
  const CUgraph in = graph(w);
  const Dependencies after(w, in);
  keep(w, in, CALL(w, cuGraphAddEmptyNode, &made, in, after.nodes, after.count), made);
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
  if (w.bytes.rarely()) params.ctx = context(w);
  return params;
}

void add_kernel(World& w) {
  CUgraphNode made = nullptr;
  const CUgraph in = graph(w);
  const Dependencies after(w, in);
  Arguments arguments(w);
  const CUDA_KERNEL_NODE_PARAMS params = kernel_node(w, arguments);
  keep(w, in, CALL(w, cuGraphAddKernelNode_v2, &made, in, after.nodes, after.count, &params), made);
}

// Copies and sets need one.
CUcontext some_context(World& w) {
  CUcontext current = nullptr;
  CALL(w, cuCtxGetCurrent, &current);
  return w.bytes.below(8) == 0 ? context(w) : current;
}

void add_copy(World& w) {
  CUgraphNode made = nullptr;
  const CUgraph in = graph(w);
  const Dependencies after(w, in);
  const CUDA_MEMCPY3D params = box_copy(w);
  keep(w, in, CALL(w, cuGraphAddMemcpyNode, &made, in, after.nodes, after.count, &params, some_context(w)),
       made);
}

CUDA_MEMSET_NODE_PARAMS set_node(World& w) {
  constexpr unsigned kElements[] = {1, 2, 4}, kWrong[] = {3, 0};
  constexpr size_t kPitches[] = {64, 512}, kWidths[] = {1, 4, 16}, kHeights[] = {1, 1, 2, 8};
  CUDA_MEMSET_NODE_PARAMS params{
      w.device_span(1 << 16).begin,      w.bytes.one_of(kPitches), w.bytes.byte(),
      w.bytes.one_of(kElements, kWrong), w.bytes.one_of(kWidths),  w.bytes.one_of(kHeights)};
  if (w.bytes.rarely()) params.width = w.size(), params.pitch = w.size();
  if (w.bytes.rarely()) params.height = w.size();
  return params;
}

void add_set(World& w) {
  CUgraphNode made = nullptr;
  const CUgraph in = graph(w);
  const Dependencies after(w, in);
  const CUDA_MEMSET_NODE_PARAMS params = set_node(w);
  keep(w, in, CALL(w, cuGraphAddMemsetNode, &made, in, after.nodes, after.count, &params, some_context(w)),
       made);
}

void add_host(World& w) {
  CUgraphNode made = nullptr;
  const CUgraph in = graph(w);
  const Dependencies after(w, in);
  const CUDA_HOST_NODE_PARAMS params{w.bytes.rarely() ? nullptr : kCount, nullptr};
  keep(w, in, CALL(w, cuGraphAddHostNode, &made, in, after.nodes, after.count, &params), made);
}

void add_child(World& w) {
  if (++w.child_graphs > kMostChildGraphs) return;
  CUgraphNode made = nullptr;
  const CUgraph in = graph(w);
  const Dependencies after(w, in);
  const CUresult result = CALL(w, cuGraphAddChildGraphNode, &made, in, after.nodes, after.count, graph(w));
  CUgraph inner = nullptr;
  if (keep(w, in, result, made) == CUDA_SUCCESS &&
      CALL(w, cuGraphChildGraphNodeGetGraph, made, &inner) == CUDA_SUCCESS)
    w.add(Kind::kGraph, inner);
}

void add_event(World& w) {
  CUgraphNode made = nullptr;
  const CUgraph in = graph(w);
  const Dependencies after(w, in);
  const auto event = w.get<CUevent>(Kind::kEvent);
  keep(w, in,
       w.bytes.coin() ? CALL(w, cuGraphAddEventRecordNode, &made, in, after.nodes, after.count, event)
                      : CALL(w, cuGraphAddEventWaitNode, &made, in, after.nodes, after.count, event),
       made);
}

void add_allocation(World& w) {
  CUgraphNode made = nullptr;
  const CUgraph in = graph(w);
  const Dependencies after(w, in);
  CUDA_MEM_ALLOC_NODE_PARAMS params{};
  params.poolProps.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
  params.poolProps.location = {CU_MEM_LOCATION_TYPE_DEVICE, w.device()};
  params.bytesize = w.size();
  const CUresult result = CALL(w, cuGraphAddMemAllocNode, &made, in, after.nodes, after.count, &params);
  if (keep(w, in, result, made) != CUDA_SUCCESS) return;
  w.add(Kind::kDevicePointer, params.dptr);
  w.graph_memory.push_back({in, made, params.dptr});
}

// After the node that allocates it.
void add_free(World& w) {
  CUgraphNode made = nullptr;
  if (w.graph_memory.empty()) add_allocation(w);
  if (w.graph_memory.empty() || w.bytes.rarely()) {
    const CUgraph in = graph(w);
    const Dependencies after(w, in);
    const auto address = w.get<CUdeviceptr>(Kind::kDevicePointer);
    keep(w, in, CALL(w, cuGraphAddMemFreeNode, &made, in, after.nodes, after.count, address), made);
    return;
  }
  const auto at = w.graph_memory.begin() + w.bytes.byte() % static_cast<long>(w.graph_memory.size());
  const auto [in, allocation, address] = *at;
  w.graph_memory.erase(at);
  keep(w, in, CALL(w, cuGraphAddMemFreeNode, &made, in, &allocation, 1, address), made);
}

// One node of each kind that an executable graph can change.
void fill(World& w, CUgraph in) {
  Arguments arguments(w);
  CUgraphNode made = nullptr;
  const CUDA_KERNEL_NODE_PARAMS kernel = kernel_node(w, arguments);
  keep(w, in, CALL(w, cuGraphAddKernelNode_v2, &made, in, nullptr, 0, &kernel), made);
  const CUDA_MEMSET_NODE_PARAMS set = set_node(w);
  keep(w, in, CALL(w, cuGraphAddMemsetNode, &made, in, nullptr, 0, &set, some_context(w)), made);
  const CUDA_MEMCPY3D copy = box_copy(w);
  keep(w, in, CALL(w, cuGraphAddMemcpyNode, &made, in, nullptr, 0, &copy, some_context(w)), made);
  const CUDA_HOST_NODE_PARAMS host{kCount, nullptr};
  keep(w, in, CALL(w, cuGraphAddHostNode, &made, in, nullptr, 0, &host), made);
  const auto event = w.get<CUevent>(Kind::kEvent);
  keep(w, in, CALL(w, cuGraphAddEventRecordNode, &made, in, nullptr, 0, event), made);
}

// A graph that has a node, and the node.
struct Place {
  CUgraph in = nullptr;
  CUgraphNode node = nullptr;
  CUgraphNodeType type{};
  explicit Place(World& w) : in(graph(w)) {
    if (w.nodes[in].empty()) fill(w, in);
    node = node_of(w, in);
    if (CALL(w, cuGraphNodeGetType, node, &type) != CUDA_SUCCESS || w.bytes.rarely())
      type = static_cast<CUgraphNodeType>(w.bytes.below(14));
  }
};

// Never a WHILE that begins true: without a kernel that ends it, it rightly runs for ever.
void add_condition(World& w) {
  CUgraphConditionalHandle handle = 0;
  const CUgraph in = graph(w);
  const unsigned value = w.bytes.below(3);
  if (CALL(w, cuGraphConditionalHandleCreate, &handle, in, some_context(w), value, w.bytes.below(2)) !=
      CUDA_SUCCESS)
    return;
  CUgraphNode made = nullptr;
  CUgraph bodies[4]{};
  CUgraphNodeParams params{};
  params.type = CU_GRAPH_NODE_TYPE_CONDITIONAL;
  params.conditional.handle = handle;
  params.conditional.type =
      value == 0 ? static_cast<CUgraphConditionalNodeType>(w.bytes.rarely() ? 3 : w.bytes.below(3))
                 : CU_GRAPH_COND_TYPE_SWITCH;
  params.conditional.size = w.bytes.rarely() ? w.bytes.below(5) : 1;
  params.conditional.ctx = some_context(w);
  params.conditional.phGraph_out = bodies;
  const Dependencies after(w, in);
  if (keep(w, in, CALL(w, cuGraphAddNode_v2, &made, in, after.nodes, nullptr, after.count, &params), made) !=
      CUDA_SUCCESS)
    return;
  for (unsigned i = 0; i < params.conditional.size; ++i)
    w.add(Kind::kGraph, params.conditional.phGraph_out[i]);
}

// The edges there are, added again, would be refused: most are taken away first.
void edges(World& w) {
  const CUgraph in = Place(w).in;
  CUgraphNode from[4]{}, to[4]{};
  size_t count = std::size(from);
  CALL(w, cuGraphGetEdges_v2, in, from, to, nullptr, &count);
  if (count != 0) {
    CALL(w, cuGraphRemoveDependencies_v2, in, from, to, nullptr, 1);
    if (w.bytes.coin()) CALL(w, cuGraphAddDependencies_v2, in, from, to, nullptr, 1);
    return;
  }
  from[0] = node_of(w, in), to[0] = node_of(w, in);
  CALL(w, cuGraphAddDependencies_v2, in, from, to, nullptr, 1);
}
void destroy_node(World& w) {
  const Place old(w);
  if (CALL(w, cuGraphDestroyNode, old.node) != CUDA_SUCCESS) return;
  w.gone(Kind::kNode, old.node);
  std::erase(w.nodes[old.in], old.node);
}

void ask_graph(World& w) {
  CUgraphNode from[3]{}, to[3]{};
  size_t count = w.bytes.below(4);
  const auto [of, asked, type] = Place(w);
  CALL(w, cuGraphGetNodes, of, w.bytes.coin() ? from : nullptr, &count);
  count = w.bytes.below(4);
  CALL(w, cuGraphGetRootNodes, of, from, &count);
  count = w.bytes.below(4);
  CALL(w, cuGraphGetEdges_v2, of, from, to, nullptr, &count);
  count = w.bytes.below(4);
  CALL(w, cuGraphNodeGetDependencies_v2, asked, from, nullptr, &count);
  count = w.bytes.below(4);
  CALL(w, cuGraphNodeGetDependentNodes_v2, asked, from, nullptr, &count);
  CALL(w, cuGraphDebugDotPrint, of, "/dev/null", w.bytes.byte());
}

void ask_nodes(World& w) {
  const Place place(w);
  CUDA_MEMCPY3D copy{};
  CUDA_MEMSET_NODE_PARAMS set{};
  CUDA_KERNEL_NODE_PARAMS kernel{};
  CUDA_MEM_ALLOC_NODE_PARAMS allocation{};
  CUDA_HOST_NODE_PARAMS host{};
  CUdeviceptr freed = 0;
  switch (place.type) {
    case CU_GRAPH_NODE_TYPE_MEMCPY:
      CALL(w, cuGraphMemcpyNodeGetParams, place.node, &copy);
      break;
    case CU_GRAPH_NODE_TYPE_MEMSET:
      CALL(w, cuGraphMemsetNodeGetParams, place.node, &set);
      break;
    case CU_GRAPH_NODE_TYPE_KERNEL:
      CALL(w, cuGraphKernelNodeGetParams_v2, place.node, &kernel);
      break;
    case CU_GRAPH_NODE_TYPE_MEM_ALLOC:
      CALL(w, cuGraphMemAllocNodeGetParams, place.node, &allocation);
      break;
    case CU_GRAPH_NODE_TYPE_MEM_FREE:
      CALL(w, cuGraphMemFreeNodeGetParams, place.node, &freed);
      break;
    case CU_GRAPH_NODE_TYPE_HOST:
      CALL(w, cuGraphHostNodeGetParams, place.node, &host);
      break;
    default:
      break;
  }
}

void set_nodes(World& w) {
  const Place place(w);
  Arguments arguments(w);
  if (place.type == CU_GRAPH_NODE_TYPE_MEMCPY) {
    const CUDA_MEMCPY3D copy = box_copy(w);
    CALL(w, cuGraphMemcpyNodeSetParams, place.node, &copy);
  } else if (place.type == CU_GRAPH_NODE_TYPE_MEMSET) {
    const CUDA_MEMSET_NODE_PARAMS set = set_node(w);
    CALL(w, cuGraphMemsetNodeSetParams, place.node, &set);
  } else if (place.type == CU_GRAPH_NODE_TYPE_KERNEL) {
    const CUDA_KERNEL_NODE_PARAMS kernel = kernel_node(w, arguments);
    CALL(w, cuGraphKernelNodeSetParams_v2, place.node, &kernel);
  }
}

void instantiate(World& w) {
  constexpr unsigned long long kFlags[] = {0, 0, 0, CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH,
                                           CUDA_GRAPH_INSTANTIATE_FLAG_USE_NODE_PRIORITY};
  constexpr unsigned long long kWrong[] = {CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD,
                                           CUDA_GRAPH_INSTANTIATE_FLAG_DEVICE_LAUNCH, 16};
  CUgraphExec made = nullptr;
  const CUgraph of = graph(w);
  if (CALL(w, cuGraphInstantiateWithFlags, &made, of, w.bytes.one_of(kFlags, kWrong)) != CUDA_SUCCESS) return;
  w.add(Kind::kGraphExec, made);
  w.instantiated[made] = of;
}
void launch_graph(World& w) { CALL(w, cuGraphLaunch, exec(w), w.stream()); }
void upload_graph(World& w) { CALL(w, cuGraphUpload, exec(w), w.stream()); }
void destroy_exec(World& w) {
  const CUgraphExec old = exec(w);
  if (CALL(w, cuGraphExecDestroy, old) == CUDA_SUCCESS) w.gone(Kind::kGraphExec, old);
}

// An executable graph, and the graph that it was made of.
struct Pair {
  CUgraphExec exec;
  CUgraph of;
  explicit Pair(World& w) : exec(fuzz::exec(w)) {
    if (w.instantiated.contains(exec) && w.nodes[w.instantiated[exec]].empty()) {
      const CUgraph filled = w.instantiated[exec];
      fill(w, filled);
      if (CALL(w, cuGraphInstantiateWithFlags, &exec, filled, 0) == CUDA_SUCCESS) {
        w.add(Kind::kGraphExec, exec);
        w.instantiated[exec] = filled;
      }
    }
    const auto known = w.instantiated.find(exec);
    of = known == w.instantiated.end() || w.bytes.rarely() ? graph(w) : known->second;
  }
};

void update_exec(World& w) {
  CUgraphExecUpdateResultInfo info{};
  const Pair pair(w);
  CALL(w, cuGraphExecUpdate_v2, pair.exec, pair.of, &info);
}

void set_exec_nodes(World& w) {
  const auto [in, graph_of] = Pair(w);
  const CUgraphNode of = node_of(w, graph_of);
  CUgraphNodeType type{};
  if (CALL(w, cuGraphNodeGetType, of, &type) != CUDA_SUCCESS || w.bytes.rarely())
    type = static_cast<CUgraphNodeType>(w.bytes.below(14));
  Arguments arguments(w);
  switch (type) {
    case CU_GRAPH_NODE_TYPE_MEMCPY: {
      CUDA_MEMCPY3D copy{};
      if (w.bytes.coin() || CALL(w, cuGraphMemcpyNodeGetParams, of, &copy) != CUDA_SUCCESS)
        copy = box_copy(w);
      CALL(w, cuGraphExecMemcpyNodeSetParams, in, of, &copy, some_context(w));
      break;
    }
    case CU_GRAPH_NODE_TYPE_MEMSET: {
      const CUDA_MEMSET_NODE_PARAMS set = set_node(w);
      CALL(w, cuGraphExecMemsetNodeSetParams, in, of, &set, some_context(w));
      break;
    }
    case CU_GRAPH_NODE_TYPE_KERNEL: {
      const CUDA_KERNEL_NODE_PARAMS kernel = kernel_node(w, arguments);
      CALL(w, cuGraphExecKernelNodeSetParams_v2, in, of, &kernel);
      break;
    }
    case CU_GRAPH_NODE_TYPE_HOST: {
      const CUDA_HOST_NODE_PARAMS host{kCount, nullptr};
      CALL(w, cuGraphExecHostNodeSetParams, in, of, &host);
      break;
    }
    case CU_GRAPH_NODE_TYPE_GRAPH: {
      CUgraph inner = nullptr;
      CALL(w, cuGraphChildGraphNodeGetGraph, of, &inner);
      CALL(w, cuGraphExecChildGraphNodeSetParams, in, of, w.bytes.coin() ? inner : graph(w));
      break;
    }
    case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
      CALL(w, cuGraphExecEventRecordNodeSetEvent, in, of, w.get<CUevent>(Kind::kEvent));
      break;
    case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
      CALL(w, cuGraphExecEventWaitNodeSetEvent, in, of, w.get<CUevent>(Kind::kEvent));
      break;
    default:
      break;
  }
  unsigned enabled = 0;
  CALL(w, cuGraphNodeSetEnabled, in, of, w.bytes.rarely() ? 2 : w.bytes.below(2));
  CALL(w, cuGraphNodeGetEnabled, in, of, &enabled);
}

void user_objects(World& w) {
  CUuserObject object = nullptr;
  const unsigned count = w.bytes.rarely() ? w.bytes.below(4) : 1;
  switch (w.bytes.below(5)) {
    case 0:
      if (CALL(w, cuUserObjectCreate, &object, nullptr, kCount, count, !w.bytes.rarely()) == CUDA_SUCCESS)
        w.add(Kind::kUserObject, object);
      break;
    case 1:
      CALL(w, cuUserObjectRetain, w.get<CUuserObject>(Kind::kUserObject), count);
      break;
    case 2:
      CALL(w, cuUserObjectRelease, w.get<CUuserObject>(Kind::kUserObject), count);
      break;
    case 3:
      CALL(w, cuGraphRetainUserObject, graph(w), w.get<CUuserObject>(Kind::kUserObject), count,
           w.bytes.rarely() ? 2 : w.bytes.below(2));
      break;
    default:
      object = w.get<CUuserObject>(Kind::kUserObject);
      const CUgraph in = graph(w);
      if (w.bytes.coin()) CALL(w, cuGraphRetainUserObject, in, object, count, 0);
      CALL(w, cuGraphReleaseUserObject, in, object, count);
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

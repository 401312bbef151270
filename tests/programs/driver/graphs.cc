// Graphs built by hand: kernels, copies, sets, host functions, events and a child graph in the order of their
// edges; queries, clones, updates, nodes switched off; launches that stay in the order of their streams.
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>

#include "driver_check.h"

extern "C" const char streams_ptx[];

namespace {

constexpr uint32_t kCount = 2048, kSteps = 50;
constexpr size_t kBytes = kCount * sizeof(uint32_t);

uint32_t advanced(uint32_t state, uint32_t steps) {
  for (uint32_t step = 0; step < steps; ++step) state = state * 1664525u + 1013904223u;
  return state;
}

class Graph {
 public:
  Graph() { CU_CHECK(cuGraphCreate(&graph_, 0)); }
  ~Graph() { (void)cuGraphDestroy(graph_); }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  CUgraph get() const { return graph_; }
  size_t nodes() const {
    size_t count = 0;
    CU_CHECK(cuGraphGetNodes(graph_, nullptr, &count));
    return count;
  }

 private:
  CUgraph graph_ = nullptr;
};

class Exec {
 public:
  explicit Exec(CUgraph graph) { CU_CHECK(cuGraphInstantiateWithFlags(&exec_, graph, 0)); }
  ~Exec() { (void)cuGraphExecDestroy(exec_); }
  Exec(const Exec&) = delete;
  Exec& operator=(const Exec&) = delete;
  CUgraphExec get() const { return exec_; }
  void run() const {
    CU_CHECK(cuGraphLaunch(exec_, nullptr));
    CU_CHECK(cuStreamSynchronize(nullptr));
  }

 private:
  CUgraphExec exec_ = nullptr;
};

using Nodes = std::vector<CUgraphNode>;

CUDA_KERNEL_NODE_PARAMS kernel_params(CUfunction function, void** parameters) {
  CUDA_KERNEL_NODE_PARAMS params{};
  params.func = function;
  params.gridDimX = kCount / 128;
  params.blockDimX = 128;
  params.gridDimY = params.gridDimZ = params.blockDimY = params.blockDimZ = 1;
  params.kernelParams = parameters;
  return params;
}

CUgraphNode add_advance(CUgraph graph, const Nodes& after, CUfunction function, CUdeviceptr array,
                        uint32_t steps) {
  uint32_t count = kCount;
  void* parameters[] = {&array, &count, &steps};
  const CUDA_KERNEL_NODE_PARAMS params = kernel_params(function, parameters);
  CUgraphNode node = nullptr;
  CU_CHECK(cuGraphAddKernelNode_v2(&node, graph, after.data(), after.size(), &params));
  return node;
}

CUgraphNode add_combine(CUgraph graph, const Nodes& after, CUfunction function, CUdeviceptr a, CUdeviceptr b,
                        CUdeviceptr out) {
  uint32_t count = kCount;
  void* parameters[] = {&a, &b, &out, &count};
  const CUDA_KERNEL_NODE_PARAMS params = kernel_params(function, parameters);
  CUgraphNode node = nullptr;
  CU_CHECK(cuGraphAddKernelNode_v2(&node, graph, after.data(), after.size(), &params));
  return node;
}

CUDA_MEMSET_NODE_PARAMS set_params(CUdeviceptr array, uint32_t value) {
  return {array, 0, value, sizeof(uint32_t), kCount, 1};
}
CUgraphNode add_set(CUgraph graph, const Nodes& after, CUdeviceptr array, uint32_t value, CUcontext context) {
  const CUDA_MEMSET_NODE_PARAMS params = set_params(array, value);
  CUgraphNode node = nullptr;
  CU_CHECK(cuGraphAddMemsetNode(&node, graph, after.data(), after.size(), &params, context));
  return node;
}

CUgraphNode add_download(CUgraph graph, const Nodes& after, void* host, CUdeviceptr array,
                         CUcontext context) {
  CUDA_MEMCPY3D copy{};
  copy.srcMemoryType = CU_MEMORYTYPE_DEVICE;
  copy.srcDevice = array;
  copy.dstMemoryType = CU_MEMORYTYPE_HOST;
  copy.dstHost = host;
  copy.WidthInBytes = kBytes;
  copy.Height = copy.Depth = 1;
  CUgraphNode node = nullptr;
  CU_CHECK(cuGraphAddMemcpyNode(&node, graph, after.data(), after.size(), &copy, context));
  return node;
}

struct Summary {
  const std::vector<uint32_t>* results;
  std::atomic<int> calls{0};
  uint64_t sum = 0;
};
void summarise(void* data) {
  auto* summary = static_cast<Summary*>(data);
  summary->sum = 0;
  for (const uint32_t value : *summary->results) summary->sum += value;
  ++summary->calls;
}

uint64_t wanted_sum(uint32_t a, uint32_t b, uint32_t steps) {
  return uint64_t{kCount} * (advanced(a, steps) * 31u + advanced(b, steps));
}

// Two branches that join: set → advance, twice, then combine → download → host function.
struct Diamond {
  Graph graph;
  check::DeviceArray<uint32_t> a{kCount}, b{kCount}, out{kCount};
  std::vector<uint32_t> results = std::vector<uint32_t>(kCount);
  Summary summary{&results};
  CUgraphNode set_a, set_b, advance_a, advance_b, combine, download, host = nullptr;

  Diamond(const check::Module& module, CUcontext context) {
    const CUfunction advance = module.function("advance");
    set_a = add_set(graph.get(), {}, a.get(), 1, context);
    set_b = add_set(graph.get(), {}, b.get(), 2, context);
    advance_a = add_advance(graph.get(), {set_a}, advance, a.get(), kSteps);
    advance_b = add_advance(graph.get(), {set_b}, advance, b.get(), kSteps);
    combine = add_combine(graph.get(), {advance_a, advance_b}, module.function("combine"), a.get(), b.get(),
                          out.get());
    download = add_download(graph.get(), {combine}, results.data(), out.get(), context);
    const CUDA_HOST_NODE_PARAMS params{summarise, &summary};
    CU_CHECK(cuGraphAddHostNode(&host, graph.get(), &download, 1, &params));
  }
  void require_sum(uint64_t want, const char* what) const {
    REQUIRE(summary.sum == want, "%s: the sum is %llu, not %llu", what,
            static_cast<unsigned long long>(summary.sum), static_cast<unsigned long long>(want));
  }
};

void check_queries(const Diamond& diamond) {
  REQUIRE(diamond.graph.nodes() == 7, "%zu nodes", diamond.graph.nodes());
  CUgraphNode roots[4];
  size_t count = 4;
  CU_CHECK(cuGraphGetRootNodes(diamond.graph.get(), roots, &count));
  REQUIRE(count == 2 && roots[0] == diamond.set_a && roots[1] == diamond.set_b && roots[2] == nullptr,
          "%zu roots", count);
  CU_CHECK(cuGraphGetEdges_v2(diamond.graph.get(), nullptr, nullptr, nullptr, &count));
  REQUIRE(count == 6, "%zu edges", count);
  CUgraphNode before[2];
  count = 2;
  CU_CHECK(cuGraphNodeGetDependencies(diamond.combine, before, &count));
  REQUIRE(count == 2 && before[0] == diamond.advance_a && before[1] == diamond.advance_b, "%zu dependencies",
          count);
  CUgraphNodeType type;
  CU_CHECK(cuGraphNodeGetType(diamond.download, &type));
  REQUIRE(type == CU_GRAPH_NODE_TYPE_MEMCPY, "type %u", type);
  CUDA_KERNEL_NODE_PARAMS params{};
  CU_CHECK(cuGraphKernelNodeGetParams_v2(diamond.advance_a, &params));
  REQUIRE(*static_cast<CUdeviceptr*>(params.kernelParams[0]) == diamond.a.get() &&
              *static_cast<uint32_t*>(params.kernelParams[2]) == kSteps,
          "the node does not know its kernel's parameters");
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuGraphHostNodeSetParams(diamond.combine, nullptr));
}

// One executable graph: launched, changed node by node, changed as a whole.
void check_updates(Diamond& diamond, const check::Module& module, CUcontext context) {
  const Exec exec(diamond.graph.get());
  exec.run();
  diamond.require_sum(wanted_sum(1, 2, kSteps), "first launch");

  CUDA_MEMSET_NODE_PARAMS set = set_params(diamond.a.get(), 9);
  CU_CHECK(cuGraphExecMemsetNodeSetParams(exec.get(), diamond.set_a, &set, context));
  exec.run();
  diamond.require_sum(wanted_sum(9, 2, kSteps), "one node changed");

  CU_CHECK(cuGraphNodeSetEnabled(exec.get(), diamond.advance_a, 0));
  CU_CHECK(cuGraphNodeSetEnabled(exec.get(), diamond.advance_b, 0));
  exec.run();
  diamond.require_sum(wanted_sum(9, 2, 0), "kernels switched off");

  set.value = 5;  // in the graph, which the executable one does not follow until told
  CU_CHECK(cuGraphMemsetNodeSetParams(diamond.set_b, &set));
  set.dst = diamond.b.get();
  CU_CHECK(cuGraphMemsetNodeSetParams(diamond.set_b, &set));
  CU_CHECK(cuGraphNodeSetEnabled(exec.get(), diamond.advance_a, 1));
  CU_CHECK(cuGraphNodeSetEnabled(exec.get(), diamond.advance_b, 1));
  CUgraphExecUpdateResultInfo info{};
  CU_CHECK(cuGraphExecUpdate_v2(exec.get(), diamond.graph.get(), &info));
  exec.run();
  diamond.require_sum(wanted_sum(1, 5, kSteps), "all nodes changed");

  const Graph other;
  add_advance(other.get(), {}, module.function("advance"), diamond.a.get(), 1);
  CU_EXPECT(CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE, cuGraphExecUpdate_v2(exec.get(), other.get(), &info));
  REQUIRE(info.result == CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED, "update result %u", info.result);
  REQUIRE(diamond.summary.calls == 4, "%d calls of the host function", diamond.summary.calls.load());
}

// A clone goes its own way; a child graph runs as one node of its parent.
void check_clone_and_child(Diamond& diamond, const check::Module& module) {
  CUgraph clone = nullptr;
  CUgraphNode advance = nullptr;
  CU_CHECK(cuGraphClone(&clone, diamond.graph.get()));
  CU_CHECK(cuGraphNodeFindInClone(&advance, diamond.advance_a, clone));
  CU_CHECK(cuGraphDestroyNode(advance));
  REQUIRE(diamond.graph.nodes() == 7, "destroying a clone's node changed the original");
  const Graph parent;
  CUgraphNode child = nullptr;
  CU_CHECK(cuGraphAddChildGraphNode(&child, parent.get(), nullptr, 0, clone));
  CU_CHECK(cuGraphDestroy(clone));
  const CUgraphNode last =
      add_advance(parent.get(), {child}, module.function("advance"), diamond.out.get(), 3);
  CUgraphNode event_node = nullptr;
  CUevent event = nullptr;
  CU_CHECK(cuEventCreate(&event, CU_EVENT_DEFAULT));
  CU_CHECK(cuGraphAddEventRecordNode(&event_node, parent.get(), &last, 1, event));
  const Exec exec(parent.get());
  CU_CHECK(cuGraphLaunch(exec.get(), nullptr));
  CU_CHECK(cuEventSynchronize(event));
  // Without its kernel the clone's first branch has no set before it that the join waits for: both run all
  // the same, and the parent's kernel comes after the whole child.
  std::vector<uint32_t> want(kCount);
  for (uint32_t i = 0; i < kCount; ++i) want[i] = advanced(diamond.results[i], 3);
  check::require_equal(diamond.out.download(), want, "the node behind the child graph");
  CU_CHECK(cuEventDestroy_v2(event));
}

// Handles of an embedded graph end with its parent, although an executable graph still runs what is in it.
void check_child_after_parent(const check::Module& module) {
  const check::DeviceArray<uint32_t> array(std::vector<uint32_t>(kCount, 1));
  const Graph child;
  CUgraph parent = nullptr, embedded = nullptr;
  CUgraphNode node = nullptr, inside = nullptr;
  size_t count = 1;
  add_advance(child.get(), {}, module.function("advance"), array.get(), 4);
  CU_CHECK(cuGraphCreate(&parent, 0));
  CU_CHECK(cuGraphAddChildGraphNode(&node, parent, nullptr, 0, child.get()));
  CU_CHECK(cuGraphChildGraphNodeGetGraph(node, &embedded));
  CU_CHECK(cuGraphGetNodes(embedded, &inside, &count));
  REQUIRE(count == 1 && embedded != child.get(), "%zu nodes in the child", count);
  const Exec exec(parent);
  CU_CHECK(cuGraphDestroy(parent));
  CUgraphNodeType type;
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuGraphGetNodes(embedded, &inside, &count));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuGraphNodeGetType(inside, &type));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuGraphNodeGetType(node, &type));
  exec.run();
  for (const uint32_t state : array.download())
    REQUIRE(state == advanced(1, 4), "%u after the launch", state);
}

// What an update that is refused says about the place.
void check_update_reports(const check::Module& module) {
  const CUfunction advance = module.function("advance");
  const check::DeviceArray<uint32_t> array(kCount);
  const auto make = [&](const Graph& graph, int before_last) {
    Nodes nodes{add_advance(graph.get(), {}, advance, array.get(), 1),
                add_advance(graph.get(), {}, advance, array.get(), 1)};
    const Nodes after = before_last < 0 ? nodes : Nodes{nodes[size_t(before_last)]};
    nodes.push_back(add_advance(graph.get(), after, advance, array.get(), 1));
    return nodes;
  };
  const Graph graph, other_edge, more_edges, other_type;
  make(graph, 0);
  const Nodes moved = make(other_edge, 1), more = make(more_edges, -1);
  CUgraphNode empty = nullptr;
  Nodes typed{add_advance(other_type.get(), {}, advance, array.get(), 1)};
  CU_CHECK(cuGraphAddEmptyNode(&empty, other_type.get(), nullptr, 0));
  add_advance(other_type.get(), typed, advance, array.get(), 1);
  const Exec exec(graph.get());
  const auto refused = [&](const Graph& with, CUgraphExecUpdateResult result, CUgraphNode node,
                           CUgraphNode from) {
    CUgraphExecUpdateResultInfo info{};
    CU_EXPECT(CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE, cuGraphExecUpdate_v2(exec.get(), with.get(), &info));
    REQUIRE(info.result == result && info.errorNode == node && info.errorFromNode == from,
            "result %u, not %u; nodes %p and %p", info.result, result, static_cast<void*>(info.errorNode),
            static_cast<void*>(info.errorFromNode));
  };
  refused(other_edge, CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED, moved[2], moved[1]);
  refused(more_edges, CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED, more[2], nullptr);
  refused(other_type, CU_GRAPH_EXEC_UPDATE_ERROR_NODE_TYPE_CHANGED, empty, nullptr);
  refused(Graph(), CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED, nullptr, nullptr);
}

struct Gate {
  std::atomic<bool> open{false};
  static void wait(void* gate) {
    while (!static_cast<Gate*>(gate)->open) std::this_thread::yield();
  }
};

// A launch is one operation of its stream, and a graph never overlaps itself.
void check_order(const check::Module& module) {
  const CUfunction advance = module.function("advance");
  const check::DeviceArray<uint32_t> array(std::vector<uint32_t>(kCount, 1));
  const Graph graph;
  const CUgraphNode first = add_advance(graph.get(), {}, advance, array.get(), 2);
  add_advance(graph.get(), {first}, advance, array.get(), 3);
  const Exec exec(graph.get());
  CUstream one = nullptr, two = nullptr;
  CU_CHECK(cuStreamCreate(&one, CU_STREAM_NON_BLOCKING));
  CU_CHECK(cuStreamCreate(&two, CU_STREAM_NON_BLOCKING));
  Gate gate;
  CU_CHECK(cuLaunchHostFunc(one, Gate::wait, &gate));
  CU_CHECK(cuGraphLaunch(exec.get(), one));
  CU_CHECK(cuGraphLaunch(exec.get(), two));  // behind the launch that is held back
  CU_EXPECT(CUDA_ERROR_NOT_READY, cuStreamQuery(two));
  check::launch(advance, {kCount / 128}, {128}, two, array.get(), kCount, uint32_t{7});
  gate.open = true;
  CU_CHECK(cuStreamSynchronize(two));
  check::require_equal(array.download(), std::vector<uint32_t>(kCount, advanced(1, 2 * 5 + 7)), "launches");
  CU_CHECK(cuStreamDestroy_v2(one));
  CU_CHECK(cuStreamDestroy_v2(two));
}

void count_down(void* count) { --*static_cast<std::atomic<int>*>(count); }

// Destroyed with the last of those that keep it: program, graph, executable graph.
void check_user_objects() {
  static std::atomic<int> alive{1};
  CUuserObject object = nullptr;
  CU_CHECK(cuUserObjectCreate(&object, &alive, count_down, 1, CU_USER_OBJECT_NO_DESTRUCTOR_SYNC));
  {
    const Graph graph;
    CU_CHECK(cuGraphRetainUserObject(graph.get(), object, 1, CU_GRAPH_USER_OBJECT_MOVE));
    const Exec exec(graph.get());
    exec.run();
    REQUIRE(alive == 1, "destroyed while a graph keeps it");
  }
  while (alive != 0) std::this_thread::yield();
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuUserObjectRetain(object, 1));
}

void count_call(void* calls) { ++*static_cast<std::atomic<int>*>(calls); }

// Conditions with their default values: which of the bodies run.
void check_conditions(CUcontext context) {
  constexpr unsigned kAssignDefault = 1;  // CU_GRAPH_COND_ASSIGN_DEFAULT
  struct {
    CUgraphConditionalNodeType type;
    unsigned value, size;
    int want;  // the body that runs
  } const cases[] = {{CU_GRAPH_COND_TYPE_IF, 1, 1, 0},     {CU_GRAPH_COND_TYPE_IF, 0, 1, -1},
                     {CU_GRAPH_COND_TYPE_IF, 0, 2, 1},     {CU_GRAPH_COND_TYPE_WHILE, 0, 1, -1},
                     {CU_GRAPH_COND_TYPE_SWITCH, 2, 3, 2}, {CU_GRAPH_COND_TYPE_SWITCH, 3, 3, -1}};
  for (const auto& test : cases) {
    const Graph graph;
    CUgraphConditionalHandle handle = 0;
    CU_CHECK(cuGraphConditionalHandleCreate(&handle, graph.get(), nullptr, test.value, kAssignDefault));
    CUDA_GRAPH_INSTANTIATE_PARAMS instantiate{};
    CUgraphExec none = nullptr;
    CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuGraphInstantiateWithParams(&none, graph.get(), &instantiate));
    REQUIRE(instantiate.result_out == CUDA_GRAPH_INSTANTIATE_CONDITIONAL_HANDLE_UNUSED, "result %u",
            instantiate.result_out);
    CUgraphNodeParams params{};
    params.type = CU_GRAPH_NODE_TYPE_CONDITIONAL;
    params.conditional.handle = handle;
    params.conditional.type = test.type;
    params.conditional.size = test.size;
    CUgraphNode node = nullptr;
    CU_CHECK(cuGraphAddNode_v2(&node, graph.get(), nullptr, nullptr, 0, &params));
    check::DeviceArray<uint32_t> ran(3);
    for (unsigned i = 0; i < test.size; ++i) {
      const CUDA_MEMSET_NODE_PARAMS set{ran.get() + i * sizeof(uint32_t), 0, 1, sizeof(uint32_t), 1, 1};
      CU_CHECK(cuGraphAddMemsetNode(&node, params.conditional.phGraph_out[i], nullptr, 0, &set, context));
    }
    const Exec exec(graph.get());
    for (int run = 0; run < 2; ++run) {
      ran.fill(0);
      exec.run();
      const std::vector<uint32_t> got = ran.download();
      for (int i = 0; i < 3; ++i) {
        REQUIRE(got[size_t(i)] == (i == test.want ? 1 : 0), "type %u, value %u: body %d ran: %u", test.type,
                test.value, i, got[size_t(i)]);
      }
    }
    // Host functions and others cannot be in a body.
    std::atomic<int> calls = 0;
    const CUDA_HOST_NODE_PARAMS host{count_call, &calls};
    CUgraphExec refused = nullptr;
    CU_CHECK(cuGraphAddHostNode(&node, params.conditional.phGraph_out[0], nullptr, 0, &host));
    CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuGraphInstantiateWithParams(&refused, graph.get(), &instantiate));
    REQUIRE(instantiate.hErrNode_out == node, "another node is in the way");
  }
}

std::string drawing(CUgraph graph, unsigned flags) {
  char path[] = "/tmp/driver_graphs.XXXXXX";
  const int file = mkstemp(path);
  REQUIRE(file >= 0, "no temporary file");
  CU_CHECK(cuGraphDebugDotPrint(graph, path, flags));
  std::string text(1u << 16, '\0');
  const ssize_t bytes = read(file, text.data(), text.size());
  text.resize(bytes > 0 ? size_t(bytes) : 0);
  close(file);
  unlink(path);
  return text;
}

size_t count_of(const std::string& text, const std::string& word) {
  size_t count = 0;
  for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++count;
  return count;
}

// Every node and edge is in the drawing, and what the flags ask for.
void check_drawing(const Diamond& diamond) {
  const CUgraph graph = diamond.graph.get();
  size_t nodes = 0, edges = 0;
  CU_CHECK(cuGraphGetNodes(graph, nullptr, &nodes));
  CU_CHECK(cuGraphGetEdges(graph, nullptr, nullptr, &edges));
  const std::string plain = drawing(graph, 0), all = drawing(graph, CU_GRAPH_DEBUG_DOT_FLAGS_VERBOSE);
  for (const std::string& text : {plain, all}) {
    REQUIRE(text.starts_with("digraph dot {") && text.ends_with("}\n"), "no drawing: %s", text.c_str());
    REQUIRE(count_of(text, "[shape=") == nodes && count_of(text, " -> ") == edges, "%s", text.c_str());
    REQUIRE(count_of(text, "advance") == 2 && count_of(text, "combine") == 1, "%s", text.c_str());
  }
  REQUIRE(count_of(plain, "userData") == 0 && count_of(all, "userData") == 1, "%s", all.c_str());
  CU_EXPECT(CUDA_ERROR_OPERATING_SYSTEM, cuGraphDebugDotPrint(graph, "/nonexistent/folder/file", 0));
}

void check_errors(const check::Module& module, const Diamond& diamond) {
  const Graph graph;
  const CUgraphNode a = add_advance(graph.get(), {}, module.function("advance"), diamond.a.get(), 1);
  const CUgraphNode b = add_advance(graph.get(), {a}, module.function("advance"), diamond.a.get(), 1);
  CU_CHECK(cuGraphAddDependencies(graph.get(), &b, &a, 1));
  CUgraphExec exec = nullptr;
  CUDA_GRAPH_INSTANTIATE_PARAMS params{};
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuGraphInstantiateWithParams(&exec, graph.get(), &params));
  REQUIRE(params.result_out == CUDA_GRAPH_INSTANTIATE_INVALID_STRUCTURE, "result %u", params.result_out);
  CU_CHECK(cuGraphRemoveDependencies(graph.get(), &b, &a, 1));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuGraphRemoveDependencies(graph.get(), &b, &a, 1));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuGraphLaunch(nullptr, nullptr));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuGraphDestroy(reinterpret_cast<CUgraph>(&params)));
}

}  // namespace

int main() {
  const check::Context context;
  const check::Module module(streams_ptx);
  Diamond diamond(module, context.get());
  check_queries(diamond);
  check_updates(diamond, module, context.get());
  check_clone_and_child(diamond, module);
  check_child_after_parent(module);
  check_update_reports(module);
  check_order(module);
  check_user_objects();
  check_conditions(context.get());
  check_drawing(diamond);
  check_errors(module, diamond);
  return check::pass("7 nodes, 4 launches of a changing graph, a child, a clone, 6 conditions");
}

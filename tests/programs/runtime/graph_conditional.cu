// Conditional nodes that kernels decide: a loop, a loop inside a loop, a branch with and without its other
// side, a choice of several, the default value, and a capture into a body.
#include "cuda_check.h"

namespace {

using Handle = cudaGraphConditionalHandle;

__global__ void add(unsigned* value, unsigned term) {
  if (threadIdx.x == 0) *value += term;
}
// Goes on as long as `value` is below `limit`.
__global__ void add_below(unsigned* value, unsigned term, unsigned limit, Handle handle) {
  if (threadIdx.x != 0) return;
  *value += term;
  cudaGraphSetConditional(handle, *value < limit);
}
__global__ void decide(const unsigned* value, Handle handle) { cudaGraphSetConditional(handle, *value); }

cudaGraphNode_t add_kernel(cudaGraph_t graph, cudaGraphNode_t after, const void* function, void** arguments) {
  cudaKernelNodeParams params{};
  params.func = const_cast<void*>(function);
  params.gridDim = dim3(1);
  params.blockDim = dim3(32);
  params.kernelParams = arguments;
  cudaGraphNode_t node;
  CUDA_CHECK(cudaGraphAddKernelNode(&node, graph, &after, after != nullptr ? 1 : 0, &params));
  return node;
}

cudaGraphNode_t add_term(cudaGraph_t graph, cudaGraphNode_t after, unsigned* value, unsigned term) {
  void* arguments[] = {&value, &term};
  return add_kernel(graph, after, reinterpret_cast<const void*>(add), arguments);
}

Handle make_handle(cudaGraph_t graph, unsigned initial, unsigned flags) {
  Handle handle;
  CUDA_CHECK(cudaGraphConditionalHandleCreate(&handle, graph, initial, flags));
  return handle;
}

struct Conditional {
  cudaGraphNode_t node;
  std::vector<cudaGraph_t> bodies;
};

Conditional add_conditional(cudaGraph_t graph, cudaGraphNode_t after, Handle handle,
                            cudaGraphConditionalNodeType type, unsigned size) {
  cudaGraphNodeParams params{};
  params.type = cudaGraphNodeTypeConditional;
  params.conditional.handle = handle;
  params.conditional.type = type;
  params.conditional.size = size;
  Conditional made;
  CUDA_CHECK(cudaGraphAddNode(&made.node, graph, &after, nullptr, after != nullptr ? 1 : 0, &params));
  made.bodies.assign(params.conditional.phGraph_out, params.conditional.phGraph_out + size);
  return made;
}

// A graph, and the figure that its kernels work on.
class Scene {
 public:
  Scene() { CUDA_CHECK(cudaGraphCreate(&graph_, 0)); }
  ~Scene() {
    (void)cudaGraphExecDestroy(exec_);
    (void)cudaGraphDestroy(graph_);
  }
  Scene(const Scene&) = delete;
  Scene& operator=(const Scene&) = delete;
  cudaGraph_t graph() const { return graph_; }
  unsigned* value() const { return value_.get(); }
  unsigned* choice() const { return choice_.get(); }
  void update(cudaGraph_t graph) {
    cudaGraphExecUpdateResultInfo info;
    CUDA_CHECK(cudaGraphExecUpdate(exec_, graph, &info));
  }
  // What one launch makes of `initial`, where `choice` is given.
  unsigned run(unsigned initial, unsigned choice = 0) {
    if (exec_ == nullptr) CUDA_CHECK(cudaGraphInstantiate(&exec_, graph_, 0));
    value_.upload({initial});
    choice_.upload({choice});
    CUDA_CHECK(cudaGraphLaunch(exec_, nullptr));
    CUDA_CHECK(cudaDeviceSynchronize());
    return value_.download()[0];
  }
  void require(unsigned want, unsigned initial, unsigned choice, const char* what) {
    const unsigned got = run(initial, choice);
    REQUIRE(got == want, "%s: %u (choice %u) became %u, not %u", what, initial, choice, got, want);
  }

 private:
  cudaGraph_t graph_ = nullptr;
  cudaGraphExec_t exec_ = nullptr;
  check::DeviceArray<unsigned> value_{1}, choice_{1};
};

void add_step(cudaGraph_t graph, cudaGraphNode_t after, unsigned* value, unsigned term, unsigned limit,
              Handle handle) {
  void* arguments[] = {&value, &term, &limit, &handle};
  add_kernel(graph, after, reinterpret_cast<const void*>(add_below), arguments);
}

void check_loop() {
  Scene scene;
  const Handle handle = make_handle(scene.graph(), 1, cudaGraphCondAssignDefault);
  const Conditional loop = add_conditional(scene.graph(), nullptr, handle, cudaGraphCondTypeWhile, 1);
  add_step(loop.bodies[0], nullptr, scene.value(), 3, 1000, handle);
  add_term(scene.graph(), loop.node, scene.value(), 100000);
  // The default lets the body run once whatever the last launch left in the condition.
  scene.require(101000, 1, 0, "while");
  scene.require(105003, 5000, 0, "while, ended by its first round");
}

// 10 rounds outside, and in each of them a loop of its own up to the next multiple of 8.
void check_nested_loop() {
  Scene scene;
  const Handle outer = make_handle(scene.graph(), 1, cudaGraphCondAssignDefault);
  const Conditional loop = add_conditional(scene.graph(), nullptr, outer, cudaGraphCondTypeWhile, 1);
  const cudaGraph_t body = loop.bodies[0];
  const Handle inner = make_handle(body, 1, cudaGraphCondAssignDefault);
  const Conditional nested = add_conditional(body, nullptr, inner, cudaGraphCondTypeWhile, 1);
  add_step(nested.bodies[0], nullptr, scene.value(), 1, 8, inner);
  add_step(body, nested.node, scene.value(), 100, 1000, outer);
  // Round 1: up to 8, then 108. Every other one: the inner loop runs once, then 100 more.
  scene.require(8 + 100 + 9 * 101, 0, 0, "nested while");
}

void add_decision(cudaGraph_t graph, cudaGraphNode_t* node, const unsigned* choice, Handle handle) {
  void* arguments[] = {&choice, &handle};
  *node = add_kernel(graph, nullptr, reinterpret_cast<const void*>(decide), arguments);
}

void check_branch(unsigned sides) {
  Scene scene;
  const Handle handle = make_handle(scene.graph(), 0, 0);
  cudaGraphNode_t decision;
  add_decision(scene.graph(), &decision, scene.choice(), handle);
  const Conditional branch = add_conditional(scene.graph(), decision, handle, cudaGraphCondTypeIf, sides);
  add_term(branch.bodies[0], nullptr, scene.value(), 10);
  if (sides == 2) add_term(branch.bodies[1], nullptr, scene.value(), 20);
  add_term(scene.graph(), branch.node, scene.value(), 1);
  scene.require(11, 0, 1, "if, true");
  scene.require(11, 0, 77, "if, not zero");
  scene.require(sides == 2 ? 21 : 1, 0, 0, "if, false");
}

void check_switch() {
  Scene scene;
  const Handle handle = make_handle(scene.graph(), 0, 0);
  cudaGraphNode_t decision;
  add_decision(scene.graph(), &decision, scene.choice(), handle);
  const Conditional choice = add_conditional(scene.graph(), decision, handle, cudaGraphCondTypeSwitch, 3);
  for (unsigned i = 0; i < 3; ++i) add_term(choice.bodies[i], nullptr, scene.value(), 100 << i);
  for (unsigned i = 0; i < 3; ++i) scene.require(5 + (100 << i), 5, i, "switch");
  scene.require(5, 5, 3, "switch, no such body");
}

// The body by capture, with a copy in it; the condition from the host's default.
void check_captured_body() {
  Scene scene;
  const Handle handle = make_handle(scene.graph(), 1, cudaGraphCondAssignDefault);
  const Conditional branch = add_conditional(scene.graph(), nullptr, handle, cudaGraphCondTypeIf, 1);
  cudaStream_t stream;
  CUDA_CHECK(cudaStreamCreate(&stream));
  CUDA_CHECK(cudaStreamBeginCaptureToGraph(stream, branch.bodies[0], nullptr, nullptr, 0,
                                           cudaStreamCaptureModeGlobal));
  CUDA_CHECK(
      cudaMemcpyAsync(scene.value(), scene.choice(), sizeof(unsigned), cudaMemcpyDeviceToDevice, stream));
  add<<<1, 32, 0, stream>>>(scene.value(), 7);
  cudaGraph_t captured;
  CUDA_CHECK(cudaStreamEndCapture(stream, &captured));
  CUDA_CHECK(cudaStreamDestroy(stream));
  scene.require(49, 1, 42, "captured body");
}

// An update brings the condition of the other graph along, and its default.
void check_update() {
  Scene scene;
  cudaGraph_t other;
  CUDA_CHECK(cudaGraphCreate(&other, 0));
  const auto fill = [&](cudaGraph_t graph, unsigned initial, unsigned term) {
    const Handle handle = make_handle(graph, initial, cudaGraphCondAssignDefault);
    const Conditional branch = add_conditional(graph, nullptr, handle, cudaGraphCondTypeIf, 1);
    add_term(branch.bodies[0], nullptr, scene.value(), term);
  };
  fill(scene.graph(), 0, 5);
  fill(other, 1, 6);
  scene.require(1, 1, 0, "before the update");
  scene.update(other);
  scene.require(7, 1, 0, "updated");
  CUDA_CHECK(cudaGraphDestroy(other));
  scene.require(7, 1, 0, "updated from a graph that is gone");
}

void check_errors() {
  cudaGraph_t graph;
  CUDA_CHECK(cudaGraphCreate(&graph, 0));
  const Handle handle = make_handle(graph, 1, 0);
  cudaGraphExec_t exec;
  CUDA_EXPECT(cudaErrorInvalidValue, cudaGraphInstantiate(&exec, graph, 0));  // a handle without a node
  add_conditional(graph, nullptr, handle, cudaGraphCondTypeIf, 1);
  cudaGraphNodeParams params{};
  params.type = cudaGraphNodeTypeConditional;
  params.conditional.handle = handle;
  params.conditional.type = cudaGraphCondTypeWhile;
  params.conditional.size = 1;
  cudaGraphNode_t node;
  CUDA_EXPECT(cudaErrorInvalidValue, cudaGraphAddNode(&node, graph, nullptr, nullptr, 0, &params));  // used
  CUDA_CHECK(cudaGraphDestroy(graph));
  (void)cudaGetLastError();
}

}  // namespace

int main() {
  check_loop();
  check_nested_loop();
  check_branch(1);
  check_branch(2);
  check_switch();
  check_captured_body();
  check_update();
  check_errors();
  return check::pass("while, nested while, if, if and else, switch, a captured body");
}

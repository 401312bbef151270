// Memory that graphs allocate: addresses fixed when the node is made, memory from the first launch on; frees
// in the graph, in another one and by calls; what may not be done with such graphs; capture; what is kept and
// given back. Argument: the total that the device must show, in bytes (a slice's), and then launches are
// refused at it.
#include "driver_check.h"

extern "C" const char memory_ptx[];

namespace {

constexpr uint32_t kCount = 40'000;
constexpr size_t kBytes = kCount * sizeof(uint32_t);
constexpr uint32_t kFill = 7;

using Nodes = std::vector<CUgraphNode>;

class Graph {
 public:
  Graph() { CU_CHECK(cuGraphCreate(&graph_, 0)); }
  ~Graph() {
    for (const CUgraphExec exec : execs_) (void)cuGraphExecDestroy(exec);
    (void)cuGraphDestroy(graph_);
  }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  CUgraph get() const { return graph_; }
  CUgraphExec instantiate(unsigned long long flags = 0) {
    CUgraphExec exec = nullptr;
    CU_CHECK(cuGraphInstantiateWithFlags(&exec, graph_, flags));
    execs_.push_back(exec);
    return exec;
  }

 private:
  CUgraph graph_ = nullptr;
  std::vector<CUgraphExec> execs_;
};

CUDA_MEM_ALLOC_NODE_PARAMS alloc_params(size_t bytes) {
  CUDA_MEM_ALLOC_NODE_PARAMS params{};
  params.poolProps.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
  params.poolProps.location = {CU_MEM_LOCATION_TYPE_DEVICE, {0}};
  params.bytesize = bytes;
  return params;
}

CUgraphNode add_alloc(const Graph& graph, const Nodes& after, size_t bytes, CUdeviceptr* address) {
  CUDA_MEM_ALLOC_NODE_PARAMS params = alloc_params(bytes);
  CUgraphNode node = nullptr;
  CU_CHECK(cuGraphAddMemAllocNode(&node, graph.get(), after.data(), after.size(), &params));
  *address = params.dptr;
  return node;
}

CUgraphNode add_free(const Graph& graph, const Nodes& after, CUdeviceptr address) {
  CUgraphNode node = nullptr;
  CU_CHECK(cuGraphAddMemFreeNode(&node, graph.get(), after.data(), after.size(), address));
  return node;
}

class Scene {
 public:
  Scene() : add_index_(module_.function("add_index")) {}
  CUcontext context() const { return context_.get(); }

  // values = kFill + index, by a set and a kernel; then they are copied to `out`.
  CUgraphNode add_work(const Graph& graph, CUgraphNode after, CUdeviceptr values, CUdeviceptr out) const {
    const CUDA_MEMSET_NODE_PARAMS set{values, 0, kFill, sizeof(uint32_t), kCount, 1};
    CUgraphNode filled = nullptr, indexed = nullptr, copied = nullptr;
    CU_CHECK(cuGraphAddMemsetNode(&filled, graph.get(), &after, after != nullptr ? 1 : 0, &set, context()));
    uint32_t count = kCount;
    void* arguments[] = {&values, &count};
    CUDA_KERNEL_NODE_PARAMS kernel{};
    kernel.func = add_index_;
    kernel.gridDimX = 4;
    kernel.blockDimX = 128;
    kernel.gridDimY = kernel.gridDimZ = kernel.blockDimY = kernel.blockDimZ = 1;
    kernel.kernelParams = arguments;
    CU_CHECK(cuGraphAddKernelNode_v2(&indexed, graph.get(), &filled, 1, &kernel));
    CUDA_MEMCPY3D copy{};
    copy.srcMemoryType = copy.dstMemoryType = CU_MEMORYTYPE_DEVICE;
    copy.srcDevice = values;
    copy.dstDevice = out;
    copy.WidthInBytes = kBytes;
    copy.Height = copy.Depth = 1;
    CU_CHECK(cuGraphAddMemcpyNode(&copied, graph.get(), &indexed, 1, &copy, context()));
    return copied;
  }
  CUfunction add_index() const { return add_index_; }

 private:
  const check::Context context_;
  const check::Module module_{memory_ptx};
  const CUfunction add_index_;
};

void launch(CUgraphExec exec) {
  CU_CHECK(cuGraphLaunch(exec, nullptr));
  CU_CHECK(cuStreamSynchronize(nullptr));
}

void require_work(const std::vector<uint32_t>& got, uint32_t fill, const char* what) {
  std::vector<uint32_t> want(kCount);
  for (uint32_t i = 0; i < kCount; ++i) want[i] = fill + i;
  check::require_equal(got, want, what);
}

uint64_t attribute(CUgraphMem_attribute which) {
  cuuint64_t value = 0;
  CU_CHECK(cuDeviceGetGraphMemAttribute(0, which, &value));
  return value;
}
uint64_t reserved() { return attribute(CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT); }
uint64_t used() { return attribute(CU_GRAPH_MEM_ATTR_USED_MEM_CURRENT); }

// Allocated, worked in and freed in one graph, again and again. The addresses are there before the memory.
void check_freed_inside(const Scene& scene) {
  CU_CHECK(cuDeviceGraphMemTrim(0));
  REQUIRE(reserved() == 0, "%zu bytes reserved before the first launch", size_t(reserved()));
  {
    Graph graph;
    check::DeviceArray<uint32_t> out(kCount);
    CUdeviceptr values = 0, freed = 0;
    const CUgraphNode alloc = add_alloc(graph, {}, kBytes, &values);
    const CUgraphNode work = scene.add_work(graph, alloc, values, out.get());
    const CUgraphNode end = add_free(graph, {work}, values);
    CUDA_MEM_ALLOC_NODE_PARAMS params{};
    CU_CHECK(cuGraphMemAllocNodeGetParams(alloc, &params));
    REQUIRE(params.dptr == values && params.bytesize == kBytes, "other parameters than were given");
    CU_CHECK(cuGraphMemFreeNodeGetParams(end, &freed));
    REQUIRE(freed == values, "another address than was given");
    CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemsetD8_v2(values, 0, kBytes));  // no memory there yet
    const CUgraphExec exec = graph.instantiate();
    for (int i = 0; i < 3; ++i) {
      out.fill(0);
      launch(exec);
      require_work(out.download(), kFill, "freed inside");
    }
    REQUIRE(reserved() >= kBytes && used() == reserved(), "%zu bytes reserved, %zu used", size_t(reserved()),
            size_t(used()));
    CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemFree_v2(values));  // the graph frees it
    CU_CHECK(cuDeviceGraphMemTrim(0));
    REQUIRE(reserved() == 0, "%zu bytes reserved after trimming", size_t(reserved()));
    launch(exec);
    require_work(out.download(), kFill, "after trimming");
  }
  REQUIRE(reserved() >= kBytes && used() == 0, "of a destroyed graph: %zu bytes reserved, %zu used",
          size_t(reserved()), size_t(used()));
  CU_CHECK(cuDeviceGraphMemTrim(0));
  REQUIRE(reserved() == 0, "%zu bytes reserved at the end", size_t(reserved()));
  cuuint64_t zero = 0, one = 1;
  REQUIRE(attribute(CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH) >= kBytes, "the mark is too low");
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE,
            cuDeviceSetGraphMemAttribute(0, CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH, &one));
  CU_CHECK(cuDeviceSetGraphMemAttribute(0, CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH, &zero));
  CU_CHECK(cuDeviceSetGraphMemAttribute(0, CU_GRAPH_MEM_ATTR_USED_MEM_HIGH, &zero));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE,
            cuDeviceSetGraphMemAttribute(0, CU_GRAPH_MEM_ATTR_USED_MEM_CURRENT, &zero));
  REQUIRE(attribute(CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH) == 0, "the mark was not reset");
}

// Memory freed in a graph serves the next node of it: both together take no more than one.
void check_reuse(const Scene& scene) {
  Graph graph;
  check::DeviceArray<uint32_t> out(kCount);
  CUdeviceptr first = 0, second = 0, beside = 0;
  const CUgraphNode alloc = add_alloc(graph, {}, kBytes, &first);
  const CUgraphNode work = scene.add_work(graph, alloc, first, out.get());
  const CUgraphNode freed = add_free(graph, {work}, first);
  const CUgraphNode again = add_alloc(graph, {freed}, kBytes, &second);
  add_alloc(graph, {alloc}, kBytes, &beside);
  REQUIRE(second == first && beside != first, "%llx and beside it %llx, after %llx", second, beside, first);
  scene.add_work(graph, again, second, out.get());
  const CUgraphExec exec = graph.instantiate();
  launch(exec);
  require_work(out.download(), kFill, "used again");
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuGraphLaunch(exec, nullptr));  // two are not freed
  CU_CHECK(cuMemFree_v2(second));
  CU_CHECK(cuMemFree_v2(beside));
  launch(exec);
  CU_CHECK(cuMemFreeAsync(second, nullptr));
  CU_CHECK(cuMemFreeAsync(beside, nullptr));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemFreeAsync(beside, nullptr));
}

// A kept block may be larger than the node that gets it; when it has been given back, the next launch takes
// no more than the node needs.
void check_kept_block() {
  CU_CHECK(cuDeviceGraphMemTrim(0));
  constexpr size_t kSmall = kBytes / 3 * 2 / 512 * 512;
  CUdeviceptr large = 0, small = 0;
  {
    Graph first;
    const CUgraphNode alloc = add_alloc(first, {}, kBytes, &large);
    add_free(first, {alloc}, large);
    launch(first.instantiate());
  }
  Graph second;
  const CUgraphNode alloc = add_alloc(second, {}, kSmall, &small);
  add_free(second, {alloc}, small);
  REQUIRE(small == large, "the kept block is not used again");
  const CUgraphExec exec = second.instantiate();
  launch(exec);
  REQUIRE(reserved() >= kBytes, "%zu bytes reserved of a kept block", size_t(reserved()));
  CU_CHECK(cuDeviceGraphMemTrim(0));
  launch(exec);
  REQUIRE(reserved() == kSmall, "%zu bytes reserved for %zu", size_t(reserved()), kSmall);
}

// What a graph leaves allocated is the program's, until it or another graph frees it.
void check_freed_outside(const Scene& scene) {
  Graph graph, freeing;
  check::DeviceArray<uint32_t> out(kCount);
  CUdeviceptr values = 0;
  const CUgraphNode alloc = add_alloc(graph, {}, kBytes, &values);
  scene.add_work(graph, alloc, values, out.get());
  const CUgraphExec exec = graph.instantiate();
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemFree_v2(values));
  launch(exec);
  check::launch(scene.add_index(), {2}, {64}, nullptr, values, kCount);
  std::vector<uint32_t> got(kCount);
  CU_CHECK(cuMemcpyDtoH_v2(got.data(), values, kBytes));
  for (uint32_t i = 0; i < kCount; ++i) REQUIRE(got[i] == kFill + 2 * i, "[%u] is %u", i, got[i]);
  add_free(freeing, {}, values);
  CUgraphNode node = nullptr;
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuGraphAddMemFreeNode(&node, graph.get(), nullptr, 0, values));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuGraphAddMemFreeNode(&node, freeing.get(), nullptr, 0, values));
  const CUgraphExec free_exec = freeing.instantiate();
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuGraphLaunch(exec, nullptr));
  launch(free_exec);
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuGraphLaunch(free_exec, nullptr));  // it is free already
  launch(exec);
  launch(free_exec);
}

void check_auto_free(const Scene& scene) {
  Graph graph;
  check::DeviceArray<uint32_t> out(kCount);
  CUdeviceptr values = 0;
  const CUgraphNode alloc = add_alloc(graph, {}, kBytes, &values);
  scene.add_work(graph, alloc, values, out.get());
  const CUgraphExec exec = graph.instantiate(CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH);
  for (int i = 0; i < 3; ++i) CU_CHECK(cuGraphLaunch(exec, nullptr));
  CU_CHECK(cuStreamSynchronize(nullptr));
  require_work(out.download(), kFill, "freed by the next launch");
  CU_CHECK(cuMemFree_v2(values));
}

void check_rules(const Scene& scene) {
  Graph graph, parent, plain;
  CUgraph clone = nullptr;
  CUgraphNode node = nullptr;
  CUgraphExec second = nullptr;
  CUdeviceptr values = 0;
  CUDA_MEM_ALLOC_NODE_PARAMS params = alloc_params(0);
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuGraphAddMemAllocNode(&node, graph.get(), nullptr, 0, &params));
  params = alloc_params(kBytes);
  params.poolProps.location.id = 1000;
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuGraphAddMemAllocNode(&node, graph.get(), nullptr, 0, &params));
  const CUgraphNode alloc = add_alloc(graph, {}, kBytes, &values);
  const CUgraphNode end = add_free(graph, {alloc}, values);
  check::DeviceArray<uint32_t> ordinary(16);
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuGraphAddMemFreeNode(&node, graph.get(), nullptr, 0, ordinary.get()));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuGraphAddMemFreeNode(&node, graph.get(), nullptr, 0, values));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuGraphAddMemFreeNode(&node, plain.get(), nullptr, 0, values));
  CU_EXPECT(CUDA_ERROR_NOT_SUPPORTED, cuGraphClone(&clone, graph.get()));
  CU_EXPECT(CUDA_ERROR_NOT_SUPPORTED, cuGraphDestroyNode(end));
  CU_EXPECT(CUDA_ERROR_NOT_SUPPORTED, cuGraphRemoveDependencies(graph.get(), &alloc, &end, 1));
  CU_EXPECT(CUDA_ERROR_NOT_SUPPORTED, cuGraphAddChildGraphNode(&node, parent.get(), nullptr, 0, graph.get()));
  CUgraphExec first = nullptr;
  CU_CHECK(cuGraphInstantiateWithFlags(&first, graph.get(), 0));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuGraphInstantiateWithFlags(&second, graph.get(), 0));
  CU_CHECK(cuGraphExecDestroy(first));
  CU_CHECK(cuGraphInstantiateWithFlags(&second, graph.get(), 0));
  launch(second);
  CU_CHECK(cuGraphExecDestroy(second));
  (void)scene;
}

// A graph with memory can only be moved into another one.
void check_moved_child(const Scene& scene) {
  Graph parent;
  CUgraph child = nullptr;
  CU_CHECK(cuGraphCreate(&child, 0));
  check::DeviceArray<uint32_t> out(kCount);
  CUDA_MEM_ALLOC_NODE_PARAMS params = alloc_params(kBytes);
  CUgraphNode alloc = nullptr, inside = nullptr, node = nullptr;
  CU_CHECK(cuGraphAddMemAllocNode(&alloc, child, nullptr, 0, &params));
  CUgraphNodeParams moved{};
  moved.type = CU_GRAPH_NODE_TYPE_GRAPH;
  moved.graph.graph = child;
  moved.graph.ownership = CU_GRAPH_CHILD_GRAPH_OWNERSHIP_MOVE;
  CU_CHECK(cuGraphAddNode_v2(&inside, parent.get(), nullptr, nullptr, 0, &moved));
  CU_EXPECT(CUDA_ERROR_NOT_SUPPORTED, cuGraphAddMemFreeNode(&node, child, &alloc, 1, params.dptr));
  CUgraphExec exec = nullptr;
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuGraphInstantiateWithFlags(&exec, child, 0));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuGraphDestroy(child));
  add_free(parent, {scene.add_work(parent, inside, params.dptr, out.get())}, params.dptr);
  exec = parent.instantiate();
  launch(exec);
  launch(exec);
  require_work(out.download(), kFill, "in a child graph");
}

void check_captured(const Scene& scene) {
  CUstream stream = nullptr;
  CU_CHECK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  check::DeviceArray<uint32_t> out(kCount);
  CUdeviceptr values = 0, kept = 0;
  CU_CHECK(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
  CU_CHECK(cuMemAllocAsync(&values, kBytes, stream));
  CU_CHECK(cuMemAllocAsync(&kept, kBytes, stream));
  CU_CHECK(cuMemsetD32Async(values, kFill, kCount, stream));
  check::launch(scene.add_index(), {3}, {128}, stream, values, kCount);
  CU_CHECK(cuMemcpyDtoDAsync_v2(kept, values, kBytes, stream));
  CU_CHECK(cuMemcpyDtoDAsync_v2(out.get(), values, kBytes, stream));
  CU_CHECK(cuMemFreeAsync(values, stream));
  CUgraph graph = nullptr;
  CU_CHECK(cuStreamEndCapture(stream, &graph));
  CUgraphExec exec = nullptr;
  CU_CHECK(cuGraphInstantiateWithFlags(&exec, graph, 0));
  for (int i = 0; i < 2; ++i) {
    CU_CHECK(cuGraphLaunch(exec, stream));
    std::vector<uint32_t> got(kCount);
    CU_CHECK(cuMemcpyDtoHAsync_v2(got.data(), kept, kBytes, stream));
    CU_CHECK(cuMemFreeAsync(kept, stream));
    CU_CHECK(cuStreamSynchronize(stream));
    require_work(got, kFill, "captured, left allocated");
    require_work(out.download(), kFill, "captured");
  }
  // An ordinary allocation cannot be freed by a graph.
  check::DeviceArray<uint32_t> ordinary(16);
  CUgraph none = nullptr;
  CU_CHECK(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemFreeAsync(ordinary.get(), stream));
  CU_EXPECT(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamEndCapture(stream, &none));
  CU_CHECK(cuGraphExecDestroy(exec));
  CU_CHECK(cuGraphDestroy(graph));
  CU_CHECK(cuStreamDestroy_v2(stream));
}

size_t free_bytes() {
  size_t free = 0, total = 0;
  CU_CHECK(cuMemGetInfo_v2(&free, &total));
  return free;
}

// Nodes take nothing, launches take what they need or are refused as a whole, and trimming gives it back.
void check_limit() {
  CU_CHECK(cuDeviceGraphMemTrim(0));
  size_t free = 0, total = 0;
  CU_CHECK(cuMemGetInfo_v2(&free, &total));
  const size_t part = total / 8 * 3;
  Graph fits, too_large, waits;
  CUdeviceptr a = 0, b = 0, c = 0;
  add_alloc(fits, {}, part, &a);
  add_alloc(too_large, {add_alloc(too_large, {}, part, &b)}, part, &b);
  const CUgraphNode waiting = add_alloc(waits, {}, part, &c);
  add_free(waits, {waiting}, c);
  REQUIRE(free_bytes() == free, "nodes took %zu bytes", free - free_bytes());
  const CUgraphExec first = fits.instantiate(), second = too_large.instantiate(), third = waits.instantiate();
  launch(first);
  REQUIRE(free_bytes() <= free - part, "the launch took %zu bytes of %zu", free - free_bytes(), part);
  CU_CHECK(cuMemsetD8_v2(a, 3, 1000));
  const size_t before = free_bytes();
  CU_EXPECT(CUDA_ERROR_OUT_OF_MEMORY, cuGraphLaunch(second, nullptr));
  REQUIRE(free_bytes() == before, "the refused launch took %zu bytes", before - free_bytes());
  launch(third);
  launch(third);
  // What the third has freed, but keeps, is in the way of nothing that a graph allocates.
  CU_CHECK(cuMemFree_v2(a));
  launch(second);
  CUdeviceptr plain = 0;
  CU_EXPECT(CUDA_ERROR_OUT_OF_MEMORY, cuMemAlloc_v2(&plain, part));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuGraphLaunch(second, nullptr));
}

}  // namespace

int main(int argc, char** argv) {
  const Scene scene;
  size_t free = 0, total = 0;
  CU_CHECK(cuMemGetInfo_v2(&free, &total));
  if (argc > 1) {
    const size_t expected = std::strtoull(argv[1], nullptr, 10);
    REQUIRE(total == expected, "the device shows %zu bytes, not %zu", total, expected);
  }
  check_freed_inside(scene);
  check_reuse(scene);
  check_kept_block();
  check_freed_outside(scene);
  check_auto_free(scene);
  check_rules(scene);
  check_moved_child(scene);
  check_captured(scene);
  CU_CHECK(cuDeviceGraphMemTrim(0));
  REQUIRE(reserved() == 0, "%zu bytes reserved before the limit is tried", size_t(reserved()));
  if (argc > 1) check_limit();
  return check::pass("freed inside, outside and by the next launch; captured, moved, %s",
                     argc > 1 ? "refused at the limit" : "trimmed");
}

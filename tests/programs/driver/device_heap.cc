// The device heap by the driver API: its limit, what it takes of the device and of a slice, pieces that live
// from one kernel to the next, and a heap that the device has no room for.
#include "driver_check.h"

extern "C" const char heap_ptx[];

namespace {

constexpr unsigned kThreads = 64, kBlocks = 4, kAll = kThreads * kBlocks;
constexpr uint32_t kWords = 100;
constexpr size_t kHeapBytes = 32u << 20;

size_t free_memory() {
  size_t free = 0, total = 0;
  CU_CHECK(cuMemGetInfo_v2(&free, &total));
  return free;
}

void check_pieces(const check::Module& module) {
  const check::DeviceArray<CUdeviceptr> pieces(kAll);
  const check::DeviceArray<uint32_t> sums(kAll);
  check::launch(module.function("take_pieces"), {kBlocks}, {kThreads}, nullptr, pieces.get(), kWords);
  for (const CUdeviceptr piece : pieces.download()) {
    REQUIRE(piece != 0 && piece % 16 == 0, "a piece at %#llx", static_cast<unsigned long long>(piece));
    CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemFree_v2(piece));
  }
  check::launch(module.function("give_back_pieces"), {kBlocks}, {kThreads}, nullptr, pieces.get(), kWords,
                sums.get());
  std::vector<uint32_t> want(kAll);
  for (uint32_t i = 0; i < kAll; ++i) {
    for (uint32_t k = 0; k < kWords; ++k) want[i] += i * kWords + k;
  }
  check::require_equal(sums.download(), want, "sums over pieces");
}

// With a heap larger than what is free the kernel does not start, and the context goes on.
void check_too_large(CUdevice device) {
  CUcontext context = nullptr;
  CU_CHECK(cuCtxCreate_v2(&context, 0, device));
  {
    const check::Module module(heap_ptx);
    size_t free = 0, total = 0;
    CU_CHECK(cuMemGetInfo_v2(&free, &total));
    CU_CHECK(cuCtxSetLimit(CU_LIMIT_MALLOC_HEAP_SIZE, total));
    const check::DeviceArray<CUdeviceptr> pieces(kThreads);
    CUdeviceptr out = pieces.get();
    uint32_t words = kWords;
    void* parameters[] = {&out, &words};
    const CUresult refused = cuLaunchKernel(module.function("take_pieces"), 1, 1, 1, kThreads, 1, 1, 0,
                                            nullptr, parameters, nullptr);
    REQUIRE(refused == CUDA_ERROR_SHARED_OBJECT_INIT_FAILED || refused == CUDA_ERROR_OUT_OF_MEMORY,
            "a heap of the whole device: %s", cu_name(refused));
    CU_CHECK(cuMemsetD8_v2(out, 0, pieces.bytes()));
    CU_CHECK(cuCtxSynchronize());
  }
  CU_CHECK(cuCtxDestroy_v2(context));
}

// The heap comes with a node of a graph as well.
void check_node(CUdevice device) {
  CUcontext context = nullptr;
  CU_CHECK(cuCtxCreate_v2(&context, 0, device));
  {
    const check::Module module(heap_ptx);
    CU_CHECK(cuCtxSetLimit(CU_LIMIT_MALLOC_HEAP_SIZE, kHeapBytes));
    const check::DeviceArray<CUdeviceptr> pieces(kThreads);
    CUdeviceptr out = pieces.get();
    uint32_t words = kWords;
    void* parameters[] = {&out, &words};
    CUgraphNodeParams params{};
    params.type = CU_GRAPH_NODE_TYPE_KERNEL;
    params.kernel.func = module.function("take_pieces");
    params.kernel.gridDimX = params.kernel.gridDimY = params.kernel.gridDimZ = 1;
    params.kernel.blockDimX = kThreads;
    params.kernel.blockDimY = params.kernel.blockDimZ = 1;
    params.kernel.kernelParams = parameters;
    const size_t before = free_memory();
    CUgraph graph = nullptr;
    CUgraphNode node = nullptr;
    CU_CHECK(cuGraphCreate(&graph, 0));
    CU_CHECK(cuGraphAddNode_v2(&node, graph, nullptr, nullptr, 0, &params));
    REQUIRE(before - free_memory() >= kHeapBytes, "the node's heap took %zu bytes", before - free_memory());
    CU_CHECK(cuGraphDestroy(graph));
  }
  CU_CHECK(cuCtxDestroy_v2(context));
}

}  // namespace

int main() {
  const check::Context context;
  const check::Module module(heap_ptx);
  CU_CHECK(cuCtxSetLimit(CU_LIMIT_MALLOC_HEAP_SIZE, kHeapBytes));
  size_t limit = 0;
  CU_CHECK(cuCtxGetLimit(&limit, CU_LIMIT_MALLOC_HEAP_SIZE));
  REQUIRE(limit == kHeapBytes, "the limit is %zu, not %zu", limit, kHeapBytes);
  const size_t before = free_memory();
  check_pieces(module);
  const size_t taken = before - free_memory();
  REQUIRE(taken >= kHeapBytes, "a heap of %zu bytes took %zu", kHeapBytes, taken);
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuCtxSetLimit(CU_LIMIT_MALLOC_HEAP_SIZE, 2 * kHeapBytes));
  check_pieces(module);
  REQUIRE(before - free_memory() == taken, "the heap took memory twice");
  check_too_large(context.device());
  check_node(context.device());
  return check::pass("a heap of %zu MiB, %u pieces from kernel to kernel: exact", kHeapBytes >> 20, kAll);
}

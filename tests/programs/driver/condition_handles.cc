// Device memory for the handles of conditional nodes. They cannot be given back one by one, and there may be
// any number of them: what they take counts, is refused where nothing is left, and serves the handles of
// later graphs. Argument "counted": the driver is one that takes no more for handles than the device's free
// memory shows.
#include <cstring>

#include "driver_check.h"

namespace {

constexpr size_t kUnit = 512;

size_t free_memory() {
  size_t free = 0, total = 0;
  CU_CHECK(cuMemGetInfo_v2(&free, &total));
  return free;
}

class Graph {
 public:
  Graph() { CU_CHECK(cuGraphCreate(&graph_, 0)); }
  ~Graph() { CU_CHECK(cuGraphDestroy(graph_)); }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  CUresult add_handle(CUcontext context = nullptr) const {
    CUgraphConditionalHandle handle = 0;
    return cuGraphConditionalHandleCreate(&handle, graph_, context, 1, 0);
  }
  void add_handles(size_t count) const {
    for (size_t i = 0; i < count; ++i) CU_CHECK(add_handle());
  }
  // Until the driver refuses, `most` of them at most.
  size_t add_until_refused(size_t most) const {
    for (size_t count = 0; count < most; ++count) {
      const CUresult result = add_handle();
      if (result == CUDA_ERROR_OUT_OF_MEMORY) return count;
      CU_CHECK(result);
    }
    return most;
  }

 private:
  CUgraph graph_ = nullptr;
};

// All that can be had, in blocks of which the last are the smallest.
std::vector<CUdeviceptr> take_all() {
  std::vector<CUdeviceptr> blocks;
  for (size_t bytes = 64u << 20; bytes >= kUnit;) {
    CUdeviceptr block = 0;
    const CUresult result = cuMemAlloc_v2(&block, bytes);
    if (result == CUDA_ERROR_OUT_OF_MEMORY) {
      bytes /= 2;
    } else {
      CU_CHECK(result);
      blocks.push_back(block);
    }
  }
  return blocks;
}

void check_kept_for_later() {
  constexpr size_t kHandles = 1000, kBytes = kHandles * sizeof(unsigned);
  const size_t before = free_memory();
  {
    const Graph graph;
    graph.add_handles(kHandles);
    const size_t taken = before - free_memory();
    REQUIRE(taken + kUnit >= kBytes && taken <= kHandles * kUnit, "%zu handles took %zu bytes", kHandles,
            taken);
  }
  const size_t kept = free_memory();
  for (int i = 0; i < 20; ++i) {
    const Graph graph;
    graph.add_handles(kHandles / 2);
    const Graph other;
    other.add_handles(kHandles / 2);
  }
  REQUIRE(free_memory() == kept, "%zu bytes free after later graphs' handles, %zu before", free_memory(),
          kept);
}

// The handle's context need not be the current one, and its end gives nothing back that is still there.
void check_other_context(CUdevice device) {
  constexpr size_t kHandles = 5000;
  const size_t before = free_memory();
  CUcontext other = nullptr, current = nullptr;
  CU_CHECK(cuCtxCreate_v2(&other, 0, device));
  CU_CHECK(cuCtxPopCurrent_v2(&current));
  const Graph graph;
  for (size_t i = 0; i < kHandles; ++i) CU_CHECK(graph.add_handle(other));
  const size_t after = free_memory();
  REQUIRE(before > after, "%zu handles in another context took nothing", kHandles);
  CU_CHECK(cuCtxDestroy_v2(other));
  REQUIRE(free_memory() == after, "%zu bytes are free after the context's end, %zu before", free_memory(),
          after);
}

void check_limit() {
  const std::vector<CUdeviceptr> blocks = take_all();
  REQUIRE(free_memory() < kUnit, "refused with %zu bytes free", free_memory());
  {
    const Graph graph;
    CU_EXPECT(CUDA_ERROR_OUT_OF_MEMORY, graph.add_handle());
    const size_t at_the_end = free_memory();
    CU_CHECK(cuMemFree_v2(blocks.back()));
    const size_t free = free_memory(), most = 2 * free;
    REQUIRE(free > at_the_end, "a block gave nothing back");
    const size_t made = graph.add_until_refused(most);
    REQUIRE(made > 0 && made < most, "%zu handles where %zu bytes were free", made, free);
    REQUIRE(free_memory() < kUnit, "refused with %zu bytes free", free_memory());
    CU_EXPECT(CUDA_ERROR_OUT_OF_MEMORY, graph.add_handle());
  }
  for (size_t i = 0; i + 1 < blocks.size(); ++i) CU_CHECK(cuMemFree_v2(blocks[i]));
  const Graph graph;
  graph.add_handles(1);
}

}  // namespace

int main(int argc, char** argv) {
  const check::Context context;
  {
    const Graph graph;
    graph.add_handles(1);
    CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuGraphConditionalHandleCreate(nullptr, nullptr, nullptr, 0, 0));
  }
  if (argc > 1 && std::strcmp(argv[1], "counted") == 0) {
    check_kept_for_later();
    check_other_context(context.device());
    check_limit();
  }
  return check::pass("handles of conditions: counted, kept for later ones, refused at the limit");
}

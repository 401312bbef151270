// Cooperative launches by the driver API: grids whose blocks wait for each other, the largest that fits,
// those that do not, and what the attributes say.
#include <algorithm>

#include "driver_check.h"

extern "C" const char cooperative_ptx[];

namespace {

constexpr unsigned kThreads = 64;

unsigned largest_grid(const check::Context& context, CUfunction function) {
  int processors = 0, blocks = 0;
  CU_CHECK(cuDeviceGetAttribute(&processors, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, context.device()));
  CU_CHECK(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, function, kThreads, 0));
  REQUIRE(processors > 0 && blocks > 0, "%d processors of %d blocks", processors, blocks);
  return static_cast<unsigned>(processors * blocks);
}

struct Ring {
  explicit Ring(unsigned blocks) : values(start(blocks)), next(blocks), found(1) {}
  static std::vector<uint32_t> start(unsigned blocks) {
    std::vector<uint32_t> all(blocks);
    for (unsigned i = 0; i < blocks; ++i) all[i] = 7 * i + 3;
    return all;
  }
  void require_passed(uint32_t rounds) const {
    std::vector<uint32_t> want = start(static_cast<unsigned>(values.bytes() / sizeof(uint32_t)));
    std::rotate(want.begin(), want.end() - rounds % want.size(), want.end());
    check::require_equal(values.download(), want, "values passed on");
    REQUIRE(found.download()[0] == 1, "the kernel found no workspace");
  }
  check::DeviceArray<uint32_t> values, next, found;
};

CUresult launch(CUfunction function, unsigned blocks, Ring& ring, uint32_t rounds, CUstream stream) {
  CUdeviceptr values = ring.values.get(), next = ring.next.get(), found = ring.found.get();
  void* parameters[] = {&values, &next, &rounds, &found};
  return cuLaunchCooperativeKernel(function, blocks, 1, 1, kThreads, 1, 1, 0, stream, parameters);
}

void check_grid(CUfunction function, unsigned blocks) {
  constexpr uint32_t kRounds = 5;
  Ring ring(blocks);
  CU_CHECK(launch(function, blocks, ring, kRounds, nullptr));
  CU_CHECK(cuCtxSynchronize());
  ring.require_passed(kRounds);
}

// Two grids that each need every place of the device, at the same time on two streams.
void check_two_grids(CUfunction function, unsigned blocks) {
  constexpr uint32_t kRounds = 3;
  CUstream streams[2];
  for (CUstream& stream : streams) CU_CHECK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  Ring first(blocks), second(blocks);
  CU_CHECK(launch(function, blocks, first, kRounds, streams[0]));
  CU_CHECK(launch(function, blocks, second, kRounds, streams[1]));
  CU_CHECK(cuCtxSynchronize());
  first.require_passed(kRounds);
  second.require_passed(kRounds);
  for (CUstream stream : streams) CU_CHECK(cuStreamDestroy_v2(stream));
}

void check_refusal(CUfunction function, unsigned blocks) {
  Ring ring(1);
  CU_EXPECT(CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE, launch(function, blocks, ring, 1, nullptr));
}

// An ordinary launch of the same kernel has no workspace, and says so.
void check_ordinary(CUfunction function) {
  Ring ring(2);
  check::launch(function, {2}, {kThreads}, nullptr, ring.values.get(), ring.next.get(), uint32_t{1},
                ring.found.get());
  REQUIRE(ring.found.download()[0] == 0, "an ordinary launch has a workspace");
}

// By attribute, and by a node of a graph whose attribute is switched on.
void check_attributes(CUfunction function) {
  constexpr unsigned kBlocks = 6;
  Ring ring(kBlocks);
  CUdeviceptr values = ring.values.get(), next = ring.next.get(), found = ring.found.get();
  uint32_t rounds = 2;
  void* parameters[] = {&values, &next, &rounds, &found};
  CUDA_KERNEL_NODE_PARAMS params{};
  params.func = function;
  params.gridDimX = kBlocks;
  params.gridDimY = params.gridDimZ = params.blockDimY = params.blockDimZ = 1;
  params.blockDimX = kThreads;
  params.kernelParams = parameters;
  CUgraph graph = nullptr;
  CUgraphNode node = nullptr;
  CUgraphExec exec = nullptr;
  CU_CHECK(cuGraphCreate(&graph, 0));
  CU_CHECK(cuGraphAddKernelNode_v2(&node, graph, nullptr, 0, &params));
  CUlaunchAttributeValue value{};
  CU_CHECK(cuGraphKernelNodeGetAttribute(node, CU_LAUNCH_ATTRIBUTE_COOPERATIVE, &value));
  REQUIRE(value.cooperative == 0, "a node is cooperative by itself");
  value.cooperative = 1;
  CU_CHECK(cuGraphKernelNodeSetAttribute(node, CU_LAUNCH_ATTRIBUTE_COOPERATIVE, &value));
  value = {};
  CU_CHECK(cuGraphKernelNodeGetAttribute(node, CU_LAUNCH_ATTRIBUTE_COOPERATIVE, &value));
  REQUIRE(value.cooperative == 1, "the node's attribute was not kept");
  CU_CHECK(cuGraphInstantiateWithFlags(&exec, graph, 0));
  CU_CHECK(cuGraphLaunch(exec, nullptr));
  CU_CHECK(cuGraphLaunch(exec, nullptr));
  CU_CHECK(cuCtxSynchronize());
  ring.require_passed(2 * rounds);
  CU_CHECK(cuGraphExecDestroy(exec));
  CU_CHECK(cuGraphDestroy(graph));
}

}  // namespace

int main() {
  const check::Context context;
  int supported = 0;
  CU_CHECK(cuDeviceGetAttribute(&supported, CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH, context.device()));
  REQUIRE(supported == 1, "the device says it has no cooperative launches");
  const check::Module module(cooperative_ptx);
  const CUfunction function = module.function("pass_on");
  const unsigned most = largest_grid(context, function);
  for (const unsigned blocks : {1u, 2u, most}) check_grid(function, blocks);
  check_two_grids(function, most);
  check_refusal(function, most + 1);
  check_ordinary(function);
  check_attributes(function);
  return check::pass("grids of up to %u blocks, two at once, refused beyond: exact", most);
}

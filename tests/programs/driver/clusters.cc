// Clusters by the driver API: sizes given at the launch and fixed by the kernel, occupancy, attributes of
// functions and of graph nodes. The PTX is written by hand: clang has no target with clusters yet.
#include <algorithm>

#include "driver_check.h"

namespace {

// Each block puts its number into the shared memory of the next block of its cluster, which hands it out.
constexpr const char* kPtx = R"(
.version 7.8
.target sm_90
.address_size 64
.visible .entry rotate(.param .u64 out) {
  .reg .b32 %r<10>; .reg .b64 %p<3>;
  .shared .align 4 .b32 box;
  mov.u32 %r0, box; mov.u32 %r1, %cluster_ctarank; mov.u32 %r2, %cluster_nctarank; mov.u32 %r3, %ctaid.x;
  add.u32 %r4, %r1, 1; rem.u32 %r4, %r4, %r2;
  barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned;
  mapa.shared::cluster.u32 %r5, %r0, %r4;
  st.shared::cluster.u32 [%r5], %r3;
  barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned;
  ld.shared.u32 %r6, [box];
  ld.param.u64 %p0, [out]; mad.wide.u32 %p1, %r3, 4, %p0; st.global.u32 [%p1], %r6;
  ret;
}
.visible .entry fixed(.param .u64 out) .explicitcluster .reqnctapercluster 2, 1, 1 {
  .reg .b32 %r<3>; .reg .b64 %p<2>;
  mov.u32 %r0, %ctaid.x; mov.u32 %r1, %cluster_nctarank;
  ld.param.u64 %p0, [out]; mad.wide.u32 %p1, %r0, 4, %p0; st.global.u32 [%p1], %r1;
  ret;
}
.visible .entry explicit(.param .u64 out) .explicitcluster { ret; }
)";

CUlaunchConfig config_of(unsigned blocks, unsigned cluster, CUlaunchAttribute* attribute) {
  attribute->id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION;
  attribute->value.clusterDim = {cluster, 1, 1};
  CUlaunchConfig config{};
  config.gridDimX = blocks;
  config.gridDimY = config.gridDimZ = config.blockDimY = config.blockDimZ = 1;
  config.blockDimX = 32;
  config.attrs = attribute;
  config.numAttrs = cluster != 0 ? 1 : 0;
  return config;
}

CUresult launch(CUfunction function, unsigned blocks, unsigned cluster, CUdeviceptr out) {
  CUlaunchAttribute attribute{};
  const CUlaunchConfig config = config_of(blocks, cluster, &attribute);
  void* parameters[] = {&out};
  return cuLaunchKernelEx(&config, function, parameters, nullptr);
}

void require_rotated(const check::DeviceArray<uint32_t>& out, unsigned blocks, unsigned cluster) {
  CU_CHECK(cuCtxSynchronize());
  const std::vector<uint32_t> got = out.download();
  for (unsigned i = 0; i < blocks; ++i) {
    const unsigned want = i / cluster * cluster + (i % cluster + cluster - 1) % cluster;
    REQUIRE(got[i] == want, "clusters of %u: block %u got %u, not %u", cluster, i, got[i], want);
  }
}

void check_launches(const check::Module& module) {
  const CUfunction rotate = module.function("rotate"), fixed = module.function("fixed");
  const check::DeviceArray<uint32_t> out(64);
  for (const unsigned cluster : {1u, 2u, 3u, 8u}) {
    CU_CHECK(launch(rotate, 6 * cluster, cluster, out.get()));
    require_rotated(out, 6 * cluster, cluster);
  }
  CU_EXPECT(CUDA_ERROR_INVALID_CLUSTER_SIZE, launch(rotate, 10, 4, out.get()));
  CU_EXPECT(CUDA_ERROR_INVALID_CLUSTER_SIZE, launch(rotate, 32, 16, out.get()));
  CU_CHECK(cuFuncSetAttribute(rotate, CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED, 1));
  CU_CHECK(launch(rotate, 32, 16, out.get()));
  require_rotated(out, 32, 16);

  CU_CHECK(launch(fixed, 8, 0, out.get()));
  CU_CHECK(cuCtxSynchronize());
  REQUIRE(out.download()[7] == 2, "a kernel of clusters of 2 has %u", out.download()[7]);
  CU_EXPECT(CUDA_ERROR_INVALID_CLUSTER_SIZE, launch(fixed, 8, 4, out.get()));
  CU_EXPECT(CUDA_ERROR_INVALID_CLUSTER_SIZE, launch(fixed, 7, 0, out.get()));
  CU_EXPECT(CUDA_ERROR_INVALID_CLUSTER_SIZE, launch(module.function("explicit"), 8, 0, out.get()));
}

void check_attributes(const check::Module& module) {
  const CUfunction rotate = module.function("rotate"), fixed = module.function("fixed");
  const check::DeviceArray<uint32_t> out(64);
  int value = -1;
  CU_CHECK(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH, fixed));
  REQUIRE(value == 2, "a required width of %d", value);
  CU_CHECK(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_CLUSTER_SIZE_MUST_BE_SET, fixed));
  REQUIRE(value == 1, "must be set: %d", value);
  CU_EXPECT(CUDA_ERROR_NOT_PERMITTED, cuFuncSetAttribute(fixed, CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH, 4));
  for (const auto attribute :
       {CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH, CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_HEIGHT,
        CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_DEPTH})
    CU_CHECK(
        cuFuncSetAttribute(rotate, attribute, attribute == CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH ? 4 : 1));
  CU_CHECK(launch(rotate, 12, 0, out.get()));
  require_rotated(out, 12, 4);
}

void check_occupancy(const check::Module& module, CUdevice device) {
  const CUfunction fixed = module.function("fixed");
  CUlaunchAttribute attribute{};
  CUlaunchConfig config = config_of(16, 0, &attribute);
  int blocks = 0, clusters = 0, largest = 0, processors = 0;
  CU_CHECK(cuDeviceGetAttribute(&processors, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, device));
  CU_CHECK(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, fixed, 32, 0));
  CU_CHECK(cuOccupancyMaxActiveClusters(&clusters, fixed, &config));
  REQUIRE(clusters >= 1 && clusters <= std::max(1, blocks * processors / 2), "%d clusters of 2 blocks",
          clusters);
  CU_CHECK(cuOccupancyMaxPotentialClusterSize(&largest, fixed, &config));
  REQUIRE(largest >= 8, "a largest cluster of %d blocks", largest);
  config = config_of(16, 5, &attribute);
  CU_EXPECT(CUDA_ERROR_INVALID_CLUSTER_SIZE, cuOccupancyMaxActiveClusters(&clusters, fixed, &config));
}

// A node gets clusters by an attribute, and keeps them through a copy of its attributes.
void check_graph(const check::Module& module) {
  const CUfunction rotate = module.function("rotate");
  const check::DeviceArray<uint32_t> out(64);
  CUdeviceptr address = out.get();
  void* parameters[] = {&address};
  CUDA_KERNEL_NODE_PARAMS node_params{};
  node_params.func = rotate;
  node_params.gridDimX = 12;
  node_params.gridDimY = node_params.gridDimZ = node_params.blockDimY = node_params.blockDimZ = 1;
  node_params.blockDimX = 32;
  node_params.kernelParams = parameters;
  CUgraph graph = nullptr;
  CUgraphNode first = nullptr, second = nullptr;
  CU_CHECK(cuGraphCreate(&graph, 0));
  CU_CHECK(cuGraphAddKernelNode_v2(&first, graph, nullptr, 0, &node_params));
  CU_CHECK(cuGraphAddKernelNode_v2(&second, graph, &first, 1, &node_params));
  CUlaunchAttributeValue value{};
  value.clusterDim = {5, 1, 1};
  CU_EXPECT(CUDA_ERROR_INVALID_CLUSTER_SIZE,
            cuGraphKernelNodeSetAttribute(first, CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION, &value));
  value.clusterDim = {6, 1, 1};
  CU_CHECK(cuGraphKernelNodeSetAttribute(first, CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION, &value));
  CU_CHECK(cuGraphKernelNodeCopyAttributes(second, first));
  value = {};
  CU_CHECK(cuGraphKernelNodeGetAttribute(second, CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION, &value));
  REQUIRE(value.clusterDim.x == 6 && value.clusterDim.y == 1, "a node with clusters of %u",
          value.clusterDim.x);
  CUgraphExec exec = nullptr;
  CU_CHECK(cuGraphInstantiateWithFlags(&exec, graph, 0));
  CU_CHECK(cuGraphLaunch(exec, nullptr));
  require_rotated(out, 12, 6);
  CU_CHECK(cuGraphExecDestroy(exec));
  CU_CHECK(cuGraphDestroy(graph));
}

}  // namespace

int main() {
  const check::Context context;
  int supported = 0;
  CU_CHECK(cuDeviceGetAttribute(&supported, CU_DEVICE_ATTRIBUTE_CLUSTER_LAUNCH, context.device()));
  if (supported == 0) check::skip("this device has no clusters");
  {
    const check::Module module(kPtx);
    check_launches(module);
    check_occupancy(module, context.device());
  }
  {
    const check::Module module(kPtx);  // its functions' attributes are as they were
    check_graph(module);
    check_attributes(module);
  }
  return check::pass("clusters of 1 to 16 blocks, occupancy, attributes of functions and nodes");
}

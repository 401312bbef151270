// Attributes of streams: what is set comes back, copies between streams, and what is refused; a priority set
// later holds like one from the beginning.
#include "driver_check.h"

extern "C" const char streams_ptx[];

namespace {

class Stream {
 public:
  explicit Stream(int priority = 0) {
    CU_CHECK(cuStreamCreateWithPriority(&stream_, CU_STREAM_NON_BLOCKING, priority));
  }
  ~Stream() { (void)cuStreamDestroy_v2(stream_); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  CUstream get() const { return stream_; }
  CUlaunchAttributeValue attribute(CUlaunchAttributeID id) const {
    CUlaunchAttributeValue value{};
    CU_CHECK(cuStreamGetAttribute(stream_, id, &value));
    return value;
  }
  void set(CUlaunchAttributeID id, const CUlaunchAttributeValue& value) const {
    CU_CHECK(cuStreamSetAttribute(stream_, id, &value));
  }
  void refuse(CUlaunchAttributeID id, const CUlaunchAttributeValue& value) const {
    CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuStreamSetAttribute(stream_, id, &value));
  }

 private:
  CUstream stream_ = nullptr;
};

void require_window(const Stream& stream, CUdeviceptr base, size_t bytes) {
  const CUaccessPolicyWindow window =
      stream.attribute(CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW).accessPolicyWindow;
  REQUIRE(reinterpret_cast<CUdeviceptr>(window.base_ptr) == base && window.num_bytes == bytes,
          "window at %p of %zu bytes", window.base_ptr, window.num_bytes);
  REQUIRE(bytes == 0 || (window.hitRatio == 0.5f && window.hitProp == CU_ACCESS_PROPERTY_PERSISTING &&
                         window.missProp == CU_ACCESS_PROPERTY_STREAMING),
          "hits %g, properties %u and %u", double(window.hitRatio), window.hitProp, window.missProp);
}

int priority_of(const Stream& stream) {
  int priority = 0;
  CU_CHECK(cuStreamGetPriority(stream.get(), &priority));
  REQUIRE(stream.attribute(CU_LAUNCH_ATTRIBUTE_PRIORITY).priority == priority, "two priorities");
  return priority;
}

void check_defaults() {
  const Stream stream;
  require_window(stream, 0, 0);
  REQUIRE(stream.attribute(CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY).syncPolicy == CU_SYNC_POLICY_AUTO,
          "another way of waiting");
  REQUIRE(stream.attribute(CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN).memSyncDomain ==
              CU_LAUNCH_MEM_SYNC_DOMAIN_DEFAULT,
          "another domain");
  REQUIRE(priority_of(stream) == 0, "priority %d", priority_of(stream));
}

void check_set_and_copy(CUdeviceptr base) {
  const Stream from, to;
  CUlaunchAttributeValue value{};
  value.accessPolicyWindow = {reinterpret_cast<void*>(base), 4096, 0.5f, CU_ACCESS_PROPERTY_PERSISTING,
                              CU_ACCESS_PROPERTY_STREAMING};
  from.set(CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW, value);
  value = {};
  value.syncPolicy = CU_SYNC_POLICY_BLOCKING_SYNC;
  from.set(CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY, value);
  value = {};
  value.memSyncDomain = CU_LAUNCH_MEM_SYNC_DOMAIN_REMOTE;
  from.set(CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN, value);
  int least = 0, greatest = 0;
  CU_CHECK(cuCtxGetStreamPriorityRange(&least, &greatest));
  value = {};
  value.priority = greatest;
  from.set(CU_LAUNCH_ATTRIBUTE_PRIORITY, value);
  require_window(from, base, 4096);
  require_window(to, 0, 0);
  CU_CHECK(cuStreamCopyAttributes(to.get(), from.get()));
  for (const Stream* stream : {&from, &to}) {
    require_window(*stream, base, 4096);
    REQUIRE(priority_of(*stream) == greatest, "priority %d", priority_of(*stream));
    REQUIRE(stream->attribute(CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY).syncPolicy ==
                CU_SYNC_POLICY_BLOCKING_SYNC,
            "another way of waiting");
    REQUIRE(stream->attribute(CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN).memSyncDomain ==
                CU_LAUNCH_MEM_SYNC_DOMAIN_REMOTE,
            "another domain");
  }
}

// A captured launch remembers its own attributes and its stream's, and keeps them with other parameters.
void check_captured(CUfunction advance, const check::DeviceArray<uint32_t>& array) {
  const Stream stream;
  CUlaunchAttributeValue value{};
  value.accessPolicyWindow = {reinterpret_cast<void*>(array.get()), 512, 0.5f, CU_ACCESS_PROPERTY_PERSISTING,
                              CU_ACCESS_PROPERTY_STREAMING};
  stream.set(CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW, value);
  CUlaunchAttribute attributes[2]{};
  attributes[0].id = CU_LAUNCH_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE;
  attributes[0].value.clusterSchedulingPolicyPreference = CU_CLUSTER_SCHEDULING_POLICY_SPREAD;
  attributes[1].id = CU_LAUNCH_ATTRIBUTE_PRIORITY;
  attributes[1].value.priority = -1;
  CUlaunchConfig config{};
  config.gridDimX = config.gridDimY = config.gridDimZ = config.blockDimY = config.blockDimZ = 1;
  config.blockDimX = 64;
  config.hStream = stream.get();
  config.attrs = attributes;
  config.numAttrs = 2;
  CUdeviceptr address = array.get();
  uint32_t count = 64, steps = 1;
  void* parameters[] = {&address, &count, &steps};
  CUgraph graph = nullptr;
  CUgraphNode node = nullptr;
  size_t nodes = 1;
  CU_CHECK(cuStreamBeginCapture_v2(stream.get(), CU_STREAM_CAPTURE_MODE_GLOBAL));
  CU_CHECK(cuLaunchKernelEx(&config, advance, parameters, nullptr));
  CU_CHECK(cuStreamEndCapture(stream.get(), &graph));
  CU_CHECK(cuGraphGetNodes(graph, &node, &nodes));
  CUDA_KERNEL_NODE_PARAMS params{};
  CU_CHECK(cuGraphKernelNodeGetParams_v2(node, &params));
  for (int round = 0; round < 2; ++round) {
    CU_CHECK(cuGraphKernelNodeGetAttribute(node, CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW, &value));
    REQUIRE(value.accessPolicyWindow.num_bytes == 512, "window of %zu bytes",
            value.accessPolicyWindow.num_bytes);
    CU_CHECK(cuGraphKernelNodeGetAttribute(node, attributes[0].id, &value));
    REQUIRE(value.clusterSchedulingPolicyPreference == CU_CLUSTER_SCHEDULING_POLICY_SPREAD, "policy %u",
            value.clusterSchedulingPolicyPreference);
    CU_CHECK(cuGraphKernelNodeGetAttribute(node, CU_LAUNCH_ATTRIBUTE_PRIORITY, &value));
    REQUIRE(value.priority == -1, "priority %d", value.priority);
    steps = 2;
    params.kernelParams = parameters;
    CU_CHECK(cuGraphKernelNodeSetParams_v2(node, &params));
  }
  CU_CHECK(cuGraphDestroy(graph));
}

void check_errors() {
  const Stream stream;
  CUlaunchAttributeValue value{};
  value.accessPolicyWindow.hitRatio = 1.5f;
  stream.refuse(CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW, value);
  value = {};
  value.accessPolicyWindow.missProp = CU_ACCESS_PROPERTY_PERSISTING;
  stream.refuse(CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW, value);
  value = {};
  stream.refuse(CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY, value);
  stream.refuse(CU_LAUNCH_ATTRIBUTE_COOPERATIVE, value);
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE,
            cuStreamGetAttribute(stream.get(), CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION, &value));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE,
            cuStreamGetAttribute(stream.get(), CU_LAUNCH_ATTRIBUTE_PRIORITY, nullptr));
  require_window(stream, 0, 0);
}

}  // namespace

int main() {
  const check::Context context;
  const check::DeviceArray<uint32_t> array(1024);
  check_defaults();
  check_set_and_copy(array.get());
  const check::Module module(streams_ptx);
  check_captured(module.function("advance"), array);
  check_errors();
  return check::pass("5 attributes set, copied and refused");
}

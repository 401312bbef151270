// Streams that wait for values in memory which other streams, the host and graphs write.
#include <atomic>

#include "driver_check.h"

extern "C" const char streams_ptx[];

namespace {

constexpr uint32_t kCount = 1024;

uint32_t advanced(uint32_t state, uint32_t steps) {
  for (uint32_t step = 0; step < steps; ++step) state = state * 1664525u + 1013904223u;
  return state;
}

struct Streams {
  CUstream first = nullptr, second = nullptr;
  Streams() {
    CU_CHECK(cuStreamCreate(&first, CU_STREAM_NON_BLOCKING));
    CU_CHECK(cuStreamCreate(&second, CU_STREAM_NON_BLOCKING));
  }
  ~Streams() {
    (void)cuStreamDestroy_v2(first);
    (void)cuStreamDestroy_v2(second);
  }
  Streams(const Streams&) = delete;
  Streams& operator=(const Streams&) = delete;
};

// Two streams take turns on one array, by a counter in device memory: the result tells the order.
void check_turns(const check::Module& module) {
  const CUfunction advance = module.function("advance"), combine = module.function("combine");
  const Streams streams;
  const check::DeviceArray<uint32_t> states(std::vector<uint32_t>(kCount, 1));
  const check::DeviceArray<uint32_t> turn(std::vector<uint32_t>(2, 0));
  for (uint32_t round = 0; round < 10; ++round) {
    CU_CHECK(cuStreamWaitValue32_v2(streams.second, turn.get(), 2 * round + 1, CU_STREAM_WAIT_VALUE_GEQ));
    check::launch(combine, {kCount / 128}, {128}, streams.second, states.get(), states.get(), states.get(),
                  kCount);
    CU_CHECK(cuStreamWriteValue32_v2(streams.second, turn.get(), 2 * round + 2, 0));
  }
  CU_EXPECT(CUDA_ERROR_NOT_READY, cuStreamQuery(streams.second));
  for (uint32_t round = 0; round < 10; ++round) {
    CU_CHECK(cuStreamWaitValue32_v2(streams.first, turn.get(), 2 * round, CU_STREAM_WAIT_VALUE_EQ));
    check::launch(advance, {kCount / 128}, {128}, streams.first, states.get(), kCount, uint32_t{3});
    CU_CHECK(cuStreamWriteValue32_v2(streams.first, turn.get(), 2 * round + 1, 0));
  }
  CU_CHECK(cuStreamSynchronize(streams.second));
  CU_CHECK(cuStreamSynchronize(streams.first));
  uint32_t want = 1;
  for (uint32_t round = 0; round < 10; ++round) want = advanced(want, 3) * 32u;
  check::require_equal(states.download(), std::vector<uint32_t>(kCount, want), "turns");
}

// The host writes what a batch waits for, each kind of comparison once; 64-bit values.
void check_host_and_batches() {
  const Streams streams;
  void* memory = nullptr;
  CU_CHECK(cuMemAllocHost_v2(&memory, 64));
  auto* words = static_cast<std::atomic<uint64_t>*>(memory);
  for (int i = 0; i < 8; ++i) words[i] = 0;
  words[2] = ~uint64_t{0};
  const auto address = [&](int i) { return reinterpret_cast<CUdeviceptr>(words + i); };
  CUstreamBatchMemOpParams ops[5]{};
  const unsigned flags[] = {CU_STREAM_WAIT_VALUE_GEQ, CU_STREAM_WAIT_VALUE_AND, CU_STREAM_WAIT_VALUE_NOR};
  for (int i = 0; i < 3; ++i) {
    ops[i].waitValue.operation = CU_STREAM_MEM_OP_WAIT_VALUE_64;
    ops[i].waitValue.address = address(i);
    ops[i].waitValue.value64 = uint64_t{1} << 40;
    ops[i].waitValue.flags = flags[i];
  }
  ops[3].memoryBarrier.operation = CU_STREAM_MEM_OP_BARRIER;
  ops[4].writeValue.operation = CU_STREAM_MEM_OP_WRITE_VALUE_64;
  ops[4].writeValue.address = address(3);
  ops[4].writeValue.value64 = 0x123456789abcdef0u;
  CU_CHECK(cuStreamBatchMemOp_v2(streams.first, 5, ops, 0));
  for (int i = 0; i < 3; ++i) {
    CU_EXPECT(CUDA_ERROR_NOT_READY, cuStreamQuery(streams.first));
    words[i] = i == 2 ? ~uint64_t{0} - 2 : uint64_t{3} << 40;
  }
  CU_CHECK(cuStreamSynchronize(streams.first));
  REQUIRE(words[3] == 0x123456789abcdef0u, "the batch wrote %llx",
          static_cast<unsigned long long>(words[3].load()));

  // The same as a captured graph, behind a value that another stream writes.
  words[4] = 0;
  CUgraph graph = nullptr;
  CUgraphExec exec = nullptr;
  CU_CHECK(cuStreamBeginCapture_v2(streams.first, CU_STREAM_CAPTURE_MODE_GLOBAL));
  CU_CHECK(cuStreamWaitValue64_v2(streams.first, address(4), 1, CU_STREAM_WAIT_VALUE_EQ));
  CU_CHECK(cuStreamWriteValue64_v2(streams.first, address(3), 77, 0));
  CU_CHECK(cuStreamEndCapture(streams.first, &graph));
  CU_CHECK(cuGraphInstantiateWithFlags(&exec, graph, 0));
  CU_CHECK(cuGraphLaunch(exec, streams.first));
  CU_EXPECT(CUDA_ERROR_NOT_READY, cuStreamQuery(streams.first));
  CU_CHECK(cuStreamWriteValue64_v2(streams.second, address(4), 1, 0));
  CU_CHECK(cuStreamSynchronize(streams.first));
  REQUIRE(words[3] == 77, "the graph wrote %llu", static_cast<unsigned long long>(words[3].load()));
  CU_CHECK(cuGraphExecDestroy(exec));
  CU_CHECK(cuGraphDestroy(graph));
  CU_CHECK(cuMemFreeHost(memory));
}

void check_errors() {
  const check::DeviceArray<uint32_t> array(4);
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuStreamWaitValue32_v2(nullptr, array.get() + 1, 0, 0));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuStreamWriteValue32_v2(nullptr, 0, 0, 0));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuStreamWaitValue32_v2(nullptr, array.get(), 0, 9));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuStreamWaitValue64_v2(nullptr, array.get() + 12, 0, 0));
}

}  // namespace

int main() {
  const check::Context context;
  const check::Module module(streams_ptx);
  check_turns(module);
  check_host_and_batches();
  check_errors();
  return check::pass("10 turns of two streams, a batch of 5, a captured wait");
}

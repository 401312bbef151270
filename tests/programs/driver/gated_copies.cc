// Copies and sets of memory of several kinds, without a kernel; all arrive whole.
//
// With an argument it says "copied" then, and ends with its standard input.
#include <iostream>
#include <string>
#include <vector>

#include "driver_check.h"

namespace {

constexpr size_t kWords = 1 << 14;
constexpr size_t kBytes = kWords * sizeof(uint32_t);

void copy_round(CUdeviceptr first, CUdeviceptr second, CUstream stream, uint32_t seed) {
  std::vector<uint32_t> host(kWords), back(kWords);
  for (size_t i = 0; i < kWords; ++i) host[i] = seed * 2654435761U + static_cast<uint32_t>(i);
  CU_CHECK(cuMemcpyHtoD_v2(first, host.data(), kBytes));
  CU_CHECK(cuMemcpyDtoDAsync_v2(second, first, kBytes, stream));
  CU_CHECK(cuMemsetD32Async(first, seed, kWords, stream));
  CU_CHECK(cuMemcpyDtoHAsync_v2(back.data(), second, kBytes, stream));
  CU_CHECK(cuStreamSynchronize(stream));
  REQUIRE(back == host, "round %u: the copy is not what was copied", seed);
  CU_CHECK(cuMemcpyDtoH_v2(back.data(), first, kBytes));
  for (uint32_t word : back) REQUIRE(word == seed, "round %u: %u was set", seed, word);
}

// Captured copies do not begin, so they do not wait.
void copy_in_a_graph(CUdeviceptr memory, CUstream stream) {
  std::vector<uint32_t> back(kWords);
  CUgraph graph = nullptr;
  CUgraphExec exec = nullptr;
  CU_CHECK(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
  CU_CHECK(cuMemsetD32Async(memory, 77, kWords, stream));
  CU_CHECK(cuMemcpyDtoHAsync_v2(back.data(), memory, kBytes, stream));
  CU_CHECK(cuStreamEndCapture(stream, &graph));
  CU_CHECK(cuGraphInstantiateWithFlags(&exec, graph, 0));
  CU_CHECK(cuGraphLaunch(exec, stream));
  CU_CHECK(cuStreamSynchronize(stream));
  for (uint32_t word : back) REQUIRE(word == 77, "the graph copied %u", word);
  CU_CHECK(cuGraphExecDestroy(exec));
  CU_CHECK(cuGraphDestroy(graph));
}

}  // namespace

int main(int argc, char**) {
  const check::Context context;
  CUdeviceptr first = 0, second = 0;
  CUstream stream = nullptr;
  CU_CHECK(cuMemAlloc_v2(&first, kBytes));
  CU_CHECK(cuMemAlloc_v2(&second, kBytes));
  CU_CHECK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  for (uint32_t round = 0; round < 20; ++round) copy_round(first, second, stream, round);
  if (argc > 1) {
    std::cout << "copied" << std::endl;
    for (std::string line; std::getline(std::cin, line);) {
    }
  }
  copy_in_a_graph(first, stream);
  return check::pass("20 rounds of copies");
}

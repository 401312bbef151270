// Counts for itself what it launches and copies, by all the ways there are: the daemon's figures must be the
// same.
//
// Alone, it checks that the copies arrive. With the argument "ask" it does a round of each for each line of
// standard input, and answers with what it has counted since it began, as "name=number,…".
#include <cstring>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "driver_check.h"

namespace {

constexpr const char* kPtx = R"(
.version 6.4
.target sm_70
.address_size 64
.visible .entry nothing() {
  ret;
}
)";

constexpr size_t kBytes = 64 * 1024;

std::map<std::string, uint64_t> counts;

void count(const char* name, uint64_t more = 1) { counts[name] += more; }

struct Buffers {
  CUdeviceptr first = 0, second = 0;
  std::vector<unsigned char> host = std::vector<unsigned char>(kBytes, 7),
                             back = std::vector<unsigned char>(kBytes);
  CUstream stream = nullptr;

  Buffers() {
    CU_CHECK(cuMemAlloc_v2(&first, kBytes));
    CU_CHECK(cuMemAlloc_v2(&second, kBytes));
    CU_CHECK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  }
  CUdeviceptr host_address() { return reinterpret_cast<CUdeviceptr>(host.data()); }
};

void copy_by_named_ways(Buffers& of) {
  CU_CHECK(cuMemcpyHtoD_v2(of.first, of.host.data(), 1000));
  CU_CHECK(cuMemcpyHtoDAsync_v2(of.first, of.host.data(), 300, of.stream));
  count("bytes_to_device", 1300);
  CU_CHECK(cuMemcpyDtoD_v2(of.second, of.first, 900));
  CU_CHECK(cuMemcpyDtoDAsync_v2(of.second, of.first, 77, of.stream));
  count("bytes_on_device", 977);
  CU_CHECK(cuMemcpyDtoH_v2(of.back.data(), of.second, 901));
  CU_CHECK(cuMemcpyDtoHAsync_v2(of.back.data(), of.second, 11, of.stream));
  count("bytes_from_device", 912);
}

void copy_by_addresses(Buffers& of) {
  CU_CHECK(cuMemcpy(of.first, of.host_address(), 128));
  count("bytes_to_device", 128);
  CU_CHECK(cuMemcpyAsync(of.second, of.first, 64, of.stream));
  count("bytes_on_device", 64);
  CU_CHECK(cuMemcpy(of.host_address(), of.second, 32));
  count("bytes_from_device", 32);
}

void copy_blocks(Buffers& of) {
  CUDA_MEMCPY2D block{};
  block.srcMemoryType = CU_MEMORYTYPE_HOST;
  block.srcHost = of.host.data();
  block.srcPitch = 100;
  block.dstMemoryType = CU_MEMORYTYPE_DEVICE;
  block.dstDevice = of.first;
  block.dstPitch = 128;
  block.WidthInBytes = 90;
  block.Height = 12;
  CU_CHECK(cuMemcpy2D_v2(&block));
  count("bytes_to_device", uint64_t{90} * 12);
  CUDA_MEMCPY3D solid{};
  solid.srcMemoryType = CU_MEMORYTYPE_DEVICE;
  solid.srcDevice = of.first;
  solid.srcPitch = 64;
  solid.srcHeight = 8;
  solid.dstMemoryType = CU_MEMORYTYPE_UNIFIED;
  solid.dstDevice = of.host_address();
  solid.dstPitch = 64;
  solid.dstHeight = 8;
  solid.WidthInBytes = 50;
  solid.Height = 6;
  solid.Depth = 3;
  CU_CHECK(cuMemcpy3DAsync_v2(&solid, of.stream));
  count("bytes_from_device", uint64_t{50} * 6 * 3);
}

void launch_once(CUfunction function, CUstream stream) {
  CU_CHECK(cuLaunchKernel(function, 1, 1, 1, 32, 1, 1, 0, stream, nullptr, nullptr));
}

void launch(Buffers& of, CUfunction function) {
  for (int i = 0; i < 5; ++i) launch_once(function, i % 2 == 0 ? of.stream : nullptr);
  count("launches", 5);
  CU_CHECK(cuLaunchCooperativeKernel(function, 1, 1, 1, 32, 1, 1, 0, of.stream, nullptr));
  count("launches");
  count("cooperative_launches");
}

// What is captured is not done; what the graph does is its launch.
void launch_graph(Buffers& of, CUfunction function) {
  CUgraph graph = nullptr;
  CUgraphExec exec = nullptr;
  CU_CHECK(cuStreamBeginCapture_v2(of.stream, CU_STREAM_CAPTURE_MODE_RELAXED));
  for (int i = 0; i < 3; ++i) launch_once(function, of.stream);
  CU_CHECK(cuMemcpyHtoDAsync_v2(of.first, of.host.data(), 5000, of.stream));
  CU_CHECK(cuStreamEndCapture(of.stream, &graph));
  CU_CHECK(cuGraphInstantiateWithFlags(&exec, graph, 0));
  for (int i = 0; i < 2; ++i) CU_CHECK(cuGraphLaunch(exec, of.stream));
  count("launches", 2);
  count("graph_launches", 2);
  CU_CHECK(cuStreamSynchronize(of.stream));
  CU_CHECK(cuGraphExecDestroy(exec));
  CU_CHECK(cuGraphDestroy(graph));
}

void fail(Buffers& of, CUfunction function) {
  const CUresult result = cuLaunchKernel(function, 1, 1, 1, 4096, 1, 1, 0, of.stream, nullptr, nullptr);
  REQUIRE(result != CUDA_SUCCESS, "a block of 4096 threads was taken");
  count("errors");
}

void do_all(Buffers& of, CUfunction function) {
  copy_by_named_ways(of);
  copy_by_addresses(of);
  copy_blocks(of);
  launch(of, function);
  launch_graph(of, function);
  fail(of, function);
  CU_CHECK(cuStreamSynchronize(of.stream));
  CU_CHECK(cuCtxSynchronize());
  REQUIRE(memcmp(of.host.data(), of.back.data(), 900) == 0,
          "what was copied there and back is something else");
}

}  // namespace

int main(int argc, char** argv) {
  check::Context context;
  check::Module module(kPtx);
  const CUfunction function = module.function("nothing");
  Buffers buffers;
  if (argc > 1 && std::string(argv[1]) == "ask") {
    for (std::string line; std::getline(std::cin, line);) {
      do_all(buffers, function);
      std::string text;
      for (const auto& [name, number] : counts)
        text += (text.empty() ? "" : ",") + name + "=" + std::to_string(number);
      std::cout << text << std::endl;
    }
    return check::pass("counted");
  }
  do_all(buffers, function);
  return check::pass("%zu kinds of things", counts.size());
}

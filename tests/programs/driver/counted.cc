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

CUmemcpy3DOperand pointer(CUdeviceptr address) {
  CUmemcpy3DOperand operand{};
  operand.type = CU_MEMCPY_OPERAND_TYPE_POINTER;
  operand.op.ptr = {address, 0, 0, {}};
  return operand;
}

CUmemcpy3DOperand in_array(CUarray array) {
  CUmemcpy3DOperand operand{};
  operand.type = CU_MEMCPY_OPERAND_TYPE_ARRAY;
  operand.op.array = {array, {0, 0, 0}};
  return operand;
}

// Boxes are as wide as they have elements: bytes between addresses, texels where there is an array.
void copy_batches_of_boxes(Buffers& of) {
  CUDA_ARRAY3D_DESCRIPTOR descriptor{};
  descriptor.Width = 16;
  descriptor.Height = 8;
  descriptor.Depth = 4;
  descriptor.Format = CU_AD_FORMAT_UNSIGNED_INT16;
  descriptor.NumChannels = 2;
  CUarray array = nullptr;
  CU_CHECK(cuArray3DCreate_v2(&array, &descriptor));
  const CUmemcpySrcAccessOrder order = CU_MEMCPY_SRC_ACCESS_ORDER_STREAM;
  CUDA_MEMCPY3D_BATCH_OP boxes[] = {
      {pointer(of.host_address()), pointer(of.first), {100, 3, 2}, order, 0},
      {pointer(of.first), in_array(array), {16, 8, 4}, order, 0},
      {in_array(array), pointer(reinterpret_cast<CUdeviceptr>(of.back.data() + 4096)), {10, 5, 2}, order, 0},
      {pointer(of.host_address()),
       pointer(reinterpret_cast<CUdeviceptr>(of.back.data() + 8192)),
       {7, 7, 7},
       order,
       0}};
  CU_CHECK(cuMemcpy3DBatchAsync_v2(4, boxes, 0, of.stream));
  size_t failed = 0;
  CU_CHECK(cuMemcpy3DBatchAsync(1, boxes, &failed, 0, of.stream));
  count("bytes_to_device", uint64_t{2} * 100 * 3 * 2);
  count("bytes_on_device", uint64_t{16} * 8 * 4 * 4);
  count("bytes_from_device", uint64_t{10} * 5 * 2 * 4);
  CU_CHECK(cuStreamSynchronize(of.stream));
  CU_CHECK(cuArrayDestroy(array));
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

void launch_exec(Buffers& of, CUgraphExec exec, uint64_t times) {
  for (uint64_t i = 0; i < times; ++i) CU_CHECK(cuGraphLaunch(exec, of.stream));
  count("launches", times);
  count("graph_launches", times);
  CU_CHECK(cuStreamSynchronize(of.stream));
}

// What is captured is not done; what the graph does is done with each launch.
void launch_graph(Buffers& of, CUfunction function) {
  CUgraph graph = nullptr;
  CUgraphExec exec = nullptr;
  CU_CHECK(cuStreamBeginCapture_v2(of.stream, CU_STREAM_CAPTURE_MODE_RELAXED));
  for (int i = 0; i < 3; ++i) launch_once(function, of.stream);
  CU_CHECK(cuMemcpyHtoDAsync_v2(of.first, of.host.data(), 5000, of.stream));
  CU_CHECK(cuStreamEndCapture(of.stream, &graph));
  CU_CHECK(cuGraphInstantiateWithFlags(&exec, graph, 0));
  launch_exec(of, exec, 2);
  count("bytes_to_device", 2 * 5000);
  CU_CHECK(cuGraphExecDestroy(exec));
  CU_CHECK(cuGraphDestroy(graph));
}

CUDA_MEMCPY3D line(CUmemorytype from, CUdeviceptr source, CUmemorytype to, CUdeviceptr destination,
                   size_t bytes) {
  CUDA_MEMCPY3D copy{};
  copy.srcMemoryType = from;
  copy.dstMemoryType = to;
  if (from == CU_MEMORYTYPE_HOST) copy.srcHost = reinterpret_cast<const void*>(source);
  if (from != CU_MEMORYTYPE_HOST) copy.srcDevice = source;
  if (to == CU_MEMORYTYPE_HOST) copy.dstHost = reinterpret_cast<void*>(destination);
  if (to != CU_MEMORYTYPE_HOST) copy.dstDevice = destination;
  copy.WidthInBytes = bytes;
  copy.Height = copy.Depth = 1;
  return copy;
}

CUDA_MEMCPY3D up(const Buffers& of, size_t bytes) {
  return line(CU_MEMORYTYPE_HOST, reinterpret_cast<CUdeviceptr>(of.host.data()), CU_MEMORYTYPE_DEVICE,
              of.first, bytes);
}

CUDA_MEMCPY3D across(const Buffers& of, size_t bytes) {
  return line(CU_MEMORYTYPE_DEVICE, of.first, CU_MEMORYTYPE_DEVICE, of.second, bytes);
}

CUDA_MEMCPY3D down(Buffers& of, size_t bytes) {
  return line(CU_MEMORYTYPE_UNIFIED, of.second, CU_MEMORYTYPE_UNIFIED,
              reinterpret_cast<CUdeviceptr>(of.back.data() + 20'000), bytes);
}

struct CopyGraph {
  CUgraph graph = nullptr, inner = nullptr;
  CUgraphNode up = nullptr, child = nullptr, down = nullptr;
};

// A copy to the device, one on it within a graph of its own, and one back.
CopyGraph graph_of_copies(Buffers& of, CUcontext context, size_t to, size_t on, size_t from) {
  CopyGraph made;
  CU_CHECK(cuGraphCreate(&made.graph, 0));
  CU_CHECK(cuGraphCreate(&made.inner, 0));
  CUgraphNode node = nullptr;
  CUDA_MEMCPY3D copy = across(of, on);
  CU_CHECK(cuGraphAddMemcpyNode(&node, made.inner, nullptr, 0, &copy, context));
  copy = up(of, to);
  CU_CHECK(cuGraphAddMemcpyNode(&made.up, made.graph, nullptr, 0, &copy, context));
  CU_CHECK(cuGraphAddChildGraphNode(&made.child, made.graph, &made.up, 1, made.inner));
  copy = down(of, from);
  CU_CHECK(cuGraphAddMemcpyNode(&made.down, made.graph, &made.child, 1, &copy, context));
  return made;
}

void count_copies(uint64_t launches, uint64_t to, uint64_t on, uint64_t from) {
  count("bytes_to_device", launches * to);
  count("bytes_on_device", launches * on);
  count("bytes_from_device", launches * from);
}

// Copies of a graph count with each launch, as they are then.
void launch_graphs_of_copies(Buffers& of, CUcontext context) {
  CopyGraph first = graph_of_copies(of, context, 1000, 200, 30),
            second = graph_of_copies(of, context, 4000, 500, 60);
  CUgraphExec exec = nullptr;
  CU_CHECK(cuGraphInstantiateWithFlags(&exec, first.graph, 0));
  launch_exec(of, exec, 3);
  count_copies(3, 1000, 200, 30);
  CUDA_MEMCPY3D copy = up(of, 1500);
  CU_CHECK(cuGraphExecMemcpyNodeSetParams(exec, first.up, &copy, context));
  CU_CHECK(cuGraphExecChildGraphNodeSetParams(exec, first.child, second.inner));
  launch_exec(of, exec, 1);
  count_copies(1, 1500, 500, 30);
  CU_CHECK(cuGraphNodeSetEnabled(exec, first.up, 0));
  launch_exec(of, exec, 1);
  count_copies(1, 0, 500, 30);
  CU_CHECK(cuGraphNodeSetEnabled(exec, first.up, 1));
  CUgraphExecUpdateResultInfo told{};
  CU_CHECK(cuGraphExecUpdate_v2(exec, second.graph, &told));
  launch_exec(of, exec, 2);
  count_copies(2, 4000, 500, 60);
  copy = up(of, 7);
  CU_CHECK(cuGraphExecMemcpyNodeSetParams(exec, first.up, &copy, context));
  // Two levels deep.
  CUgraph outer = nullptr;
  CUgraphExec outer_exec = nullptr;
  CU_CHECK(cuGraphCreate(&outer, 0));
  CUgraphNode node = nullptr;
  CU_CHECK(cuGraphAddChildGraphNode(&node, outer, nullptr, 0, second.graph));
  CU_CHECK(cuGraphInstantiateWithFlags(&outer_exec, outer, 0));
  launch_exec(of, outer_exec, 1);
  count_copies(1, 4000, 500, 60);
  launch_exec(of, exec, 1);
  count_copies(1, 7, 500, 60);
  for (CUgraphExec one : {exec, outer_exec}) CU_CHECK(cuGraphExecDestroy(one));
  for (CUgraph one : {outer, first.graph, first.inner, second.graph, second.inner})
    CU_CHECK(cuGraphDestroy(one));
}

void fail(Buffers& of, CUfunction function) {
  const CUresult result = cuLaunchKernel(function, 1, 1, 1, 4096, 1, 1, 0, of.stream, nullptr, nullptr);
  REQUIRE(result != CUDA_SUCCESS, "a block of 4096 threads was taken");
  count("errors");
}

void do_all(Buffers& of, CUfunction function, CUcontext context) {
  copy_by_named_ways(of);
  copy_by_addresses(of);
  copy_blocks(of);
  copy_batches_of_boxes(of);
  launch(of, function);
  launch_graph(of, function);
  launch_graphs_of_copies(of, context);
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
  CUcontext current = nullptr;
  CU_CHECK(cuCtxGetCurrent(&current));
  if (argc > 1 && std::string(argv[1]) == "ask") {
    for (std::string line; std::getline(std::cin, line);) {
      do_all(buffers, function, current);
      std::string text;
      for (const auto& [name, number] : counts)
        text += (text.empty() ? "" : ",") + name + "=" + std::to_string(number);
      std::cout << text << std::endl;
    }
    return check::pass("counted");
  }
  do_all(buffers, function, current);
  return check::pass("%zu kinds of things", counts.size());
}

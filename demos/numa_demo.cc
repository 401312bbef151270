// What it costs to copy between a GPU and memory that is far from it: for each NUMA node, copies both ways
// with the buffer and the copying thread on that node. Every byte is checked.
//
//   numa_demo [MEBIBYTES]     of the buffer; 64 if not said. With one node there is no far memory, and that
//   is said.
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "common/numa.h"
#include "common/size.h"
#include "demos/demo_driver.h"
#include "node/topology/gpu_place.h"
#include "node/topology/machine.h"

namespace {

using namespace tessera;
using demo::require;

constexpr int kRounds = 9;

struct Bandwidth {
  double to_device = 0, from_device = 0;  // GiB/s, medians of kRounds
};

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + kRounds / 2, values.end());
  return values[kRounds / 2];
}

template <typename Copy>
double gib_per_second(size_t bytes, Copy copy) {
  std::vector<double> rounds;
  for (int round = 0; round < kRounds; ++round) {
    const auto begin = std::chrono::steady_clock::now();
    copy();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    rounds.push_back(static_cast<double>(bytes) / static_cast<double>(kGiB) / took.count());
  }
  return median(rounds);
}

// On a thread of its own, which stays on the node.
Status measure(const cuda::DriverTable& driver, CUcontext context, uint32_t node, size_t bytes,
               Bandwidth& found) {
  TESSERA_RETURN_IF_ERROR(run_on_numa_node(node));
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  require(memory != MAP_FAILED, "mmap");
  TESSERA_RETURN_IF_ERROR(prefer_numa_node(memory, bytes, node));
  auto* words = static_cast<uint32_t*>(memory);
  const size_t count = bytes / sizeof *words;
  for (size_t i = 0; i < count; ++i) words[i] = static_cast<uint32_t>(i) * 2654435761u;
  CUdeviceptr device = 0;
  require(driver.cuCtxSetCurrent(context) == CUDA_SUCCESS, "cuCtxSetCurrent");
  require(driver.cuMemHostRegister_v2(memory, bytes, 0) == CUDA_SUCCESS, "cuMemHostRegister");
  require(driver.cuMemAlloc_v2(&device, bytes) == CUDA_SUCCESS, "cuMemAlloc");
  found.to_device = gib_per_second(
      bytes, [&] { require(driver.cuMemcpyHtoD_v2(device, memory, bytes) == CUDA_SUCCESS, "cuMemcpyHtoD"); });
  std::fill(words, words + count, 0);
  found.from_device = gib_per_second(
      bytes, [&] { require(driver.cuMemcpyDtoH_v2(memory, device, bytes) == CUDA_SUCCESS, "cuMemcpyDtoH"); });
  for (size_t i = 0; i < count; ++i)
    require(words[i] == static_cast<uint32_t>(i) * 2654435761u, "the check of what was copied");
  require(driver.cuMemFree_v2(device) == CUDA_SUCCESS, "cuMemFree");
  require(driver.cuMemHostUnregister(memory) == CUDA_SUCCESS, "cuMemHostUnregister");
  munmap(memory, bytes);
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  const size_t bytes = static_cast<size_t>(argc > 1 ? std::max(std::atoi(argv[1]), 1) : 64) * kMiB;
  const Result<cuda::DriverTable> driver = demo::start_driver("numa_demo");
  const Result<node::Machine> machine = driver.ok() ? node::Machine::read() : driver.status();
  if (!machine.ok()) {
    std::fprintf(stderr, "numa_demo: %s\n", machine.status().message().c_str());
    return 1;
  }
  CUcontext context = nullptr;
  char pci[32] = "";
  require(driver->cuCtxGetCurrent(&context) == CUDA_SUCCESS, "cuCtxGetCurrent");
  require(driver->cuDeviceGetPCIBusId(pci, sizeof pci, 0) == CUDA_SUCCESS, "cuDeviceGetPCIBusId");
  const node::PciDevice* device = machine->find_pci(pci);
  for (const node::NumaNode& node : machine->nodes()) {
    const bool nearest = device != nullptr && device->node == node.index;
    std::printf("NUMA node %u%s: ", node.index, nearest ? ", nearest to the GPU" : "");
    Bandwidth found;
    Status measured;
    if (node.cpus.empty()) {
      measured = Status(Code::kUnsupported, "it has no processors");
    } else {
      std::thread([&] { measured = measure(*driver, context, node.index, bytes, found); }).join();
    }
    if (measured.ok()) {
      std::printf("%.2f GiB/s to the GPU, %.2f GiB/s from it, every word right\n", found.to_device,
                  found.from_device);
    } else {
      std::printf("not measured: %s\n", measured.message().c_str());
    }
  }
  if (machine->nodes().size() < 2)
    std::printf("memory that is far from the GPU: not measured: one NUMA node\n");
}

// What the device and the functions say of themselves: properties, attributes, occupancy, memory; each
// against another.
#include <cstring>

#include "cuda_check.h"

namespace {

int attribute(cudaDeviceAttr which) {
  int value = 0;
  CUDA_CHECK(cudaDeviceGetAttribute(&value, which, 0));
  return value;
}

cudaDeviceProp check_device() {
  int count = 0, device = -1, driver = 0, runtime = 0;
  CUDA_CHECK(cudaGetDeviceCount(&count));
  CUDA_CHECK(cudaGetDevice(&device));
  REQUIRE(count >= 1 && device == 0, "device %d of %d", device, count);
  CUDA_CHECK(cudaDriverGetVersion(&driver));
  CUDA_CHECK(cudaRuntimeGetVersion(&runtime));
  REQUIRE(driver / 1000 >= runtime / 1000, "driver %d below runtime %d", driver, runtime);

  cudaDeviceProp p;
  CUDA_CHECK(cudaGetDeviceProperties(&p, 0));
  REQUIRE(std::strlen(p.name) > 0, "the device has no name");
  REQUIRE(p.warpSize == 32 && p.warpSize == attribute(cudaDevAttrWarpSize), "a warp of %d", p.warpSize);
  REQUIRE(p.major * 10 + p.minor >= 50, "compute capability %d.%d", p.major, p.minor);
  REQUIRE(p.major == attribute(cudaDevAttrComputeCapabilityMajor) &&
              p.minor == attribute(cudaDevAttrComputeCapabilityMinor),
          "the compute capability differs from its attributes");
  REQUIRE(p.maxThreadsPerBlock == attribute(cudaDevAttrMaxThreadsPerBlock) && p.maxThreadsPerBlock == 1024,
          "%d threads per block", p.maxThreadsPerBlock);
  REQUIRE(p.maxThreadsDim[0] == 1024 && p.maxThreadsDim[1] == 1024 && p.maxThreadsDim[2] == 64,
          "block dimensions");
  REQUIRE(p.maxGridSize[0] == 2147483647 && p.maxGridSize[1] == 65535 && p.maxGridSize[2] == 65535,
          "grid dimensions");
  REQUIRE(p.multiProcessorCount >= 1 && p.multiProcessorCount == attribute(cudaDevAttrMultiProcessorCount),
          "%d multiprocessors", p.multiProcessorCount);
  REQUIRE(p.sharedMemPerBlock == 48 * 1024, "%zu bytes of shared memory per block", p.sharedMemPerBlock);
  REQUIRE(p.sharedMemPerMultiprocessor >= p.sharedMemPerBlock, "shared memory per multiprocessor");
  REQUIRE(p.maxThreadsPerMultiProcessor >= p.maxThreadsPerBlock, "threads per multiprocessor");
  REQUIRE(p.regsPerBlock >= 32 * 1024 && p.totalConstMem == 64 * 1024 && p.unifiedAddressing == 1,
          "basic properties");

  char bus[32];
  int same = -1;
  CUDA_CHECK(cudaDeviceGetPCIBusId(bus, sizeof(bus), 0));
  CUDA_CHECK(cudaDeviceGetByPCIBusId(&same, bus));
  REQUIRE(same == 0, "the device's bus id %s is device %d", bus, same);
  return p;
}

__global__ void __launch_bounds__(256) bounded(float* out) {
  __shared__ float tile[512];
  tile[threadIdx.x] = tile[threadIdx.x + 256] = static_cast<float>(threadIdx.x);
  __syncthreads();
  out[threadIdx.x] = tile[511 - threadIdx.x];
}

__global__ void dynamic(float* out) {
  extern __shared__ float buffer[];
  buffer[threadIdx.x] = out[threadIdx.x];
  __syncthreads();
  out[threadIdx.x] = buffer[blockDim.x - 1 - threadIdx.x];
}

__global__ void with_local(int* out, int index) {
  int local[256];
  for (int i = 0; i < 256; ++i) local[i] = i * index;
  out[threadIdx.x] = local[(threadIdx.x * index) & 255];  // a computed index keeps the array in local memory
}

void check_functions() {
  cudaFuncAttributes a;
  CUDA_CHECK(cudaFuncGetAttributes(&a, bounded));
  REQUIRE(a.sharedSizeBytes == 2048, "static shared memory is %zu bytes, not 2048", a.sharedSizeBytes);
  REQUIRE(a.maxThreadsPerBlock == 256, "launch bounds of 256 give %d", a.maxThreadsPerBlock);
  REQUIRE(a.numRegs > 0 && a.numRegs <= 255, "%d registers", a.numRegs);
  REQUIRE(a.binaryVersion >= 50 && a.ptxVersion >= 50, "binary %d, PTX %d", a.binaryVersion, a.ptxVersion);
  CUDA_CHECK(cudaFuncGetAttributes(&a, with_local));
  REQUIRE(a.localSizeBytes >= 1024, "local memory is %zu bytes, the array alone has 1024", a.localSizeBytes);
  CUDA_CHECK(cudaFuncGetAttributes(&a, dynamic));
  REQUIRE(a.sharedSizeBytes == 0, "%zu bytes of static shared memory", a.sharedSizeBytes);
}

// More than 48 KiB of dynamic shared memory must be asked for first.
void check_opt_in(const cudaDeviceProp& p) {
  if (p.sharedMemPerBlockOptin <= 48 * 1024) return;
  std::vector<float> values = check::random_reals<float>(1024, 1, 0, 1);
  const check::DeviceArray<float> device_values(values);
  const size_t bytes = p.sharedMemPerBlockOptin;
  dynamic<<<1, 1024, bytes>>>(device_values.get());
  CUDA_EXPECT(cudaErrorInvalidValue, cudaGetLastError());
  CUDA_CHECK(
      cudaFuncSetAttribute(dynamic, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)));
  dynamic<<<1, 1024, bytes>>>(device_values.get());
  CUDA_CHECK_KERNEL();
  check::require_equal(device_values.download(), std::vector<float>(values.rbegin(), values.rend()),
                       "reversed");
}

int check_occupancy(const cudaDeviceProp& p) {
  int blocks = 0, fewer = 0, grid = 0, block = 0;
  CUDA_CHECK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, bounded, 256, 0));
  REQUIRE(blocks >= 1 && blocks * 256 <= p.maxThreadsPerMultiProcessor, "%d blocks of 256 per multiprocessor",
          blocks);
  CUDA_CHECK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&fewer, bounded, 256, 40 * 1024));
  REQUIRE(
      fewer >= 1 && fewer <= blocks && fewer <= static_cast<int>(p.sharedMemPerMultiprocessor / (40 * 1024)),
      "%d blocks of 40 KiB per multiprocessor", fewer);
  CUDA_CHECK(cudaOccupancyMaxPotentialBlockSize(&grid, &block, bounded, 0, 0));
  REQUIRE(block % 32 == 0 && block >= 32 && block <= 256, "a block of %d is proposed", block);
  REQUIRE(grid % p.multiProcessorCount == 0 && grid > 0, "a grid of %d is proposed", grid);
  return blocks;
}

void check_memory() {
  constexpr size_t kBytes = 96u << 20;
  size_t before = 0, during = 0, total = 0;
  CUDA_CHECK(cudaMemGetInfo(&before, &total));
  REQUIRE(before <= total && total > kBytes, "%zu of %zu bytes free", before, total);
  void* memory = nullptr;
  CUDA_CHECK(cudaMalloc(&memory, kBytes));
  CUDA_CHECK(cudaMemGetInfo(&during, &total));
  CUDA_CHECK(cudaFree(memory));
  // Other processes may share the device and give memory back at this very moment, but hardly as much.
  REQUIRE(during < before, "%zu bytes free before, %zu with 96 MiB more in use", before, during);
}

}  // namespace

int main() {
  const cudaDeviceProp properties = check_device();
  check_functions();
  check_opt_in(properties);
  const int blocks = check_occupancy(properties);
  check_memory();
  return check::pass("%s, %d.%d, %d multiprocessors, %d blocks of 256 each, %zu MiB", properties.name,
                     properties.major, properties.minor, properties.multiProcessorCount, blocks,
                     properties.totalGlobalMem >> 20);
}

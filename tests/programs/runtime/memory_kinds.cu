// Symbols and constant memory, mapped and registered host memory, managed memory, stream-ordered allocation.
#include "cuda_check.h"

namespace {

constexpr int kCount = 4000;

__constant__ float coefficients[8];
__device__ int counters[3] = {100, 200, 300};
__managed__ int managed_total = 5;

__global__ void polynomial(const float* x, float* y, int count) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= count) return;
  float sum = 0;
  for (int k = 7; k >= 0; --k) sum = __fadd_rn(__fmul_rn(sum, x[i]), coefficients[k]);
  y[i] = sum;
  atomicAdd(&counters[i % 3], 1);
}

__global__ void add_index(int* values, int count) {
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x) values[i] += i;
}

__global__ void add_to_total(const int* values, int count) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count) atomicAdd(&managed_total, values[i]);
}

void require_added(const int* values, int start, const char* what) {
  for (int i = 0; i < kCount; ++i) {
    REQUIRE(values[i] == start + i, "%s[%d] is %d, not %d", what, i, values[i], start + i);
  }
}

void check_symbols() {
  float host_coefficients[8];
  for (int k = 0; k < 8; ++k) host_coefficients[k] = 0.5f - 0.25f * static_cast<float>(k);
  CUDA_CHECK(cudaMemcpyToSymbol(coefficients, host_coefficients, sizeof(host_coefficients)));
  host_coefficients[3] = 9;
  CUDA_CHECK(cudaMemcpyToSymbol(coefficients, &host_coefficients[3], sizeof(float), 3 * sizeof(float)));
  const std::vector<float> x = check::random_reals<float>(kCount, 1, -1, 1);
  check::DeviceArray<float> device_x(x), device_y(kCount);
  polynomial<<<check::blocks_for(kCount, 128), 128>>>(device_x.get(), device_y.get(), kCount);
  CUDA_CHECK_KERNEL();
  std::vector<float> want(kCount);
  for (int i = 0; i < kCount; ++i) {
    for (int k = 7; k >= 0; --k) want[i] = want[i] * x[i] + host_coefficients[k];
  }
  check::require_equal(device_y.download(), want, "polynomial");

  int host_counters[3];
  CUDA_CHECK(cudaMemcpyFromSymbol(host_counters, counters, sizeof(host_counters)));
  for (int k = 0; k < 3; ++k) {
    const int want_count = 100 * (k + 1) + (kCount + 2 - k) / 3;
    REQUIRE(host_counters[k] == want_count, "counter %d is %d, not %d", k, host_counters[k], want_count);
  }
  void* address = nullptr;
  size_t size = 0;
  CUDA_CHECK(cudaGetSymbolAddress(&address, counters));
  CUDA_CHECK(cudaGetSymbolSize(&size, counters));
  REQUIRE(size == sizeof(host_counters), "counters have %zu bytes", size);
  CUDA_CHECK(cudaMemset(address, 0, size));
  CUDA_CHECK(cudaMemcpyFromSymbol(host_counters, counters, sizeof(int), 2 * sizeof(int)));
  REQUIRE(host_counters[0] == 0, "the counter is %d after a memset through its address", host_counters[0]);
}

void check_mapped() {
  int *values = nullptr, *on_device = nullptr;
  CUDA_CHECK(cudaHostAlloc(&values, kCount * sizeof(int), cudaHostAllocMapped));
  CUDA_CHECK(cudaHostGetDevicePointer(&on_device, values, 0));
  for (int i = 0; i < kCount; ++i) values[i] = 3;
  add_index<<<8, 64>>>(on_device, kCount);
  CUDA_CHECK_KERNEL();
  require_added(values, 3, "mapped");
  cudaPointerAttributes attributes;
  CUDA_CHECK(cudaPointerGetAttributes(&attributes, values));
  REQUIRE(attributes.type == cudaMemoryTypeHost && attributes.devicePointer == on_device,
          "attributes of pinned memory");
  CUDA_CHECK(cudaFreeHost(values));
}

void check_registered() {
  std::vector<int> values(kCount, 4);
  int* on_device = nullptr;
  CUDA_CHECK(cudaHostRegister(values.data(), kCount * sizeof(int), cudaHostRegisterMapped));
  CUDA_CHECK(cudaHostGetDevicePointer(&on_device, values.data(), 0));
  add_index<<<8, 64>>>(on_device, kCount);
  CUDA_CHECK_KERNEL();
  require_added(values.data(), 4, "registered");
  CUDA_CHECK(cudaHostUnregister(values.data()));
}

void check_managed() {
  int* values = nullptr;
  CUDA_CHECK(cudaMallocManaged(&values, kCount * sizeof(int)));
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < kCount; ++i) values[i] = 10 * round;
    add_index<<<8, 64>>>(values, kCount);
    CUDA_CHECK_KERNEL();
    require_added(values, 10 * round, "managed");
  }
  for (int i = 0; i < kCount; ++i) values[i] = 2;
  managed_total += 1;  // the variable too is touched from both sides
  add_to_total<<<check::blocks_for(kCount, 128), 128>>>(values, kCount);
  CUDA_CHECK_KERNEL();
  REQUIRE(managed_total == 6 + 2 * kCount, "the managed variable is %d, not %d", managed_total,
          6 + 2 * kCount);
  cudaPointerAttributes attributes;
  CUDA_CHECK(cudaPointerGetAttributes(&attributes, values));
  REQUIRE(attributes.type == cudaMemoryTypeManaged, "managed memory has type %d", attributes.type);
  CUDA_CHECK(cudaFree(values));
}

void check_async() {
  int supported = 0;
  CUDA_CHECK(cudaDeviceGetAttribute(&supported, cudaDevAttrMemoryPoolsSupported, 0));
  if (!supported) check::skip("the device has no memory pools");
  cudaStream_t stream;
  CUDA_CHECK(cudaStreamCreate(&stream));
  std::vector<int> got(kCount);
  for (int round = 0; round < 10; ++round) {
    int *a = nullptr, *b = nullptr;
    CUDA_CHECK(cudaMallocAsync(&a, kCount * sizeof(int), stream));
    CUDA_CHECK(cudaMemsetAsync(a, 0, kCount * sizeof(int), stream));
    add_index<<<8, 64, 0, stream>>>(a, kCount);
    CUDA_CHECK(cudaMallocAsync(&b, kCount * sizeof(int), stream));
    CUDA_CHECK(cudaMemcpyAsync(b, a, kCount * sizeof(int), cudaMemcpyDeviceToDevice, stream));
    CUDA_CHECK(cudaFreeAsync(a, stream));
    add_index<<<8, 64, 0, stream>>>(b, kCount);
    CUDA_CHECK(cudaMemcpyAsync(got.data(), b, kCount * sizeof(int), cudaMemcpyDeviceToHost, stream));
    CUDA_CHECK(cudaFreeAsync(b, stream));
    CUDA_CHECK(cudaStreamSynchronize(stream));
    for (int i = 0; i < kCount; ++i) REQUIRE(got[i] == 2 * i, "async[%d] is %d, not %d", i, got[i], 2 * i);
  }
  CUDA_CHECK(cudaStreamDestroy(stream));
}

}  // namespace

int main() {
  check_symbols();
  check_mapped();
  check_registered();
  check_managed();
  check_async();
  return check::pass("symbols, mapped, registered, managed, stream-ordered memory: exact");
}

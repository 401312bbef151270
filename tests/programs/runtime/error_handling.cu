// How errors are told: at the call, at the next cudaGetLastError, peeked at, and forgotten; and that life
// goes on.
#include <cstring>

#include "cuda_check.h"

namespace {

__global__ void set(int* value) { *value = 42; }

void require_alive() {
  check::DeviceArray<int> value(1);
  value.fill(0);
  set<<<1, 1>>>(value.get());
  CUDA_CHECK_KERNEL();
  REQUIRE(value.download()[0] == 42, "the device no longer works");
}

void check_launches() {
  check::DeviceArray<int> value(1);
  set<<<1, 1025>>>(value.get());  // more threads than a block may have
  CUDA_EXPECT(cudaErrorInvalidConfiguration, cudaPeekAtLastError());
  CUDA_EXPECT(cudaErrorInvalidConfiguration, cudaPeekAtLastError());  // looking does not clear
  CUDA_EXPECT(cudaErrorInvalidConfiguration, cudaGetLastError());
  CUDA_EXPECT(cudaSuccess, cudaGetLastError());  // getting does
  set<<<0, 32>>>(value.get());
  CUDA_EXPECT(cudaErrorInvalidConfiguration, cudaGetLastError());
  set<<<dim3(1, 70'000), 1>>>(value.get());
  CUDA_EXPECT(cudaErrorInvalidConfiguration, cudaGetLastError());
  set<<<1, dim3(1, 1, 65)>>>(value.get());
  CUDA_EXPECT(cudaErrorInvalidConfiguration, cudaGetLastError());
  set<<<1, 32, 1u << 20>>>(value.get());  // more shared memory than there is
  CUDA_EXPECT(cudaErrorInvalidValue, cudaGetLastError());
  require_alive();
}

void check_values() {
  int host = 0;
  void* memory = nullptr;
  CUDA_EXPECT(cudaErrorInvalidValue, cudaMalloc(nullptr, 16));
  CUDA_EXPECT(cudaErrorInvalidValue, cudaMemcpy(nullptr, &host, sizeof(host), cudaMemcpyHostToDevice));
  CUDA_EXPECT(cudaErrorInvalidDevice, cudaSetDevice(10'000));
  CUDA_EXPECT(cudaErrorInvalidValue, cudaFree(&host));
  CUDA_CHECK(cudaFree(nullptr));
  CUDA_CHECK(cudaMalloc(&memory, 0));  // nothing asked, nothing got
  REQUIRE(memory == nullptr, "an allocation of 0 bytes is %p", memory);
  check::DeviceArray<char> array(1000);
  CUDA_EXPECT(cudaErrorInvalidValue, cudaMemset(array.get(), 0, size_t{1} << 46));
  CUDA_EXPECT(cudaErrorInvalidValue,
              cudaGetLastError());  // the last error, though calls succeeded since the first
  CUDA_EXPECT(cudaSuccess, cudaGetLastError());
  require_alive();
}

void check_out_of_memory() {
  void* memory = nullptr;
  CUDA_EXPECT(cudaErrorMemoryAllocation, cudaMalloc(&memory, size_t{1} << 44));
  REQUIRE(memory == nullptr, "a refused allocation is %p", memory);
  CUDA_EXPECT(cudaErrorMemoryAllocation, cudaGetLastError());
  require_alive();
}

void check_double_free() {
  void* memory = nullptr;
  CUDA_CHECK(cudaMalloc(&memory, 4096));
  CUDA_CHECK(cudaFree(memory));
  CUDA_EXPECT(cudaErrorInvalidValue, cudaFree(memory));
  (void)cudaGetLastError();
  require_alive();
}

void check_names() {
  REQUIRE(!std::strcmp(cudaGetErrorName(cudaErrorIllegalAddress), "cudaErrorIllegalAddress"), "name of 700");
  REQUIRE(std::strlen(cudaGetErrorString(cudaErrorMemoryAllocation)) > 0, "text of error 2");
}

// cudaDeviceReset ends the context; the next call starts another.
void check_reset() {
  int* memory = nullptr;
  CUDA_CHECK(cudaMalloc(&memory, 4096));
  CUDA_CHECK(cudaDeviceReset());
  require_alive();
}

}  // namespace

int main() {
  check_launches();
  check_values();
  check_out_of_memory();
  check_double_free();
  check_names();
  check_reset();
  return check::pass("14 refused calls, each with its error; the device works after every one");
}

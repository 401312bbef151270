// Kernels that touch what is not theirs. Each runs in a child, forked before any CUDA call: the context's
// error is sticky, and no other process sees anything of it.
#include <sys/wait.h>
#include <unistd.h>

#include "cuda_check.h"

namespace {

__global__ void write_word(int* address) { *address = 1; }
__global__ void read_far(const int* values, size_t offset, int* out) {
  out[threadIdx.x] = values[offset + threadIdx.x];
}
__global__ void read_misaligned(const char* bytes, int* out) {
  *out = *reinterpret_cast<const int*>(bytes + 1);
}
__global__ void trap() { __trap(); }

enum Case { kNullStore, kWildStore, kFarLoad, kMisaligned, kTrap, kCases };

const cudaError_t kExpected[kCases] = {cudaErrorIllegalAddress, cudaErrorIllegalAddress,
                                       cudaErrorIllegalAddress, cudaErrorMisalignedAddress,
                                       cudaErrorLaunchFailure};

void launch_bad(Case which, int* good) {
  switch (which) {
    case kNullStore:
      write_word<<<1, 1>>>(nullptr);
      break;
    case kWildStore:
      write_word<<<1, 1>>>(reinterpret_cast<int*>(uintptr_t{1} << 46));
      break;
    case kFarLoad:
      read_far<<<1, 32>>>(good, size_t{1} << 43, good);
      break;
    case kMisaligned:
      read_misaligned<<<1, 1>>>(reinterpret_cast<const char*>(good), good);
      break;
    default:
      trap<<<1, 1>>>();
      break;
  }
}

void fault(Case which) {
  check::DeviceArray<int> good(1024);
  launch_bad(which, good.get());
  CUDA_CHECK(cudaGetLastError());  // the launch itself is fine
  const cudaError_t expected = kExpected[which];
  CUDA_EXPECT(expected, cudaDeviceSynchronize());
  CUDA_EXPECT(expected, cudaGetLastError());
  CUDA_EXPECT(expected, cudaDeviceSynchronize());  // asking did not clear it
  void* memory = nullptr;
  int word = 0;
  CUDA_EXPECT(expected, cudaMalloc(&memory, 64));
  CUDA_EXPECT(expected, cudaMemcpy(&word, good.get(), sizeof(word), cudaMemcpyDeviceToHost));
  write_word<<<1, 1>>>(good.get());
  CUDA_EXPECT(expected, cudaGetLastError());
}

void run_child(Case which) {
  const pid_t child = fork();
  if (child == 0) {
    fault(which);
    std::exit(0);
  }
  int status = 0;
  REQUIRE(child > 0 && waitpid(child, &status, 0) == child, "no child");
  REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 0, "case %d: %s did not come as it should (status %#x)",
          which, cudaGetErrorName(kExpected[which]), status);
}

}  // namespace

int main() {
  for (int which = 0; which < kCases; ++which) run_child(static_cast<Case>(which));
  check::DeviceArray<int> word(1);
  write_word<<<1, 1>>>(word.get());
  CUDA_CHECK_KERNEL();
  REQUIRE(word.download()[0] == 1, "a good store after the children's faults");
  return check::pass("%d faults, each with its error, sticky; this process works on", kCases);
}

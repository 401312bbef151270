// What the guest adds to a call: the same calls through our libcuda.so.1 and through the driver alone, in one
// run.
//
// usage: bench_guest DIRECT.so GUEST.so, in the environment of `tessera run` (or without a slice, to see
// passing on). The driver is whatever DIRECT.so is; the guest finds its own, so give it the same by
// TESSERA_DRIVER. A fake driver whose functions return at once shows the bare cost; the software GPU shows it
// beside real work.
#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <vector>

#include "cuda/abi.h"

namespace {

struct Calls {
  void* library;

  explicit Calls(const char* path) : library(dlopen(path, RTLD_NOW | RTLD_LOCAL)) {
    if (library == nullptr) fprintf(stderr, "%s\n", dlerror());
  }
  template <typename Function>
  Function* find(const char* name) const {
    return reinterpret_cast<Function*>(dlsym(library, name));
  }
};

template <typename Work>
double ns_per_call(Work work) {
  using Clock = std::chrono::steady_clock;
  constexpr int kCalls = 20'000;
  auto start = Clock::now();
  for (int i = 0; i < kCalls; ++i) work();
  return std::chrono::duration<double, std::nano>(Clock::now() - start).count() / kCalls;
}

// Both in turns, so that what disturbs the machine disturbs both; the best of each is kept.
template <typename Direct, typename Guest>
void compare(const char* name, Direct direct, Guest guest) {
  double best_direct = 1e12;
  double best_guest = 1e12;
  for (int round = 0; round < 15; ++round) {
    best_direct = std::min(best_direct, ns_per_call(direct));
    best_guest = std::min(best_guest, ns_per_call(guest));
  }
  printf("%-16s %9.1f ns direct %9.1f ns guest %+7.1f ns  ratio %.2f\n", name, best_direct, best_guest,
         best_guest - best_direct, best_guest / best_direct);
}

using Launch = CUresult(CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                        CUstream, void**, void**);
using Alloc = CUresult(CUdeviceptr*, size_t);
using Free = CUresult(CUdeviceptr);
using Current = CUresult(CUcontext*);
using Retain = CUresult(CUcontext*, CUdevice);

bool prepare(const Calls& calls) {
  CUcontext context;
  CUdeviceptr probe;
  return calls.library != nullptr && calls.find<CUresult(unsigned int)>("cuInit")(0) == CUDA_SUCCESS &&
         calls.find<Retain>("cuDevicePrimaryCtxRetain")(&context, 0) == CUDA_SUCCESS &&
         (calls.find<CUresult(CUcontext)>("cuCtxSetCurrent") == nullptr ||
          calls.find<CUresult(CUcontext)>("cuCtxSetCurrent")(context) == CUDA_SUCCESS) &&
         calls.find<Alloc>("cuMemAlloc_v2")(&probe, 1) == CUDA_SUCCESS;
}

auto launch(const Calls& calls) {
  return [call = calls.find<Launch>("cuLaunchKernel")] {
    call(nullptr, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, nullptr);
  };
}

auto alloc_free(const Calls& calls) {
  return [alloc = calls.find<Alloc>("cuMemAlloc_v2"), release = calls.find<Free>("cuMemFree_v2")] {
    CUdeviceptr memory = 0;
    alloc(&memory, 4096);
    release(memory);
  };
}

auto get_current(const Calls& calls) {
  return [call = calls.find<Current>("cuCtxGetCurrent")] {
    CUcontext context;
    call(&context);
  };
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: %s DIRECT.so GUEST.so\n", argv[0]);
    return 2;
  }
  Calls direct(argv[1]);
  Calls guest(argv[2]);
  // The guest first: it settles which devices are visible.
  if (!prepare(guest) || !prepare(direct)) {
    fprintf(stderr, "no GPU through one of the libraries\n");
    return 1;
  }
  // A null function is refused at once by real drivers and taken by the fake: the cost of the call itself.
  compare("cuLaunchKernel", launch(direct), launch(guest));
  compare("alloc + free", alloc_free(direct), alloc_free(guest));
  compare("cuCtxGetCurrent", get_current(direct), get_current(guest));
  return 0;
}

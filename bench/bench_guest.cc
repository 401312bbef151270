// What the guest adds to a call: the same calls through our libcuda.so.1 and through the driver alone, in one
// run.
//
// usage: bench_guest DIRECT.so GUEST.so [--rounds N] [--json], in the environment of `tessera run`
// (bench_guest.sh) or without a slice, to see passing on. The driver is whatever DIRECT.so is; the guest
// finds its own, so give it the same by TESSERA_DRIVER. The null driver (null_driver.cc) shows the bare cost;
// the software GPU shows it beside real work.
#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <vector>

#include "cuda/abi.h"
#include "median.h"

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

struct Options {
  int rounds = 15;
  bool json = false;  // an object a line
};

template <typename Work>
double ns_per_call(Work work) {
  using Clock = std::chrono::steady_clock;
  constexpr int kCalls = 20'000;
  auto start = Clock::now();
  for (int i = 0; i < kCalls; ++i) work();
  return std::chrono::duration<double, std::nano>(Clock::now() - start).count() / kCalls;
}

// Both in turns, so that what disturbs the machine disturbs both. Medians of the rounds; the added cost is
// the median of the rounds' differences.
template <typename Work>
void compare(const char* name, const Options& options, const Work& direct, const Work& guest) {
  std::vector<double> direct_ns, guest_ns, added_ns;
  for (int round = 0; round < options.rounds; ++round) {
    direct_ns.push_back(ns_per_call(direct));
    guest_ns.push_back(ns_per_call(guest));
    added_ns.push_back(guest_ns.back() - direct_ns.back());
  }
  printf(options.json ? "{\"call\": \"%s\", \"direct_ns\": %.1f, \"guest_ns\": %.1f, \"added_ns\": %.1f}\n"
                      : "%-22s %8.1f ns direct %8.1f ns guest %+7.1f ns added\n",
         name, tessera::bench::median(direct_ns), tessera::bench::median(guest_ns),
         tessera::bench::median(added_ns));
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

// Passed on as they are: one with little to do, one with many parameters' worth of forwarding.
auto get_current(const Calls& calls) {
  return [call = calls.find<Current>("cuCtxGetCurrent")] {
    CUcontext context;
    call(&context);
  };
}

auto query_stream(const Calls& calls) {
  return [call = calls.find<CUresult(CUstream)>("cuStreamQuery")] { call(nullptr); };
}

std::optional<Options> parse(int argc, char** argv) {
  Options options;
  if (argc < 3) return std::nullopt;
  for (int i = 3; i < argc; ++i) {
    const std::string_view option = argv[i];
    if (option == "--json") {
      options.json = true;
    } else if (option == "--rounds" && i + 1 < argc) {
      options.rounds = std::clamp(atoi(argv[++i]), 0, 1000);
    } else {
      return std::nullopt;
    }
  }
  return options.rounds == 0 ? std::nullopt : std::optional(options);
}

}  // namespace

int main(int argc, char** argv) {
  const auto options = parse(argc, argv);
  if (!options) {
    fprintf(stderr, "usage: %s DIRECT.so GUEST.so [--rounds N] [--json]\n", argv[0]);
    return 2;
  }
  Calls direct(argv[1]);
  Calls guest(argv[2]);
  if (direct.library == guest.library) {
    fprintf(stderr, "%s and %s are one library: give both as paths\n", argv[1], argv[2]);
    return 1;
  }
  // The guest first: it settles which devices are visible.
  if (!prepare(guest) || !prepare(direct)) {
    fprintf(stderr, "no GPU through one of the libraries\n");
    return 1;
  }
  // A null function is refused at once by real drivers and taken by the null driver: the cost of the call
  // itself.
  compare("cuLaunchKernel", *options, launch(direct), launch(guest));
  compare("alloc + free of 4 KiB", *options, alloc_free(direct), alloc_free(guest));
  compare("cuCtxGetCurrent", *options, get_current(direct), get_current(guest));
  compare("cuStreamQuery", *options, query_stream(direct), query_stream(guest));
  return 0;
}

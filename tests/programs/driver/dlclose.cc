// A program that opens libcuda.so.1 by itself, closes it and opens it again: what it holds stays valid, and
// pointers taken before dlclose go on working (the driver stays loaded).
#include <dlfcn.h>

#include "../check.h"
#include "cuda/abi.h"

namespace {

void* open_driver() {
  void* library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  REQUIRE(library != nullptr, "%s", dlerror());
  return library;
}

template <typename Function>
Function* find(void* library, const char* name) {
  void* address = dlsym(library, name);
  REQUIRE(address != nullptr, "no %s", name);
  return reinterpret_cast<Function*>(address);
}

#define OK(call)                                                                  \
  do {                                                                            \
    const CUresult result_ = (call);                                              \
    REQUIRE(result_ == CUDA_SUCCESS, "%s: %d", #call, static_cast<int>(result_)); \
  } while (0)

using Alloc = CUresult(CUdeviceptr*, size_t);
using Free = CUresult(CUdeviceptr);

}  // namespace

int main() {
  // Opened and closed without a call: nothing stays behind that would break the next.
  for (int i = 0; i < 3; ++i) dlclose(open_driver());

  void* library = open_driver();
  OK(find<CUresult(unsigned int)>(library, "cuInit")(0));
  CUcontext context = nullptr;
  OK(find<CUresult(CUcontext*, CUdevice)>(library, "cuDevicePrimaryCtxRetain")(&context, 0));
  OK(find<CUresult(CUcontext)>(library, "cuCtxSetCurrent")(context));
  auto* alloc = find<Alloc>(library, "cuMemAlloc_v2");
  auto* set = find<CUresult(CUdeviceptr, unsigned int, size_t)>(library, "cuMemsetD32_v2");
  CUdeviceptr memory = 0;
  OK(alloc(&memory, 1 << 20));
  OK(set(memory, 77, 16));

  for (int i = 0; i < 3; ++i) {
    dlclose(library);
    CUdeviceptr more = 0;
    OK(alloc(&more, 1 << 20));
    library = open_driver();
    REQUIRE(find<Alloc>(library, "cuMemAlloc_v2") == alloc, "the driver was loaded a second time");
    OK(find<Free>(library, "cuMemFree_v2")(more));
    OK(find<CUresult(unsigned int)>(library, "cuInit")(0));
    uint32_t value = 0;
    OK(find<CUresult(void*, CUdeviceptr, size_t)>(library, "cuMemcpyDtoH_v2")(&value, memory, sizeof value));
    REQUIRE(value == 77, "the memory holds %u after dlclose", value);
  }
  OK(find<Free>(library, "cuMemFree_v2")(memory));
  dlclose(library);
  return check::pass("closed and opened again with memory held");
}

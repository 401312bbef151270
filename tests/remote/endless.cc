// A program in the midst of a kernel that never ends: says "running", and waits for it.
#include <cstdio>

#include "cuda/abi.h"
#include "cuda/driver_api.h"

namespace {

const char kKernel[] =
    ".version 6.3\n.target sm_70\n.address_size 64\n"
    ".visible .entry endless(.param .u64 p) {\n  .reg .u64 %a;\n  .reg .u32 %x;\n  .reg .pred %q;\n"
    "  ld.param.u64 %a, [p];\nagain:\n  ld.volatile.global.u32 %x, [%a];\n  setp.eq.u32 %q, %x, 0;\n"
    "  @%q bra again;\n  ret;\n}\n";

bool works(CUresult result, const char* what) {
  if (result != CUDA_SUCCESS) fprintf(stderr, "%s: %d\n", what, result);
  return result == CUDA_SUCCESS;
}

}  // namespace

int main() {
  CUcontext context = nullptr;
  CUmodule module = nullptr;
  CUfunction function = nullptr;
  CUdeviceptr word = 0;
  const bool is_ready =
      works(cuInit(0), "cuInit") && works(cuDevicePrimaryCtxRetain(&context, 0), "retain") &&
      works(cuCtxSetCurrent(context), "cuCtxSetCurrent") &&
      works(cuModuleLoadData(&module, kKernel), "cuModuleLoadData") &&
      works(cuModuleGetFunction(&function, module, "endless"), "cuModuleGetFunction") &&
      works(cuMemAlloc_v2(&word, 64), "cuMemAlloc") && works(cuMemsetD8_v2(word, 0, 64), "cuMemsetD8");
  void* parameters[] = {&word};
  if (!is_ready ||
      !works(cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, nullptr, parameters, nullptr), "launch"))
    return 1;
  puts("running");
  fflush(stdout);
  return works(cuCtxSynchronize(), "cuCtxSynchronize") ? 0 : 1;
}

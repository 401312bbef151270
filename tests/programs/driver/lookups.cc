// Every road to a driver function leads to the form that was asked for: dlsym by exported name,
// cuGetProcAddress of CUDA 11 and of CUDA 12, each with the versions and stream flags of programs built since
// CUDA 3.2. What was found that way works. Argument: the limit that allocations by such pointers must meet,
// in bytes.
#include <dlfcn.h>

#include <cstring>

#include "driver_check.h"

namespace {

constexpr cuuint64_t kDefault = CU_GET_PROC_ADDRESS_DEFAULT;
constexpr cuuint64_t kLegacy = CU_GET_PROC_ADDRESS_LEGACY_STREAM;
constexpr cuuint64_t kPerThread = CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM;

struct Form {
  const char* name;
  int version;
  cuuint64_t flags;
  const char* symbol;  // the export that has this meaning, by the typedefs of cudaTypedefs.h
};

constexpr Form kForms[] = {
    {"cuInit", 2000, kDefault, "cuInit"},
    {"cuCtxCreate", 3010, kDefault, "cuCtxCreate"},
    {"cuCtxCreate", 11000, kDefault, "cuCtxCreate_v2"},
    {"cuCtxCreate", 11040, kDefault, "cuCtxCreate_v3"},
    {"cuCtxCreate", 12040, kDefault, "cuCtxCreate_v3"},
    {"cuCtxCreate", 12050, kDefault, "cuCtxCreate_v4"},
    {"cuCtxDestroy", 2000, kDefault, "cuCtxDestroy"},
    {"cuCtxDestroy", 11000, kDefault, "cuCtxDestroy_v2"},
    {"cuCtxGetDevice", 12090, kDefault, "cuCtxGetDevice"},
    {"cuCtxGetDevice", 13000, kDefault, "cuCtxGetDevice_v2"},
    {"cuDevicePrimaryCtxRelease", 10020, kDefault, "cuDevicePrimaryCtxRelease"},
    {"cuDevicePrimaryCtxRelease", 11000, kDefault, "cuDevicePrimaryCtxRelease_v2"},
    {"cuDeviceGetUuid", 11030, kDefault, "cuDeviceGetUuid"},
    {"cuDeviceGetUuid", 11040, kDefault, "cuDeviceGetUuid_v2"},
    {"cuGetProcAddress", 11030, kDefault, "cuGetProcAddress"},
    {"cuGetProcAddress", 11080, kDefault, "cuGetProcAddress"},
    {"cuGetProcAddress", 12000, kDefault, "cuGetProcAddress_v2"},
    {"cuMemAlloc", 3010, kDefault, "cuMemAlloc"},
    {"cuMemAlloc", 3020, kDefault, "cuMemAlloc_v2"},
    {"cuMemAlloc", 13000, kPerThread, "cuMemAlloc_v2"},
    {"cuMemcpyHtoD", 3020, kPerThread, "cuMemcpyHtoD_v2"},
    {"cuMemcpyHtoD", 7000, kPerThread, "cuMemcpyHtoD_v2_ptds"},
    {"cuMemcpyHtoD", 13000, kLegacy, "cuMemcpyHtoD_v2"},
    {"cuLaunchKernel", 4000, kPerThread, "cuLaunchKernel"},
    {"cuLaunchKernel", 7000, kPerThread, "cuLaunchKernel_ptsz"},
    {"cuLaunchKernel", 12030, kLegacy, "cuLaunchKernel"},
    {"cuStreamBeginCapture", 10000, kDefault, "cuStreamBeginCapture"},
    {"cuStreamBeginCapture", 10010, kDefault, "cuStreamBeginCapture_v2"},
    {"cuStreamGetCaptureInfo", 11020, kDefault, "cuStreamGetCaptureInfo"},
    {"cuStreamGetCaptureInfo", 11030, kDefault, "cuStreamGetCaptureInfo_v2"},
    {"cuStreamGetCaptureInfo", 12020, kPerThread, "cuStreamGetCaptureInfo_v2_ptsz"},
    {"cuStreamGetCaptureInfo", 12030, kDefault, "cuStreamGetCaptureInfo_v3"},
    {"cuStreamGetCaptureInfo", 13000, kPerThread, "cuStreamGetCaptureInfo_v3_ptsz"},
    {"cuStreamWaitValue32", 11060, kDefault, "cuStreamWaitValue32"},
    {"cuStreamWaitValue32", 11070, kPerThread, "cuStreamWaitValue32_v2_ptsz"},
    {"cuGraphInstantiate", 10000, kDefault, "cuGraphInstantiate"},
    {"cuGraphInstantiate", 11080, kDefault, "cuGraphInstantiate_v2"},
    {"cuGraphExecUpdate", 11080, kDefault, "cuGraphExecUpdate"},
    {"cuGraphExecUpdate", 12000, kDefault, "cuGraphExecUpdate_v2"},
    {"cuGraphAddKernelNode", 11080, kDefault, "cuGraphAddKernelNode"},
    {"cuGraphAddKernelNode", 12000, kDefault, "cuGraphAddKernelNode_v2"},
    {"cuIpcOpenMemHandle", 10020, kDefault, "cuIpcOpenMemHandle"},
    {"cuIpcOpenMemHandle", 11000, kDefault, "cuIpcOpenMemHandle_v2"},
    {"cuMemAdvise", 12010, kDefault, "cuMemAdvise"},
    {"cuMemAdvise", 12020, kDefault, "cuMemAdvise_v2"},
    {"cuEventElapsedTime", 12070, kDefault, "cuEventElapsedTime"},
    {"cuEventElapsedTime", 12080, kDefault, "cuEventElapsedTime_v2"},
};

void* exported(const char* symbol) {
  void* address = dlsym(RTLD_DEFAULT, symbol);
  REQUIRE(address != nullptr, "libcuda.so.1 does not export %s", symbol);
  return address;
}

void check_forms() {
  for (const Form& form : kForms) {
    void* address = nullptr;
    auto status = CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
    CU_CHECK(cuGetProcAddress_v2(form.name, &address, form.version, form.flags, &status));
    REQUIRE(status == CU_GET_PROC_ADDRESS_SUCCESS, "%s at %d: status %d", form.name, form.version, status);
    REQUIRE(address == exported(form.symbol), "%s at %d, flags %d is not %s", form.name, form.version,
            static_cast<int>(form.flags), form.symbol);
    address = nullptr;
    CU_CHECK(cuGetProcAddress_v2(form.name, &address, form.version, form.flags, nullptr));
    REQUIRE(address == exported(form.symbol), "%s without a status is not %s", form.name, form.symbol);
    // The form of CUDA 11 has no status and the same answers.
    address = nullptr;
    CU_CHECK(cuGetProcAddress(form.name, &address, form.version, form.flags));
    REQUIRE(address == exported(form.symbol), "cuGetProcAddress of CUDA 11: %s is not %s", form.name,
            form.symbol);
  }
}

// Not found is an answer without a function, whichever way it is put: by the error of CUDA 11, or by
// CUDA_SUCCESS and the status.
void expect_none(const char* name, int version, CUdriverProcAddressQueryResult expected) {
  void* address = &address;
  auto status = CU_GET_PROC_ADDRESS_SUCCESS;
  const CUresult result = cuGetProcAddress_v2(name, &address, version, kDefault, &status);
  REQUIRE(result == CUDA_SUCCESS || result == CUDA_ERROR_NOT_FOUND, "%s at %d: %s", name, version,
          cu_name(result));
  REQUIRE(address == nullptr && status == expected, "%s at %d: status %d, not %d", name, version, status,
          expected);
  address = &address;
  (void)cuGetProcAddress(name, &address, version, kDefault);
  REQUIRE(address == nullptr, "cuGetProcAddress of CUDA 11 finds %s at %d", name, version);
}

void check_refusals() {
  expect_none("cuNoSuchFunction", 13000, CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND);
  expect_none("cuMemAlloc_v2", 13000, CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND);  // names have no suffixes there
  expect_none("cuMemAllocAsync", 11010, CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT);
  expect_none("cuLibraryLoadData", 11080, CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT);
  void* address = nullptr;
  int version = 0;
  CU_CHECK(cuDriverGetVersion(&version));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE,
            cuGetProcAddress_v2("cuInit", &address, version + 10, kDefault, nullptr));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuGetProcAddress_v2(nullptr, &address, version, kDefault, nullptr));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuGetProcAddress_v2("cuInit", nullptr, version, kDefault, nullptr));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuGetProcAddress_v2("cuInit", &address, version, 1 << 10, nullptr));
}

template <typename Function>
Function* look_up(const char* name, int version, cuuint64_t flags = kDefault) {
  void* address = nullptr;
  CU_CHECK(cuGetProcAddress_v2(name, &address, version, flags, nullptr));
  return reinterpret_cast<Function*>(address);
}

// A context by the function of each generation of programs.
void check_contexts(CUdevice device) {
  CUcontext context = nullptr;
  CU_CHECK(look_up<CUresult(CUcontext*, unsigned int, CUdevice)>("cuCtxCreate", 11000)(&context, 0, device));
  CUdevice current = -1;
  CU_CHECK(look_up<CUresult(CUdevice*)>("cuCtxGetDevice", 12000)(&current));
  REQUIRE(current == device, "cuCtxGetDevice of CUDA 12 says %d", current);
  current = -1;
  CU_CHECK(look_up<CUresult(CUdevice*, CUcontext)>("cuCtxGetDevice", 13000)(&current, context));
  REQUIRE(current == device, "cuCtxGetDevice of CUDA 13 says %d", current);
  CU_CHECK(look_up<CUresult(CUcontext)>("cuCtxDestroy", 11000)(context));
  CU_CHECK(look_up<CUresult(CUcontext*, CUctxCreateParams*, unsigned int, CUdevice)>("cuCtxCreate", 13000)(
      &context, nullptr, 0, device));
  CU_CHECK(look_up<CUresult(CUcontext)>("cuCtxDestroy", 13000)(context));
}

// Memory by a pointer that was looked up is memory of the device: seen in cuMemGetInfo, refused beyond the
// limit.
void check_memory(size_t limit) {
  auto* alloc = look_up<CUresult(CUdeviceptr*, size_t)>("cuMemAlloc", 12000, kPerThread);
  auto* release = look_up<CUresult(CUdeviceptr)>("cuMemFree", 12000);
  auto* info = reinterpret_cast<CUresult (*)(size_t*, size_t*)>(exported("cuMemGetInfo_v2"));
  constexpr size_t kBytes = 64u << 20;
  size_t before = 0, after = 0, total = 0;
  CU_CHECK(info(&before, &total));
  CUdeviceptr memory = 0;
  CU_CHECK(alloc(&memory, kBytes));
  CU_CHECK(info(&after, &total));
  REQUIRE(before - after >= kBytes, "%zu bytes free before, %zu after", before, after);
  CU_CHECK(release(memory));
  if (limit == 0) return;
  REQUIRE(total == limit, "the device shows %zu bytes, not %zu", total, limit);
  CU_EXPECT(CUDA_ERROR_OUT_OF_MEMORY, alloc(&memory, limit + 1));
  CU_EXPECT(CUDA_ERROR_OUT_OF_MEMORY, cuMemAlloc_v2(&memory, limit + 1));
}

}  // namespace

int main(int argc, char** argv) {
  check_forms();  // needs no cuInit
  check_refusals();
  const check::Context context;
  check_contexts(context.device());
  CU_CHECK(cuCtxSetCurrent(context.get()));
  check_memory(argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 0);
  return check::pass("%zu forms", std::size(kForms));
}

// A driver whose calls return at once: what a program's calls cost above it is the cost of what stands above
// it. Every function is made from the table (generate_api.py, kind "null"); here are the few whose answers
// the vGPU needs. It has one device, the one that CUDA_VISIBLE_DEVICES names by its UUID, so that it fits
// whatever inventory the node has.
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "cuda/abi.h"
#include "cuda/driver_api.h"

namespace {

constexpr size_t kDeviceBytes = size_t{1} << 40;

// "GPU-" and 32 hexadecimal digits in groups. False where it is not one.
bool parse_uuid(const char* text, CUuuid& uuid) {
  if (text == nullptr || strncmp(text, "GPU-", 4) != 0) return false;
  text += 4;
  for (char& byte : uuid.bytes) {
    if (*text == '-') ++text;
    char digits[3] = {text[0], text[0] != '\0' ? text[1] : '\0', '\0'};
    char* end = nullptr;
    byte = static_cast<char>(strtoul(digits, &end, 16));
    if (end != digits + 2) return false;
    text += 2;
  }
  return true;
}

CUcontext the_context() { return reinterpret_cast<CUcontext>(0x10); }

template <typename Handle>
CUresult give(Handle* handle) {
  static std::atomic<uintptr_t> next{0x1000};
  *handle = reinterpret_cast<Handle>(next.fetch_add(16, std::memory_order_relaxed));
  return CUDA_SUCCESS;
}

}  // namespace

extern "C" {

CUresult cuDriverGetVersion(int* driverVersion) {
  *driverVersion = 13000;
  return CUDA_SUCCESS;
}
CUresult cuDeviceGetCount(int* count) {
  *count = 1;
  return CUDA_SUCCESS;
}
CUresult cuDeviceGet(CUdevice* device, int) {
  *device = 0;
  return CUDA_SUCCESS;
}
CUresult cuDeviceGetUuid_v2(CUuuid* uuid, CUdevice) {
  return parse_uuid(getenv("CUDA_VISIBLE_DEVICES"), *uuid) ? CUDA_SUCCESS : CUDA_ERROR_NO_DEVICE;
}
CUresult cuDeviceTotalMem_v2(size_t* bytes, CUdevice) {
  *bytes = kDeviceBytes;
  return CUDA_SUCCESS;
}
CUresult cuMemGetInfo_v2(size_t* free, size_t* total) {
  *free = *total = kDeviceBytes;
  return CUDA_SUCCESS;
}
CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice) {
  *context = the_context();
  return CUDA_SUCCESS;
}
CUresult cuCtxGetCurrent(CUcontext* context) {
  *context = the_context();
  return CUDA_SUCCESS;
}
CUresult cuCtxGetDevice(CUdevice* device) {
  *device = 0;
  return CUDA_SUCCESS;
}
// Events are there, and all that is asked about them has happened.
CUresult cuEventCreate(CUevent* event, unsigned int) {
  *event = reinterpret_cast<CUevent>(0x20);
  return CUDA_SUCCESS;
}
CUresult cuEventElapsedTime(float* milliseconds, CUevent, CUevent) {
  *milliseconds = 0;
  return CUDA_SUCCESS;
}
CUresult cuStreamGetCtx(CUstream, CUcontext* context) {
  *context = the_context();
  return CUDA_SUCCESS;
}
// Handles are something, and differ: whoever passes them on takes nothing for none.
CUresult cuModuleLoadData(CUmodule* module, const void*) { return give(module); }
CUresult cuModuleLoadDataEx(CUmodule* module, const void*, unsigned int, CUjit_option*, void**) {
  return give(module);
}
CUresult cuModuleGetFunction(CUfunction* hfunc, CUmodule, const char*) { return give(hfunc); }
CUresult cuLibraryLoadData(CUlibrary* library, const void*, CUjit_option*, void**, unsigned int,
                           CUlibraryOption*, void**, unsigned int) {
  return give(library);
}
CUresult cuLibraryGetKernel(CUkernel* pKernel, CUlibrary, const char*) { return give(pKernel); }
CUresult cuStreamCreate(CUstream* phStream, unsigned int) { return give(phStream); }
CUresult cuStreamCreateWithPriority(CUstream* phStream, unsigned int, int) { return give(phStream); }
// Every kernel has a pointer and an int.
CUresult cuFuncGetParamInfo(CUfunction, size_t paramIndex, size_t* paramOffset, size_t* paramSize) {
  if (paramIndex > 1) return CUDA_ERROR_INVALID_VALUE;
  *paramOffset = paramIndex * 8;
  *paramSize = paramIndex == 0 ? 8 : 4;
  return CUDA_SUCCESS;
}
CUresult cuKernelGetParamInfo(CUkernel, size_t paramIndex, size_t* paramOffset, size_t* paramSize) {
  return cuFuncGetParamInfo(nullptr, paramIndex, paramOffset, paramSize);
}
CUresult cuFuncGetAttribute(int* pi, CUfunction_attribute attrib, CUfunction) {
  *pi = attrib == CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK ? 1024 : 0;
  return CUDA_SUCCESS;
}
// What comes from the device is random, as data that no encoding makes smaller is; memory that has had it
// before has it still.
CUresult cuMemcpyDtoHAsync_v2(void* to, CUdeviceptr, size_t bytes, CUstream) {
  constexpr uint64_t kSeed = 0x9e3779b97f4a7c15u;
  auto* words = static_cast<uint64_t*>(to);
  if (bytes < sizeof kSeed || words[0] == kSeed) return CUDA_SUCCESS;
  uint64_t state = kSeed;
  for (size_t i = 0; i < bytes / sizeof kSeed; ++i) {
    words[i] = state;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
  }
  return CUDA_SUCCESS;
}
// Addresses differ, as a driver's do: the vGPU keeps account by them.
CUresult cuMemAlloc_v2(CUdeviceptr* dptr, size_t) {
  static std::atomic<CUdeviceptr> next{0x7f0000000000};
  *dptr = next.fetch_add(512, std::memory_order_relaxed);
  return CUDA_SUCCESS;
}

}  // extern "C"

#include "fake_driver.h"

#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>

#include "cuda/driver_api.h"

// Addresses are made up: nothing here can be written to. UUIDs are GPU-ii000000-0000-0000-0000-000000000000.
namespace {

FakeDriver state;
std::mutex mutex;
std::map<CUdeviceptr, size_t>* const memory = new std::map<CUdeviceptr, size_t>;
CUdeviceptr next_address = 0x700000000000;
uint64_t next_handle = 1;
int device_count = 0;
bool initialised = false;

CUresult allocate(CUdeviceptr* dptr, size_t bytes) {
  if (!initialised) return CUDA_ERROR_NOT_INITIALIZED;
  if (bytes == 0 || dptr == nullptr) return CUDA_ERROR_INVALID_VALUE;
  CUresult result = state.alloc_result;
  if (result != CUDA_SUCCESS) return result;
  std::lock_guard lock(mutex);
  *dptr = next_address;
  next_address += (bytes + 511) / 512 * 512;
  (*memory)[*dptr] = bytes;
  state.live_bytes += bytes;
  return CUDA_SUCCESS;
}

CUresult deallocate(CUdeviceptr dptr) {
  CUresult result = state.free_result;
  if (result != CUDA_SUCCESS) return result;
  if (dptr == 0) return CUDA_SUCCESS;
  std::lock_guard lock(mutex);
  auto found = memory->find(dptr);
  if (found == memory->end()) return CUDA_ERROR_INVALID_VALUE;
  state.live_bytes -= found->second;
  memory->erase(found);
  return CUDA_SUCCESS;
}

template <typename Handle>
CUresult make(Handle* handle) {
  CUresult result = state.alloc_result;
  if (result != CUDA_SUCCESS) return result;
  std::lock_guard lock(mutex);
  *handle = Handle(next_handle++ << 4);
  return CUDA_SUCCESS;
}

}  // namespace

extern "C" {

__attribute__((visibility("default"))) FakeDriver* fake_driver() { return &state; }

CUresult cuInit(unsigned int) {
  ++state.init_calls;
  if (const char* fails = getenv("FAKE_DRIVER_INIT")) return static_cast<CUresult>(atoi(fails));
  const char* visible = getenv("CUDA_VISIBLE_DEVICES");
  std::string list = visible != nullptr ? visible : "GPU-00000000,GPU-01000000";
  device_count = 0;
  for (size_t at = list.find("GPU-"); at != std::string::npos; at = list.find("GPU-", at + 1)) ++device_count;
  initialised = true;
  return device_count > 0 ? CUDA_SUCCESS : CUDA_ERROR_NO_DEVICE;
}
CUresult cuDriverGetVersion(int* version) {
  *version = state.driver_version;
  return CUDA_SUCCESS;
}
CUresult cuDeviceGetCount(int* count) {
  if (!initialised) return CUDA_ERROR_NOT_INITIALIZED;
  *count = device_count;
  return CUDA_SUCCESS;
}
CUresult cuDeviceGet(CUdevice* device, int ordinal) {
  *device = ordinal;
  return ordinal < device_count ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}
CUresult cuDeviceGetUuid_v2(CUuuid* uuid, CUdevice device) {
  const char* visible = getenv("CUDA_VISIBLE_DEVICES");
  std::string list = visible != nullptr ? visible : "GPU-00000000,GPU-01000000";
  size_t at = 0;
  for (int i = 0; i <= device; ++i) at = list.find("GPU-", at) + 4;
  std::memset(uuid, 0, sizeof *uuid);
  uuid->bytes[0] = static_cast<char>(strtol(list.substr(at, 2).c_str(), nullptr, 16));
  return CUDA_SUCCESS;
}
CUresult cuDeviceTotalMem_v2(size_t* bytes, CUdevice) {
  if (!initialised) return CUDA_ERROR_NOT_INITIALIZED;
  *bytes = state.real_total_bytes;
  return CUDA_SUCCESS;
}
CUresult cuMemGetInfo_v2(size_t* free, size_t* total) {
  *free = state.real_free_bytes;
  *total = state.real_total_bytes;
  return CUDA_SUCCESS;
}
CUresult cuMemAlloc_v2(CUdeviceptr* dptr, size_t bytes) { return allocate(dptr, bytes); }
CUresult cuMemAllocManaged(CUdeviceptr* dptr, size_t bytes, unsigned int) { return allocate(dptr, bytes); }
CUresult cuMemAllocPitch_v2(CUdeviceptr* dptr, size_t* pitch, size_t width, size_t height, unsigned int) {
  size_t unit = state.pitch_unit;
  *pitch = (width + unit - 1) / unit * unit;
  return allocate(dptr, *pitch * height);
}
CUresult cuMemFree_v2(CUdeviceptr dptr) { return deallocate(dptr); }
CUresult cuMemAllocAsync(CUdeviceptr* dptr, size_t bytes, CUstream) { return allocate(dptr, bytes); }
CUresult cuMemAllocAsync_ptsz(CUdeviceptr* dptr, size_t bytes, CUstream) {
  ++state.ptsz_allocs;
  return allocate(dptr, bytes);
}
CUresult cuMemFreeAsync(CUdeviceptr dptr, CUstream) { return deallocate(dptr); }
CUresult cuMemFreeAsync_ptsz(CUdeviceptr dptr, CUstream) { return deallocate(dptr); }
CUresult cuArrayCreate_v2(CUarray* array, const CUDA_ARRAY_DESCRIPTOR*) { return make(array); }
CUresult cuArrayDestroy(CUarray) { return state.free_result; }
CUresult cuMemCreate(CUmemGenericAllocationHandle* handle, size_t, const CUmemAllocationProp*,
                     unsigned long long) {
  return make(handle);
}
CUresult cuMemRelease(CUmemGenericAllocationHandle) { return CUDA_SUCCESS; }
CUresult cuMemMap(CUdeviceptr, size_t, size_t, CUmemGenericAllocationHandle, unsigned long long) {
  return CUDA_SUCCESS;
}
CUresult cuMemUnmap(CUdeviceptr, size_t) { return CUDA_SUCCESS; }
CUresult cuCtxGetCurrent(CUcontext* context) {
  *context = state.current;
  return CUDA_SUCCESS;
}
CUresult cuCtxGetDevice(CUdevice* device) {
  *device = 0;
  return CUDA_SUCCESS;
}
CUresult cuCtxDestroy_v2(CUcontext) { return state.context_result; }
CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice) {
  ++state.primary_references;
  state.current = reinterpret_cast<CUcontext>(uintptr_t{0x1000});
  *context = state.current;
  return CUDA_SUCCESS;
}
CUresult cuDevicePrimaryCtxRelease_v2(CUdevice) {
  --state.primary_references;
  return CUDA_SUCCESS;
}
CUresult cuDevicePrimaryCtxGetState(CUdevice, unsigned int* flags, int* active) {
  *flags = 0;
  *active = state.primary_references > 0 ? 1 : 0;
  return CUDA_SUCCESS;
}
CUresult cuLaunchKernel(CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                        CUstream, void**, void**) {
  state.launches.fetch_add(1, std::memory_order_relaxed);
  return CUDA_SUCCESS;
}
CUresult cuLaunchKernel_ptsz(CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                             CUstream, void**, void**) {
  state.ptsz_launches.fetch_add(1, std::memory_order_relaxed);
  return CUDA_SUCCESS;
}
CUresult cuMemcpyHtoD_v2(CUdeviceptr, const void*, size_t) { return CUDA_SUCCESS; }
CUresult cuMemcpyDtoH_v2(void*, CUdeviceptr, size_t) { return CUDA_SUCCESS; }
CUresult cuGetExportTable(const void** table, const CUuuid*) {
  *table = &state;
  return CUDA_SUCCESS;
}

static CUresult only_the_driver_knows() { return CUDA_SUCCESS; }

// Knows, besides its own functions, one that no table of ours has, and what the runtime's first question
// means.
CUresult cuGetProcAddress_v2(const char* symbol, void** pfn, int version, cuuint64_t flags,
                             CUdriverProcAddressQueryResult* status) {
  bool per_thread = (flags & CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM) != 0;
  std::string name = symbol;
  void* found = nullptr;
  if (name == "cuInit") found = reinterpret_cast<void*>(&cuInit);
  if (name == "cuLaunchKernel") {
    found =
        per_thread ? reinterpret_cast<void*>(&cuLaunchKernel_ptsz) : reinterpret_cast<void*>(&cuLaunchKernel);
  }
  if (name == "cuMemAllocAsync") {
    found = per_thread ? reinterpret_cast<void*>(&cuMemAllocAsync_ptsz)
                       : reinterpret_cast<void*>(&cuMemAllocAsync);
  }
  if (name == "cuMemAlloc" && version >= 3020) found = reinterpret_cast<void*>(&cuMemAlloc_v2);
  if (name == "cuCtxGetDevice") found = reinterpret_cast<void*>(&cuCtxGetDevice);
  if (name == "cuOnlyTheDriverKnows") found = reinterpret_cast<void*>(&only_the_driver_knows);
  if (name.empty()) found = reinterpret_cast<void*>(&cuGetProcAddress_v2);
  *pfn = found;
  auto answer = found != nullptr ? CU_GET_PROC_ADDRESS_SUCCESS : CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
  if (status != nullptr) *status = answer;
  return found != nullptr ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}

// Every graph has one node, which allocates on device 0.
CUresult cuGraphGetNodes(CUgraph, CUgraphNode* nodes, size_t* count) {
  if (nodes != nullptr) nodes[0] = reinterpret_cast<CUgraphNode>(uintptr_t{64});
  *count = 1;
  return CUDA_SUCCESS;
}
CUresult cuGraphNodeGetType(CUgraphNode, CUgraphNodeType* type) {
  *type = CU_GRAPH_NODE_TYPE_MEM_ALLOC;
  return CUDA_SUCCESS;
}
CUresult cuGraphMemAllocNodeGetParams(CUgraphNode, CUDA_MEM_ALLOC_NODE_PARAMS* params) {
  *params = {};
  params->poolProps.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
  params->bytesize = state.graph_node_bytes;
  params->dptr = 4096;
  return CUDA_SUCCESS;
}
CUresult cuGraphInstantiateWithFlags(CUgraphExec* exec, CUgraph, unsigned long long) { return make(exec); }
CUresult cuGraphExecDestroy(CUgraphExec) { return CUDA_SUCCESS; }
CUresult cuGraphLaunch(CUgraphExec, CUstream) {
  state.graph_reserved += state.graph_takes;
  return CUDA_SUCCESS;
}
CUresult cuDeviceGraphMemTrim(CUdevice) {
  state.graph_reserved = 0;
  return CUDA_SUCCESS;
}
CUresult cuDeviceGetGraphMemAttribute(CUdevice, CUgraphMem_attribute, void* value) {
  *static_cast<cuuint64_t*>(value) = state.graph_reserved;
  return CUDA_SUCCESS;
}

}  // extern "C"

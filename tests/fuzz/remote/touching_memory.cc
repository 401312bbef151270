// Memory, and copies of it: what the program shares is there, and may be touched by whoever has its address.
#include <sys/mman.h>

#include <map>
#include <mutex>

#include "tests/fuzz/remote/touching_driver.h"

namespace tessera::remote::fuzz {
namespace {

constexpr uint64_t kMostManaged = 1 << 20;

struct Shared {
  std::mutex lock;
  std::map<CUdeviceptr, uint64_t> managed;
};
Shared& shared() {
  static auto* found = new Shared;
  return *found;
}

// --- Memory that the program has, too

CUresult new_managed(CUdeviceptr* address, uint64_t bytes) {
  if (bytes == 0 || bytes > kMostManaged) return CUDA_ERROR_OUT_OF_MEMORY;
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return CUDA_ERROR_OUT_OF_MEMORY;
  *address = reinterpret_cast<CUdeviceptr>(memory);
  std::lock_guard lock(shared().lock);
  shared().managed[*address] = bytes;
  return CUDA_SUCCESS;
}
CUresult alloc_managed(CUdeviceptr* address, size_t bytes, unsigned) { return new_managed(address, bytes); }
CUresult mem_free(CUdeviceptr address) {
  std::lock_guard lock(shared().lock);
  auto found = shared().managed.find(address);
  if (found == shared().managed.end()) return next_result();
  munmap(reinterpret_cast<void*>(address), found->second);
  shared().managed.erase(found);
  return CUDA_SUCCESS;
}
CUresult variable(CUdeviceptr* address, size_t* bytes) {
  *bytes = 64;
  return next_number() % 2 == 0 ? new_managed(address, *bytes) : (*address = next_handle(), next_result());
}
CUresult module_global(CUdeviceptr* address, size_t* bytes, CUmodule, const char* name) {
  read_text(name);
  return variable(address, bytes);
}
CUresult library_managed(CUdeviceptr* address, size_t* bytes, CUlibrary, const char* name) {
  read_text(name);
  return variable(address, bytes);
}
CUresult granularity(size_t* bytes, const CUmemAllocationProp* properties, CUmemAllocationGranularity_flags) {
  read(properties, 1);
  if (bytes == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *bytes = 2 << 20;
  return next_result();
}
// Where it was asked for, more often than not.
CUresult reserve(CUdeviceptr* address, size_t, size_t, CUdeviceptr wanted, unsigned long long) {
  if (address == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *address = next_number() % 16 == 0 ? next_handle() : wanted;
  return next_result();
}
CUresult pointer_attribute(void* data, CUpointer_attribute attribute, CUdeviceptr address) {
  std::lock_guard lock(shared().lock);
  const bool is_managed = shared().managed.contains(address);
  if (attribute == CU_POINTER_ATTRIBUTE_IS_MANAGED) {
    const uint32_t value = is_managed ? 1 : 0;
    memcpy(data, &value, sizeof value);
    return CUDA_SUCCESS;
  }
  if (attribute == CU_POINTER_ATTRIBUTE_MEMORY_TYPE) {
    const uint32_t type = next_number() % 8 == 0 ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE;
    memcpy(data, &type, sizeof type);
    return CUDA_SUCCESS;
  }
  const bool is_large = attribute == CU_POINTER_ATTRIBUTE_P2P_TOKENS;
  write_bytes(data, is_large ? 16 : 4);
  return next_result();
}
CUresult pointer_attributes(unsigned count, CUpointer_attribute* attributes, void** data, CUdeviceptr) {
  read(attributes, count);
  for (unsigned i = 0; i < count; ++i) write_bytes(data[i], 8);
  return next_result();
}
CUresult host_register(void* memory, size_t bytes, unsigned) {
  if (bytes <= kMostManaged) read_bytes(memory, bytes);
  return next_result();
}
CUresult device_pointer(CUdeviceptr* device, void* host, unsigned) {
  *device = reinterpret_cast<CUdeviceptr>(host);
  return CUDA_SUCCESS;
}

// --- Copies

CUresult copy_in_async(CUdeviceptr, const void* source, size_t bytes, CUstream) {
  read_bytes(source, bytes);
  return next_result();
}
CUresult copy_out_async(void* target, CUdeviceptr, size_t bytes, CUstream) {
  write_bytes(target, bytes);
  return next_result();
}
CUresult copy_out(void* target, CUdeviceptr, size_t bytes) {
  write_bytes(target, bytes);
  return next_result();
}
CUresult array_in_async(CUarray, size_t, const void* source, size_t bytes, CUstream) {
  read_bytes(source, bytes);
  return next_result();
}
CUresult array_out_async(void* target, CUarray, size_t, size_t bytes, CUstream) {
  write_bytes(target, bytes);
  return next_result();
}
CUresult array_in(CUarray, size_t, const void* source, size_t bytes) {
  read_bytes(source, bytes);
  return next_result();
}
CUresult array_out(void* target, CUarray, size_t, size_t bytes) {
  write_bytes(target, bytes);
  return next_result();
}
template <typename Row>
void each_row(uint64_t pitch, uint64_t height, const CUDA_MEMCPY3D& copy, Row row) {
  for (uint64_t z = 0; z < copy.Depth; ++z) {
    for (uint64_t y = 0; y < copy.Height; ++y) row((z * height + y) * pitch);
  }
}
CUresult copy_box_async(const CUDA_MEMCPY3D* copy, CUstream) { return touch_box(copy); }

}  // namespace

CUresult touch_box(const CUDA_MEMCPY3D* copy) {
  if (copy->Height > 64 || copy->Depth > 64) return CUDA_ERROR_INVALID_VALUE;
  const auto* from = static_cast<const std::byte*>(copy->srcHost);
  auto* to = static_cast<std::byte*>(copy->dstHost);
  const uint64_t from_at = (copy->srcZ * copy->srcHeight + copy->srcY) * copy->srcPitch + copy->srcXInBytes;
  const uint64_t to_at = (copy->dstZ * copy->dstHeight + copy->dstY) * copy->dstPitch + copy->dstXInBytes;
  if (copy->srcMemoryType == CU_MEMORYTYPE_HOST) {
    each_row(copy->srcPitch, copy->srcHeight, *copy,
             [&](uint64_t at) { read_bytes(from + from_at + at, copy->WidthInBytes); });
  }
  if (copy->dstMemoryType == CU_MEMORYTYPE_HOST) {
    each_row(copy->dstPitch, copy->dstHeight, *copy,
             [&](uint64_t at) { write_bytes(to + to_at + at, copy->WidthInBytes); });
  }
  return next_result();
}
void install_memory(cuda::DriverTable& table) {
  table.cuMemGetAllocationGranularity = granularity;
  table.cuMemAddressReserve = reserve;
  table.cuModuleGetGlobal_v2 = module_global;
  table.cuLibraryGetManaged = library_managed;
  table.cuMemAllocManaged = alloc_managed;
  table.cuMemFree_v2 = mem_free;
  table.cuPointerGetAttribute = pointer_attribute;
  table.cuPointerGetAttributes = pointer_attributes;
  table.cuMemHostRegister_v2 = host_register;
  table.cuMemHostGetDevicePointer_v2 = device_pointer;
  table.cuMemcpyHtoDAsync_v2 = copy_in_async;
  table.cuMemcpyDtoHAsync_v2 = copy_out_async;
  table.cuMemcpyDtoH_v2 = copy_out;
  table.cuMemcpyHtoAAsync_v2 = array_in_async;
  table.cuMemcpyAtoHAsync_v2 = array_out_async;
  table.cuMemcpyHtoA_v2 = array_in;
  table.cuMemcpyAtoH_v2 = array_out;
  table.cuMemcpy3D_v2 = touch_box;
  table.cuMemcpy3DAsync_v2 = copy_box_async;
}

void free_managed() {
  std::lock_guard lock(shared().lock);
  for (const auto& [address, bytes] : shared().managed) munmap(reinterpret_cast<void*>(address), bytes);
  shared().managed.clear();
}

}  // namespace tessera::remote::fuzz

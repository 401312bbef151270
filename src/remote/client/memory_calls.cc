// Memory of devices, and of the program where the device can use it.
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <vector>

#include "common/log.h"
#include "common/mappings.h"
#include "remote/client/connection.h"
#include "remote/client/contexts.h"
#include "remote/client/host_ranges.h"
#include "remote/client/installs.h"
#include "remote/client/managed_pages.h"
#include "remote/client/request.h"
#include "remote/client/servers.h"
#include "remote/rpc.h"
#include "remote/wire/extents.h"
#include "remote/wire/regions.h"

namespace tessera::remote {
namespace {

constexpr uint64_t kPage = 4096;

// --- Memory of devices

CUresult mem_alloc(CUdeviceptr* address, size_t bytes) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  const CUresult result = rpc::cuMemAlloc_v2(false, address, bytes);
  if (result == CUDA_SUCCESS) Known::add_device(*address, bytes);
  return result;
}

CUresult mem_alloc_pitch(CUdeviceptr* address, size_t* pitch, size_t width, size_t height, unsigned element) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  const CUresult result = rpc::cuMemAllocPitch_v2(false, address, pitch, width, height, element);
  if (result == CUDA_SUCCESS) Known::add_device(*address, *pitch * height);
  return result;
}

CUresult mem_free(CUdeviceptr address) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  HostRange range;
  Session* holder = find_host_range(address, 1, &range);
  const bool is_managed = holder != nullptr && range.address == address && range.kind == HostKind::kManaged;
  Request request(Op::cuMemFree_v2, false);
  if (is_managed) request.to(holder->server());
  const CUresult result = request.address(address).run();
  if (result != CUDA_SUCCESS) return result;
  Known::remove_device(address);
  if (is_managed) {
    holder->host().remove(address);
    managed_pages().remove(address);
  }
  return result;
}

template <bool kPerThread>
CUresult mem_alloc_async(CUdeviceptr* address, size_t bytes, CUstream stream) {
  const CUresult result = rpc::cuMemAllocAsync(kPerThread, address, bytes, stream);
  if (result == CUDA_SUCCESS && !Known::capturing()) Known::add_device(*address, bytes);
  return result;
}

template <bool kPerThread>
CUresult mem_alloc_from_pool_async(CUdeviceptr* address, size_t bytes, CUmemoryPool pool, CUstream stream) {
  const CUresult result = rpc::cuMemAllocFromPoolAsync(kPerThread, address, bytes, pool, stream);
  if (result == CUDA_SUCCESS && !Known::capturing()) Known::add_device(*address, bytes);
  return result;
}

template <bool kPerThread>
CUresult mem_free_async(CUdeviceptr address, CUstream stream) {
  const CUresult result = rpc::cuMemFreeAsync(kPerThread, address, stream);
  if (result == CUDA_SUCCESS) Known::remove_device(address);
  return result;
}

CUresult mem_map(CUdeviceptr address, size_t bytes, size_t offset, CUmemGenericAllocationHandle handle,
                 unsigned long long flags) {
  return rpc::cuMemMap(false, address, bytes, offset, handle, flags);
}

CUresult mem_unmap(CUdeviceptr address, size_t bytes) {
  const CUresult result = rpc::cuMemUnmap(false, address, bytes);
  if (result == CUDA_SUCCESS) Known::remove_device(address);
  return result;
}

// --- Memory of the program

// Addresses for memory that both sides have, from a part of the address space that the kernel gives out last.
void* map_host(size_t bytes) {
  static std::atomic<uint64_t> next{uint64_t{0x2a00} << 32};
  const size_t span = (bytes + kPage - 1) / kPage * kPage;
  for (int attempt = 0; attempt < 16; ++attempt) {
    void* wanted = reinterpret_cast<void*>(next.fetch_add(span + (uint64_t{1} << 21)));
    void* got =
        mmap(wanted, span, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (got != MAP_FAILED) return got;
  }
  return nullptr;
}

CUresult tell_server(Session* session, HostRange& range, unsigned register_flags) {
  if (session == nullptr) return without_session();
  Request request(Message::kHostAdd, false);
  request.to(session->server()).value(range.address).value(range.bytes).value<uint32_t>(register_flags);
  const CUresult result = request.run();
  if (result != CUDA_SUCCESS) return result;
  range.device = request.next_value<CUdeviceptr>();
  range.context = this_thread().current();
  range.is_watched = false;
  session->host().add(range);
  return result;
}

// Of every server that has it.
CUresult untell_servers(uint64_t address, HostKind kind) {
  CUresult result = CUDA_SUCCESS;
  for (unsigned server = 0; server < server_count() && result == CUDA_SUCCESS; ++server) {
    Session* its = session_of(server);
    HostRange range;
    if (its == nullptr || !its->host().find(address, 1, &range) || range.address != address ||
        range.kind != kind)
      continue;
    result = Request(Message::kHostRemove, false).to(server).value(address).run();
    if (result == CUDA_SUCCESS) its->host().remove(address);
  }
  return result;
}

CUresult host_alloc(void** address, size_t bytes, unsigned int flags) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  constexpr unsigned kFlags =
      CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP | CU_MEMHOSTALLOC_WRITECOMBINED;
  if (address == nullptr || bytes == 0 || (flags & ~kFlags) != 0) return CUDA_ERROR_INVALID_VALUE;
  if (this_thread().current() == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  void* memory = map_host(bytes);
  if (memory == nullptr) return CUDA_ERROR_OUT_OF_MEMORY;
  HostRange range{reinterpret_cast<uint64_t>(memory), bytes, HostKind::kPinned, flags};
  const CUresult result = tell_server(session(), range, CU_MEMHOSTREGISTER_PORTABLE);
  if (result != CUDA_SUCCESS) {
    munmap(memory, (bytes + kPage - 1) / kPage * kPage);
    return result;
  }
  *address = memory;
  return result;
}

CUresult mem_alloc_host(void** address, size_t bytes) { return host_alloc(address, bytes, 0); }

CUresult mem_free_host(void* address) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  HostRange range;
  const auto begin = reinterpret_cast<uint64_t>(address);
  if (find_host_range(begin, 1, &range) == nullptr || range.address != begin ||
      range.kind != HostKind::kPinned) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  const CUresult result = untell_servers(begin, HostKind::kPinned);
  if (result != CUDA_SUCCESS) return result;
  munmap(address, (range.bytes + kPage - 1) / kPage * kPage);
  return result;
}

CUresult host_register(void* address, size_t bytes, unsigned int flags) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  constexpr unsigned kFlags = CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP |
                              CU_MEMHOSTREGISTER_IOMEMORY | CU_MEMHOSTREGISTER_READ_ONLY;
  if (address == nullptr || bytes == 0 || (flags & ~kFlags) != 0) return CUDA_ERROR_INVALID_VALUE;
  if (this_thread().current() == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  if ((flags & CU_MEMHOSTREGISTER_IOMEMORY) != 0) return not_over_the_wire("memory of another device");
  HostRange range{reinterpret_cast<uint64_t>(address), bytes, HostKind::kRegistered, flags};
  return tell_server(session(), range, flags);
}

CUresult host_unregister(void* address) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  HostRange range;
  const auto begin = reinterpret_cast<uint64_t>(address);
  if (address == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (find_host_range(begin, 1, &range) == nullptr || range.address != begin ||
      range.kind != HostKind::kRegistered) {
    return CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
  }
  return untell_servers(begin, HostKind::kRegistered);
}

// Whoever asks for it gives it to a kernel.
CUresult host_get_device_pointer(CUdeviceptr* device, void* address, unsigned int flags) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  HostRange range;
  const auto begin = reinterpret_cast<uint64_t>(address);
  if (has_several_servers() && session() != nullptr)
    share_named_memory(*session(), std::as_bytes(std::span(&begin, 1)));
  if (device == nullptr || flags != 0 || session() == nullptr || !session()->host().find(begin, 1, &range)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (session()->host().watch(begin)) {
    const CUresult result = Request(Message::kHostWatch, false).value(range.address).run();
    if (result != CUDA_SUCCESS) return result;
  }
  *device = range.device + (begin - range.address);
  return CUDA_SUCCESS;
}

CUresult host_get_flags(unsigned int* flags, void* address) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  HostRange range;
  if (flags == nullptr || find_host_range(reinterpret_cast<uint64_t>(address), 1, &range) == nullptr ||
      range.kind == HostKind::kManaged) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  // Every driver of today maps all of it.
  *flags = range.flags | CU_MEMHOSTALLOC_DEVICEMAP;
  return CUDA_SUCCESS;
}

// --- Managed memory: both sides have it at the server's address.

// What the program has where the server's memory would be.
AddressSpan taken_at(CUdeviceptr address, size_t bytes) {
  const auto mappings = own_mappings();
  AddressSpan taken{address, address + bytes};
  if (mappings.ok()) taken.end = std::max(taken.end, taken_from(*mappings, address, bytes).end);
  return taken;
}

// Where the program has something else already, memory elsewhere is asked for.
CUresult managed_on_both(size_t bytes, unsigned flags, CUdeviceptr* found) {
  std::vector<AddressSpan> taken;
  while (taken.size() < kMostTakenSpans) {
    Request request(Op::cuMemAllocManaged, false);
    request.value<uint64_t>(bytes).value<uint32_t>(flags).array(taken.data(), taken.size());
    if (const CUresult result = request.run(); result != CUDA_SUCCESS) return result;
    *found = request.next_value<CUdeviceptr>();
    if (managed_pages().add(*found, bytes)) return CUDA_SUCCESS;
    taken.push_back(taken_at(*found, bytes));
    (void)rpc::cuMemFree_v2(false, *found);
  }
  LOG_ERROR("remote",
            "managed memory cannot be had: the program has something else at the addresses of the server's");
  return CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult alloc_managed(CUdeviceptr* address, size_t bytes, unsigned int flags) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (address == nullptr) return CUDA_ERROR_INVALID_VALUE;
  CUdeviceptr found = 0;
  if (const CUresult result = managed_on_both(bytes, flags, &found); result != CUDA_SUCCESS) return result;
  HostRange range{found, bytes, HostKind::kManaged, flags, found, this_thread().current(), true};
  session()->host().add(range);
  *address = found;
  return CUDA_SUCCESS;
}

// --- What is known of an address

// Who has it as memory of the program, or of a device.
Request& ask_holder(Request& request, CUdeviceptr address) {
  HostRange range;
  if (has_several_servers()) {
    if (const Session* holder = find_host_range(address, 1, &range)) request.to(holder->server());
  }
  return request.address(address);
}

void globalise(const Request& request, void* ordinal) {
  int device = 0;
  memcpy(&device, ordinal, sizeof device);
  device = global_device(request.server(), device);
  memcpy(ordinal, &device, sizeof device);
}

CUresult pointer_get_attributes(unsigned int count, CUpointer_attribute* attributes, void** data,
                                CUdeviceptr address) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (count == 0 || attributes == nullptr || data == nullptr) return CUDA_ERROR_INVALID_VALUE;
  for (unsigned i = 0; i < count; ++i) {
    if (data[i] == nullptr) return CUDA_ERROR_INVALID_VALUE;
  }
  Request request(Op::cuPointerGetAttributes, false);
  const CUresult result = ask_holder(request.array(attributes, count), address).run();
  if (result != CUDA_SUCCESS) return result;
  for (unsigned i = 0; i < count; ++i) {
    uint64_t bytes = 0;
    const auto* value = request.next_array<std::byte>(&bytes);
    if (bytes == pointer_attribute_bytes(attributes[i])) memcpy(data[i], value, bytes);
    if (attributes[i] == CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL) globalise(request, data[i]);
  }
  return result;
}

CUresult pointer_get_attribute(void* data, CUpointer_attribute attribute, CUdeviceptr address) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (data == nullptr) return CUDA_ERROR_INVALID_VALUE;
  Request request(Op::cuPointerGetAttribute, false);
  const CUresult result = ask_holder(request.value(attribute), address).run();
  uint64_t bytes = 0;
  const auto* value = request.next_array<std::byte>(&bytes);
  if (result == CUDA_SUCCESS && bytes == pointer_attribute_bytes(attribute)) memcpy(data, value, bytes);
  if (result == CUDA_SUCCESS && attribute == CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL) globalise(request, data);
  return result;
}

CUresult range_get_attributes(void** data, size_t* sizes, CUmem_range_attribute* attributes, size_t count,
                              CUdeviceptr address, size_t bytes) {
  if (data == nullptr || sizes == nullptr || attributes == nullptr || count == 0)
    return CUDA_ERROR_INVALID_VALUE;
  for (size_t i = 0; i < count; ++i) {
    const CUresult result =
        rpc::cuMemRangeGetAttribute(false, data[i], sizes[i], attributes[i], address, bytes);
    if (result != CUDA_SUCCESS) return result;
  }
  return CUDA_SUCCESS;
}

// The forms of CUDA 2.
CUresult host_get_device_pointer_v1(CUdeviceptr_v1* device, void* address, unsigned int flags) {
  CUdeviceptr found = 0;
  const CUresult result = host_get_device_pointer(&found, address, flags);
  if (result == CUDA_SUCCESS && device != nullptr) *device = static_cast<CUdeviceptr_v1>(found);
  return result;
}
CUresult mem_alloc_host_v1(void** address, unsigned int bytes) { return host_alloc(address, bytes, 0); }

}  // namespace

Session* find_host_range(uint64_t address, uint64_t bytes, HostRange* range) {
  Session* current = session();
  if (current != nullptr && current->host().find(address, bytes, range)) return current;
  for (unsigned server = 0; has_several_servers() && server < server_count(); ++server) {
    Session* other = session_of(server);
    if (other != nullptr && other->host().find(address, bytes, range)) return other;
  }
  return nullptr;
}

void share_named_memory(Session& session, ByteSpan parameters) {
  for (unsigned server = 0; server < server_count(); ++server) {
    Session* other = session_of(server);
    if (other == nullptr || other == &session) continue;
    for (HostRange range : other->host().pinned_in(parameters)) {
      HostRange known;
      if (session.host().find(range.address, range.bytes, &known)) continue;
      const CUresult result = tell_server(&session, range, CU_MEMHOSTREGISTER_PORTABLE);
      if (result != CUDA_SUCCESS)
        LOG_WARN("remote", "pinned memory is not to be had there: error %d", result);
    }
  }
}

void install_memory_calls(cuda::DriverTable& table) {
  table.cuMemAlloc_v2 = mem_alloc;
  table.cuMemAllocPitch_v2 = mem_alloc_pitch;
  table.cuMemFree_v2 = mem_free;
  table.cuMemAllocAsync = mem_alloc_async<false>;
  table.cuMemAllocAsync_ptsz = mem_alloc_async<true>;
  table.cuMemAllocFromPoolAsync = mem_alloc_from_pool_async<false>;
  table.cuMemAllocFromPoolAsync_ptsz = mem_alloc_from_pool_async<true>;
  table.cuMemFreeAsync = mem_free_async<false>;
  table.cuMemFreeAsync_ptsz = mem_free_async<true>;
  table.cuMemMap = mem_map;
  table.cuMemUnmap = mem_unmap;
  table.cuMemHostAlloc = host_alloc;
  table.cuMemAllocHost_v2 = mem_alloc_host;
  table.cuMemAllocHost = mem_alloc_host_v1;
  table.cuMemHostGetDevicePointer = host_get_device_pointer_v1;
  table.cuMemHostRegister = host_register;
  table.cuMemFreeHost = mem_free_host;
  table.cuMemHostRegister_v2 = host_register;
  table.cuMemHostUnregister = host_unregister;
  table.cuMemHostGetDevicePointer_v2 = host_get_device_pointer;
  table.cuMemHostGetFlags = host_get_flags;
  table.cuMemAllocManaged = alloc_managed;
  table.cuPointerGetAttribute = pointer_get_attribute;
  table.cuPointerGetAttributes = pointer_get_attributes;
  table.cuMemRangeGetAttributes = range_get_attributes;
}

}  // namespace tessera::remote

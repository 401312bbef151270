// Allocating, registering and freeing memory of every kind: the allocation table, the devices' address maps
// and the memory itself, kept in step.
#pragma once

#include <cstdint>

#include "cuda/abi.h"
#include "softgpu/memory/allocation_table.h"

namespace tessera::softgpu {

class Context;

// Device or managed memory. Zero bytes: CUDA_ERROR_INVALID_VALUE.
CUresult allocate_device(Context& context, uint64_t size, MemoryKind kind, unsigned flags, uint64_t alignment,
                         MemoryOwner owner, uint64_t* address);
// Waits until nothing runs that could use it. CUDA_ERROR_INVALID_VALUE where no such allocation begins there.
CUresult free_device(uint64_t address, MemoryOwner owner);
// Frees at once, for memory that nothing can be using any more.
void release_device(uint64_t address, MemoryOwner owner);
void release_imported(uint64_t address);

CUresult allocate_pinned(Context& context, uint64_t size, unsigned flags, void** pointer);
CUresult free_pinned(void* pointer);
CUresult register_host(Context& context, void* pointer, uint64_t size, unsigned flags);
CUresult unregister_host(void* pointer);

// Whether an address is one where only device memory can be, allocated, mapped or not.
bool in_device_addresses(uint64_t address);
// Everything a context owns; it is idle.
void free_context_memory(Context& context);

}  // namespace tessera::softgpu

#include "softgpu/driver/export_tables.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "common/clock.h"
#include "common/log.h"
#include "cuda/device_scheduling_table.h"
#include "cuda/device_use_table.h"
#include "cuda/managed_memory_table.h"
#include "softgpu/device/config.h"
#include "softgpu/device/pci.h"
#include "softgpu/device/version.h"
#include "softgpu/driver/compute_engine.h"
#include "softgpu/driver/context_storage.h"
#include "softgpu/driver/cudart_handshake.h"
#include "softgpu/driver/device.h"
#include "softgpu/driver/entry.h"
#include "softgpu/driver/handle_registry.h"
#include "softgpu/driver/managed_memory.h"
#include "softgpu/memory/allocation_table.h"

namespace tessera::softgpu {
namespace {

using Slot = const void*;

template <typename Function>
Slot slot(Function* function) {
  return reinterpret_cast<Slot>(function);
}

// The first slot of most tables is their size in bytes.
template <size_t kSlots>
Slot size_of(const Slot (&)[kSlots]) {
  return reinterpret_cast<Slot>(kSlots * sizeof(Slot));
}

// Stands in every slot that no library is known to call, so that one that does is told so instead of
// crashing.
CUresult unknown_slot() {
  LOG_WARN("driver", "a library called a function of an export table that the software GPU does not offer");
  return CUDA_ERROR_NOT_SUPPORTED;
}

CUresult success() { return CUDA_SUCCESS; }

// --- Runtime interface: 6bd5fb6c-5bf4-e74a-8987-d93912fd9df9

// The primary context, neither retained nor made current.
CUresult primary_context(CUcontext* context, CUdevice ordinal) {
  return guarded([&]() -> CUresult {
    Device* device = nullptr;
    SOFTGPU_RETURN_IF_ERROR(find_device(ordinal, &device));
    if (context == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *context = device->primary()->handle();
    return CUDA_SUCCESS;
  });
}

// --- Tool hooks: a094798c-2e74-2e74-93f2-0800200c0a66. Counters of hooks: while one is zero, nobody is
// called.

uint32_t call_hooks[1024];  // at least 523
uint32_t other_hooks[14];

void call_hook_counters(uint32_t** counters, size_t* count) {
  *counters = call_hooks;
  *count = std::size(call_hooks);
}

void other_hook_counters(uint32_t** counters, size_t* count) {
  *counters = other_hooks;
  *count = std::size(other_hooks);
}

// --- Context storage: c693336e-1121-df11-a8c3-68f355d89593

// Works in contexts that have failed, too: their values still have to be found to be released.
template <typename Body>
CUresult with_storage_context(CUcontext handle, Body&& body) {
  return guarded([&]() -> CUresult {
    SOFTGPU_RETURN_IF_ERROR(require_initialised());
    std::shared_ptr<Context> context = handle == nullptr ? current_context() : live<Context>().find(handle);
    return context ? body(*context) : CUDA_ERROR_INVALID_CONTEXT;
  });
}

CUresult storage_put(CUcontext context, void* key, void* value, StorageDestructor destructor) {
  return with_storage_context(
      context, [&](Context& found) { return put_context_value(found, key, value, destructor); });
}

CUresult storage_remove(CUcontext context, void* key) {
  return with_storage_context(context, [&](Context& found) { return remove_context_value(found, key); });
}

CUresult storage_get(void** value, CUcontext context, void* key) {
  return with_storage_context(context, [&](Context& found) {
    return value == nullptr ? CUDA_ERROR_INVALID_VALUE : get_context_value(found, key, value);
  });
}

// --- Checks of a context: 263e8860-7cd2-6143-92f6-bbd5006dfa7e

CUresult check_context(CUcontext, uint32_t* flags, const void**) {
  if (flags != nullptr) *flags = 0;
  return CUDA_SUCCESS;
}

// --- Handshake: d4082055-bde6-704b-8d34-ba123c66e1f2

#ifdef TESSERA_CUDART_HANDSHAKE
CUresult handshake(uint32_t version, uint64_t seconds, uint64_t* answer);
#endif

struct Tables {
  Slot runtime[10];
  Slot hooks[7];
  Slot thread_storage[4];
  Slot context_storage[4];
  Slot checks[4];
#ifdef TESSERA_CUDART_HANDSHAKE
  Slot handshake[3];
#endif

  Tables() {
    for (Slot* entry = runtime; entry != runtime + sizeof *this / sizeof(Slot); ++entry)
      *entry = slot(unknown_slot);
    runtime[0] = size_of(runtime);
    runtime[2] = slot(primary_context);
    hooks[0] = size_of(hooks);
    hooks[2] = slot(call_hook_counters);
    hooks[6] = slot(other_hook_counters);
    thread_storage[0] = size_of(thread_storage);
    thread_storage[2] = slot(success);
    context_storage[0] = slot(storage_put);
    context_storage[1] = slot(storage_remove);
    context_storage[2] = slot(storage_get);
    checks[0] = size_of(checks);
    checks[2] = slot(check_context);
    checks[3] = slot(success);
#ifdef TESSERA_CUDART_HANDSHAKE
    handshake[0] = size_of(handshake);
    handshake[1] = slot(softgpu::handshake);
#endif
  }
};

// Never destroyed: the runtime's exit handlers use it.
const Tables& tables() {
  static const auto* made = new Tables();
  return *made;
}

#ifdef TESSERA_CUDART_HANDSHAKE
CUresult handshake(uint32_t version, uint64_t seconds, uint64_t* answer) {
  return guarded([&] {
    if (answer == nullptr) return CUDA_ERROR_INVALID_VALUE;
    std::vector<HandshakeDevice> known;
    for (const Device* device : devices()) {
      const PciAddress pci = pci_address(device->physical_index());
      known.push_back({device->uuid(), static_cast<int32_t>(pci.domain), static_cast<int32_t>(pci.bus),
                       static_cast<int32_t>(pci.device)});
    }
    const HandshakeInput input = {
        .driver_version = kDriverVersion,
        .question = version,
        .process = static_cast<uint32_t>(getpid()),
        .thread = static_cast<uint32_t>(pthread_self()),
        .runtime_table = tables().runtime,
        .handshake_table = tables().handshake,
        .function = tables().handshake[1],
        .seconds = seconds,
    };
    const auto result = cudart_handshake(input, known);
    memcpy(answer, result.data(), sizeof result);
    return CUDA_SUCCESS;
  });
}
#endif

template <typename Body>
CUresult with_device(CUdevice ordinal, Body&& body) {
  return guarded([&]() -> CUresult {
    Device* device = nullptr;
    SOFTGPU_RETURN_IF_ERROR(find_device(ordinal, &device));
    return body(*device);
  });
}

CUresult driver_took_bytes(CUdevice ordinal, uint64_t* taken, uint64_t* beside_contexts) {
  if (taken == nullptr || beside_contexts == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return with_device(ordinal, [&](Device& device) {
    const DriverTook took = AllocationTable::instance().driver_took(device.ordinal());
    *taken = took.bytes;
    *beside_contexts = took.beside_contexts_bytes;
    return CUDA_SUCCESS;
  });
}

CUresult device_work(CUdevice ordinal, cuda::DeviceWork* work) {
  if (work == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return with_device(ordinal, [&](Device& device) {
    ComputeEngine& engine = device.compute();
    WorkCount& count = engine.work();
    const SmDemand::Figures demand = count.demand().figures(monotonic_ns());
    *work = {engine.active_ns(), count.finished_count(), count.ready(),
             count.pending(),    demand.ready_ns,        demand.ready_sm_ns};
    return CUDA_SUCCESS;
  });
}

CUresult suspend(CUdevice ordinal, unsigned int timeout_ms) {
  return with_device(ordinal, [&](Device& device) {
    return device.compute().suspend(std::chrono::milliseconds(timeout_ms)) ? CUDA_SUCCESS
                                                                           : CUDA_ERROR_NOT_READY;
  });
}

CUresult watch(CUdevice ordinal, void (*drained)(void*), void* argument) {
  if (drained == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return with_device(ordinal, [&](Device& device) {
    device.compute().work().watch(drained, argument);
    return CUDA_SUCCESS;
  });
}

CUresult resume(CUdevice ordinal) {
  return with_device(ordinal, [&](Device& device) {
    device.compute().resume();
    return CUDA_SUCCESS;
  });
}

CUresult confine(CUdevice ordinal, const uint64_t* sms, size_t words) {
  if (sms == nullptr) return CUDA_ERROR_INVALID_VALUE;
  IndexSet::Words known{};
  std::copy_n(sms, std::min(words, known.size()), known.begin());
  return with_device(ordinal, [&](Device& device) {
    const IndexSet all = IndexSet::below(static_cast<uint32_t>(device.file().sm_count()));
    const IndexSet wanted = IndexSet::of_words(known) & all;
    if (wanted.empty()) return CUDA_ERROR_INVALID_VALUE;
    device.compute().confine(wanted);
    return CUDA_SUCCESS;
  });
}

CUresult managed_figures(CUdevice ordinal, cuda::ManagedMemoryFigures* figures) {
  if (figures == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return with_device(ordinal, [&](Device& device) {
    const PageFigures now = ManagedMemory::instance().figures(device);
    *figures = {now.resident_bytes, now.faults, now.remote_faults, now.brought_bytes, now.evicted_bytes};
    return CUDA_SUCCESS;
  });
}

CUresult limit_managed(CUdevice ordinal, uint64_t bytes) {
  return with_device(ordinal, [&](Device& device) {
    ManagedMemory::instance().set_limit(device, bytes);
    return CUDA_SUCCESS;
  });
}

constexpr cuda::ManagedMemoryTable kManagedMemory = {sizeof(cuda::ManagedMemoryTable), managed_figures,
                                                     limit_managed};

constexpr cuda::DeviceUseTable kDeviceUse = {sizeof(cuda::DeviceUseTable), driver_took_bytes};
constexpr cuda::DeviceSchedulingTable kDeviceScheduling = {
    sizeof(cuda::DeviceSchedulingTable), device_work, suspend, resume, watch, confine};

bool same(const CUuuid& a, const CUuuid& b) { return memcmp(a.bytes, b.bytes, sizeof a.bytes) == 0; }

struct Offer {
  uint8_t id[16];
  const Slot* (*table)();
};

constexpr Offer kOffers[] = {
    {{0xc6, 0x93, 0x33, 0x6e, 0x11, 0x21, 0xdf, 0x11, 0xa8, 0xc3, 0x68, 0xf3, 0x55, 0xd8, 0x95, 0x93},
     [] { return +tables().context_storage; }},
    {{0x6b, 0xd5, 0xfb, 0x6c, 0x5b, 0xf4, 0xe7, 0x4a, 0x89, 0x87, 0xd9, 0x39, 0x12, 0xfd, 0x9d, 0xf9},
     [] { return +tables().runtime; }},
    {{0xa0, 0x94, 0x79, 0x8c, 0x2e, 0x74, 0x2e, 0x74, 0x93, 0xf2, 0x08, 0x00, 0x20, 0x0c, 0x0a, 0x66},
     [] { return +tables().hooks; }},
    {{0x42, 0xd8, 0x5a, 0x81, 0x23, 0xf6, 0xcb, 0x47, 0x82, 0x98, 0xf6, 0xe7, 0x8a, 0x3a, 0xec, 0xdc},
     [] { return +tables().thread_storage; }},
    {{0x26, 0x3e, 0x88, 0x60, 0x7c, 0xd2, 0x61, 0x43, 0x92, 0xf6, 0xbb, 0xd5, 0x00, 0x6d, 0xfa, 0x7e},
     [] { return +tables().checks; }},
#ifdef TESSERA_CUDART_HANDSHAKE
    {{0xd4, 0x08, 0x20, 0x55, 0xbd, 0xe6, 0x70, 0x4b, 0x8d, 0x34, 0xba, 0x12, 0x3c, 0x66, 0xe1, 0xf2},
     [] { return +tables().handshake; }},
#endif
};

// Tables are asked for before the driver starts, which is where a wrong setting is reported.
bool has_own_tables() {
  static const bool has = [] {
    auto config = load_config();
    return !config.ok() || config->own_tables;
  }();
  return has;
}

}  // namespace

const void* export_table(const CUuuid& id) {
  if (has_own_tables()) {
    if (same(id, cuda::kDeviceUseTable)) return &kDeviceUse;
    if (same(id, cuda::kManagedMemoryTable)) return &kManagedMemory;
    if (same(id, cuda::kDeviceSchedulingTable)) return &kDeviceScheduling;
  }
  for (const Offer& offer : kOffers) {
    if (memcmp(offer.id, id.bytes, sizeof offer.id) == 0) return offer.table();
  }
  return nullptr;
}

}  // namespace tessera::softgpu

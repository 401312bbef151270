#include "softgpu/driver/export_tables.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "common/clock.h"
#include "cuda/device_scheduling_table.h"
#include "cuda/device_use_table.h"
#include "cuda/managed_memory_table.h"
#include "cuda/runtime_tables.h"
#include "softgpu/device/config.h"
#include "softgpu/device/pci.h"
#include "softgpu/device/version.h"
#include "softgpu/driver/compute_engine.h"
#include "softgpu/driver/context_storage.h"
#include "softgpu/driver/device.h"
#include "softgpu/driver/entry.h"
#include "softgpu/driver/handle_registry.h"
#include "softgpu/driver/managed_memory.h"
#include "softgpu/memory/allocation_table.h"

namespace tessera::softgpu {
namespace {

CUresult primary_context(CUcontext* context, CUdevice ordinal) {
  return guarded([&]() -> CUresult {
    Device* device = nullptr;
    SOFTGPU_RETURN_IF_ERROR(find_device(ordinal, &device));
    if (context == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *context = device->primary()->handle();
    return CUDA_SUCCESS;
  });
}

// Works in contexts that have failed, too: their values still have to be found to be released.
template <typename Body>
CUresult with_storage_context(CUcontext handle, Body&& body) {
  return guarded([&]() -> CUresult {
    SOFTGPU_RETURN_IF_ERROR(require_initialised());
    std::shared_ptr<Context> context = handle == nullptr ? current_context() : live<Context>().find(handle);
    return context ? body(*context) : CUDA_ERROR_INVALID_CONTEXT;
  });
}

CUresult storage_put(CUcontext context, void* key, void* value, cuda::StorageDestructor destructor) {
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

int driver_version() { return kDriverVersion; }

std::vector<cuda::HandshakeDevice> handshake_devices() {
  std::vector<cuda::HandshakeDevice> known;
  for (const Device* device : devices()) {
    const PciAddress pci = pci_address(device->physical_index());
    known.push_back({device->uuid(), static_cast<int32_t>(pci.domain), static_cast<int32_t>(pci.bus),
                     static_cast<int32_t>(pci.device)});
  }
  return known;
}

constexpr cuda::RuntimeHooks kRuntimeHooks = {primary_context, storage_put,    storage_remove,
                                              storage_get,     driver_version, handshake_devices};

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

CUresult run_times(CUdevice ordinal, cuda::DeviceRunTimes* times) {
  if (times == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return with_device(ordinal, [&](Device& device) {
    *times = device.compute().work().run_times().read();
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
    sizeof(cuda::DeviceSchedulingTable), device_work, suspend, resume, watch, confine, run_times};

bool same(const CUuuid& a, const CUuuid& b) { return memcmp(a.bytes, b.bytes, sizeof a.bytes) == 0; }

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
  return cuda::runtime_table(id, kRuntimeHooks);
}

}  // namespace tessera::softgpu

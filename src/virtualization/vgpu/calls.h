// What the replaced entries share. Each *_calls.cc replaces one family of the driver's functions.
#pragma once

#include <optional>

#include "virtualization/vgpu/vgpu.h"

namespace tessera::vgpu {

void install_memory_calls(cuda::DriverTable& upper, const cuda::DriverTable& lower);
void install_managed_calls(cuda::DriverTable& upper, const cuda::DriverTable& lower);
void install_pool_calls(cuda::DriverTable& upper, const cuda::DriverTable& lower);
void install_physical_calls(cuda::DriverTable& upper, const cuda::DriverTable& lower);
void install_ipc_calls(cuda::DriverTable& upper, const cuda::DriverTable& lower);
void install_array_calls(cuda::DriverTable& upper, const cuda::DriverTable& lower);
void install_code_calls(cuda::DriverTable& upper, const cuda::DriverTable& lower);
void install_context_calls(cuda::DriverTable& upper, const cuda::DriverTable& lower);
void install_info_calls(cuda::DriverTable& upper, const cuda::DriverTable& lower);
void install_graph_calls(cuda::DriverTable& upper, const cuda::DriverTable& lower);
void install_graph_copy_calls(cuda::DriverTable& upper, const cuda::DriverTable& lower);
void install_stream_calls(cuda::DriverTable& upper, const cuda::DriverTable& lower);
void install_copy_calls(cuda::DriverTable& upper, const cuda::DriverTable& lower);
void install_counted_calls(cuda::DriverTable& upper, const cuda::DriverTable& lower);
void install_fault_calls(cuda::DriverTable& upper, const cuda::DriverTable& lower);
void install_lookup_calls(cuda::DriverTable& upper, const cuda::DriverTable& lower);
void install_address_calls(cuda::DriverTable& upper, const cuda::DriverTable& lower);
// After all others: it puts something around what is there.
void install_touching_calls(cuda::DriverTable& upper);
// Likewise.
void install_hidden_calls(cuda::DriverTable& upper);

// The process's vGPU, for functions whose signature has no room for it. Set by install().
extern Vgpu* active_vgpu;

inline const cuda::DriverTable& lower() { return active_vgpu->lower(); }

// A handle that means the same stream whichever entry it is given to: the null stream is the legacy one, or
// the thread's own where the program was built for that.
inline CUstream shared_handle(CUstream stream, bool per_thread) {
  if (stream != nullptr) return stream;
  return per_thread ? CU_STREAM_PER_THREAD : CU_STREAM_LEGACY;
}

// Counts what failed, and keeps the first error that ends the use of CUDA in the process, for the daemon to
// see.
void note_fault(CUresult result);
bool is_fault(CUresult result);

// Adds a node of a graph to `copies`, if it is one; see visit_nodes().
void add_copy(CUgraphNode node, CUgraphNodeType type, CUgraphNode top, std::vector<GraphCopy>& copies);
// What executable graphs copy: from when they are made until they end, and with each launch.
void note_graph_copies(Tenant& tenant, CUgraphExec exec, std::vector<GraphCopy> copies);
void forget_graph_copies(CUgraphExec exec);
void count_graph_copies(CUgraphExec exec);

// Puts `function` in the place of an entry; a driver that lacks the entry goes on lacking it.
template <auto Entry, auto Function>
void replace(cuda::DriverTable& upper, const cuda::DriverTable& below) {
  if (below.*Entry != nullptr) upper.*Entry = Function;
}

// What is charged for an allocation of `bytes`: the driver's smallest unit for linear memory is 512 bytes.
// What it takes beyond that (blocks of 2 MiB that it fills itself, contexts, code) is not this allocation's.
uint64_t charged_bytes(uint64_t bytes);

// Charges; CUDA_ERROR_OUT_OF_MEMORY, and tell_refusal(), where that fails for whatever reason. Managed memory
// of the process gives way.
CUresult charge(Tenant& tenant, uint32_t device, uint64_t bytes);
// The same of memory that can leave the device: only the slice's limit.
CUresult charge_limit(Tenant& tenant, uint32_t device, uint64_t bytes);
// The same where a failure is not the program's to hear of: there is more to try.
Status try_charge(Tenant& tenant, uint32_t device, uint64_t bytes);
// The same of what does not make managed memory give way.
Status try_charge_alone(Tenant& tenant, uint32_t device, uint64_t bytes);
// The program gets no memory: tells its user why, who looks for that. Programs that ask again and again do
// not fill the log. CUDA_ERROR_OUT_OF_MEMORY.
CUresult tell_refusal(const Status& why);
// Memory of Residency, for use in the order of `stream` or by anybody.
CUresult alloc_movable(Tenant& tenant, uint32_t device, std::optional<memory::StreamId> stream,
                       CUdeviceptr* dptr, size_t bytesize);
// Ends memory of Residency whose charge was taken from the registry.
CUresult free_movable(Tenant& tenant, ChargeKey key, const Charge& charge);

// Before `function` is launched or added to a graph: loads it, and charges what that takes.
CUresult charge_function(CUfunction function);

// Records a live allocation that is charged already.
void record(Tenant& tenant, ChargeKey key, Charge charge);
inline void record(Tenant& tenant, ChargeKey key, uint32_t device, uint64_t bytes) {
  record(tenant, key, Charge{.bytes = bytes, .device = device});
}
void credit(Tenant& tenant, const Charge& charge);
// Of managed memory: what the process's other managed memory cannot use goes back.
void managed_freed(Tenant& tenant, const Charge& charge);
// Some of it leaves the device for other memory of the process; false where none does.
bool give_up_managed(Tenant& tenant, uint32_t device, uint64_t bytes);

// Runs an allocation under a charge. `allocate(key)` calls the driver and says where the memory is.
template <typename Allocate>
CUresult allocate_charged(Tenant& tenant, uint32_t device, uint64_t bytes, Allocate allocate) {
  CUresult result = charge(tenant, device, bytes);
  if (result != CUDA_SUCCESS) return result;
  ChargeKey key{};
  result = allocate(key);
  if (result == CUDA_SUCCESS) {
    record(tenant, key, device, bytes);
  } else {
    tenant.account->credit(device, bytes);
  }
  return result;
}

// As above on the calling thread's device.
template <typename Allocate>
CUresult allocate_here(uint64_t bytes, Allocate allocate) {
  Tenant* tenant = active_vgpu->tenant();
  if (tenant == nullptr) return CUDA_ERROR_NOT_INITIALIZED;
  uint32_t device;
  CUresult result = active_vgpu->current_device(*tenant, device);
  if (result != CUDA_SUCCESS) return result;
  return allocate_charged(*tenant, device, bytes, allocate);
}

// Runs a free; the charge goes back once, with the driver's success. Frees of what was never charged, and
// second frees, are the driver's to judge.
template <typename Free>
CUresult free_charged(ChargeKey key, Free free) {
  Tenant* tenant = active_vgpu->tenant();
  std::optional<Charge> charge = tenant != nullptr ? tenant->charges.take(key) : std::nullopt;
  CUresult result = charge && charge->is_movable ? free_movable(*tenant, key, *charge) : free();
  if (charge && charge->is_movable && result == CUDA_SUCCESS) return result;
  if (!charge) return result;
  if (result == CUDA_SUCCESS) {
    credit(*tenant, *charge);
  } else if (auto displaced = tenant->charges.insert(key, *charge)) {
    credit(*tenant, *displaced);
  }
  return result;
}

}  // namespace tessera::vgpu

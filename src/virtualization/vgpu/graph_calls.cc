// Graphs: launches are counted, with what they copy, and memory is charged as the driver reserves it, which
// is with launches and uploads.
#include <algorithm>

#include "common/log.h"
#include "virtualization/vgpu/gated_copies.h"
#include "virtualization/vgpu/graph_walk.h"
#include "virtualization/vgpu/overhead.h"

namespace tessera::vgpu {
namespace {

using cuda::DriverTable;
using Bytes = GraphLedger::Bytes;

// What the allocation nodes of a graph need: nodes with one address follow each other.
using Blocks = std::map<CUdeviceptr, std::pair<CUdevice, uint64_t>>;

void add_block(CUgraphNode node, CUgraphNodeType type, Blocks& blocks) {
  CUDA_MEM_ALLOC_NODE_PARAMS params;
  if (type != CU_GRAPH_NODE_TYPE_MEM_ALLOC || lower().cuGraphMemAllocNodeGetParams == nullptr ||
      lower().cuGraphMemAllocNodeGetParams(node, &params) != CUDA_SUCCESS ||
      params.poolProps.location.type != CU_MEM_LOCATION_TYPE_DEVICE)
    return;
  auto& [device, bytes] = blocks[params.dptr];
  device = params.poolProps.location.id;
  bytes = std::max(bytes, charged_bytes(params.bytesize));
}

struct Contents {
  Bytes needs;
  std::vector<GraphCopy> copies;
};

Contents contents_of(CUgraph graph) {
  Contents contents;
  Blocks blocks;
  visit_nodes(graph, [&](CUgraphNode node, CUgraphNodeType type, CUgraphNode top) {
    add_block(node, type, blocks);
    add_copy(node, type, top, contents.copies);
  });
  for (const auto& [address, block] : blocks) contents.needs[block.first] += block.second;
  return contents;
}

// Below, tenant.graph_mutex is held.

// Whose debts they are: an address that is no module's.
uintptr_t owner_of_debts(const Tenant& tenant, CUdevice ordinal) {
  return reinterpret_cast<uintptr_t>(&tenant.graphs) + static_cast<uintptr_t>(ordinal);
}

// Makes the charge what the driver says it has reserved. What exceeds the limit is the driver's already, and
// stays as a debt.
void settle(Tenant& tenant, CUdevice ordinal) {
  uint32_t device;
  cuuint64_t reserved = 0;
  if (active_vgpu->device_of(tenant, ordinal, device) != CUDA_SUCCESS ||
      lower().cuDeviceGetGraphMemAttribute(ordinal, CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT, &reserved) !=
          CUDA_SUCCESS) {
    return;
  }
  const uintptr_t owner = owner_of_debts(tenant, ordinal);
  uint64_t charged = tenant.graphs.charged(ordinal);
  for (const Charge& paid : tenant.overheads.owner_ended(owner)) charged += paid.bytes;
  if (reserved < charged) tenant.account->credit(device, charged - reserved);
  if (reserved > charged && !try_charge(tenant, device, reserved - charged).ok()) {
    LOG_INFO("vgpu", "graphs hold %llu bytes that are beyond the limit",
             static_cast<unsigned long long>(reserved - charged));
    tenant.overheads.add_debt(owner, {reserved - charged, device, nullptr});
    reserved = charged;
  }
  tenant.graphs.set_charged(ordinal, reserved);
}

template <typename Charge>
CUresult charge_all(Tenant& tenant, const Bytes& needs, Charge charge) {
  for (auto need = needs.begin(); need != needs.end(); ++need) {
    uint32_t device;
    CUresult result = active_vgpu->device_of(tenant, need->first, device);
    if (result == CUDA_SUCCESS) result = charge(tenant, device, need->second);
    if (result != CUDA_SUCCESS) {
      for (auto done = needs.begin(); done != need; ++done) settle(tenant, done->first);
      return result;
    }
    tenant.graphs.set_charged(need->first, tenant.graphs.charged(need->first) + need->second);
  }
  return CUDA_SUCCESS;
}

CUresult trim_device(Tenant& tenant, CUdevice ordinal) {
  CUresult result = lower().cuDeviceGraphMemTrim(ordinal);
  tenant.graphs.trimmed();
  settle(tenant, ordinal);
  return result;
}

// Runs a call that may reserve so much more, for a graph with memory on the devices of `all`. What the driver
// keeps for graphs that do not run may be in the way: it is given back before anything is refused.
template <typename Call>
CUresult reserving(Tenant& tenant, const Bytes& needs, const Bytes& all, Call call) {
  const auto quietly = [](Tenant& whose, uint32_t device, uint64_t bytes) {
    return try_charge(whose, device, bytes).ok() ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
  };
  CUresult result = charge_all(tenant, needs, quietly);
  if (result == CUDA_ERROR_OUT_OF_MEMORY) {
    for (const auto& [ordinal, bytes] : needs) trim_device(tenant, ordinal);
    result = charge_all(tenant, needs, charge);
  }
  if (result != CUDA_SUCCESS) return result;
  result = call();
  for (const auto& [ordinal, bytes] : all) settle(tenant, ordinal);
  return result;
}

// Also a launch that should reserve nothing is looked at: the driver may have trimmed by itself since the
// last.
template <typename Call>
CUresult run_graph(CUgraphExec exec, Call call) {
  Tenant* tenant = active_vgpu->tenant();
  if (tenant == nullptr || !tenant->graphs_with_memory.load(std::memory_order_acquire)) return call();
  std::unique_lock lock(tenant->graph_mutex);
  const Bytes all = tenant->graphs.all_needs(exec);
  if (all.empty()) {
    lock.unlock();
    return call();
  }
  const CUresult result = reserving(*tenant, tenant->graphs.needs(exec), all, call);
  if (result == CUDA_SUCCESS) tenant->graphs.launched(exec);
  return result;
}

// It waits for its turn before the lock is taken.
template <bool PerThread, auto Entry>
CUresult launch(CUgraphExec exec, CUstream stream) {
  const Vgpu::Touching touching(*active_vgpu);
  if (touching.refused != CUDA_SUCCESS) return touching.refused;
  const auto launching = active_vgpu->launching(shared_handle(stream, PerThread), exec);
  const CUresult result = run_graph(exec, [&] { return (lower().*Entry)(exec, stream); });
  const bool captured = is_captured<PerThread>(stream);
  launching.done(result, captured, &DeviceCounters::graph_launches);
  if (result == CUDA_SUCCESS && !captured) count_graph_copies(exec);
  note_fault(result);
  return result;
}

template <auto Entry>
CUresult upload(CUgraphExec exec, CUstream stream) {
  return run_graph(exec, [&] { return (lower().*Entry)(exec, stream); });
}

CUresult destroy(CUgraphExec exec) {
  forget_graph_copies(exec);
  Tenant* tenant = active_vgpu->tenant();
  if (tenant == nullptr || !tenant->graphs_with_memory.load(std::memory_order_acquire)) {
    return lower().cuGraphExecDestroy(exec);
  }
  // Under the lock: the driver may give the handle to the next one at once.
  std::lock_guard lock(tenant->graph_mutex);
  CUresult result = lower().cuGraphExecDestroy(exec);
  if (result == CUDA_SUCCESS) tenant->graphs.destroyed(exec);
  return result;
}

CUresult trim(CUdevice ordinal) {
  Tenant* tenant = active_vgpu->tenant();
  if (tenant == nullptr) return lower().cuDeviceGraphMemTrim(ordinal);
  std::lock_guard lock(tenant->graph_mutex);
  return trim_device(*tenant, ordinal);
}

// `uploads`: the call reserves what the graph needs.
template <typename Call>
CUresult instantiating(CUgraphExec* exec, CUgraph graph, bool uploads, Call call) {
  Tenant* tenant = active_vgpu->tenant();
  if (tenant == nullptr) return call();
  auto [needs, copies] = contents_of(graph);
  if (needs.empty()) {
    const CUresult result = call();
    if (result == CUDA_SUCCESS) note_graph_copies(*tenant, *exec, std::move(copies));
    return result;
  }
  std::lock_guard lock(tenant->graph_mutex);
  CUresult result = uploads ? reserving(*tenant, needs, needs, call) : call();
  if (result != CUDA_SUCCESS) return result;
  note_graph_copies(*tenant, *exec, std::move(copies));
  tenant->graphs.instantiated(*exec, std::move(needs));
  if (uploads) tenant->graphs.launched(*exec);
  tenant->graphs_with_memory.store(true, std::memory_order_release);
  return result;
}

template <auto Entry>
CUresult instantiate(CUgraphExec* exec, CUgraph graph, CUgraphNode* error, char* log, size_t log_bytes) {
  return instantiating(exec, graph, false,
                       [&] { return (lower().*Entry)(exec, graph, error, log, log_bytes); });
}

CUresult instantiate_with_flags(CUgraphExec* exec, CUgraph graph, unsigned long long flags) {
  return instantiating(exec, graph, false,
                       [&] { return lower().cuGraphInstantiateWithFlags(exec, graph, flags); });
}

template <auto Entry>
CUresult instantiate_with_params(CUgraphExec* exec, CUgraph graph, CUDA_GRAPH_INSTANTIATE_PARAMS* params) {
  bool uploads = params != nullptr && (params->flags & CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD) != 0;
  return instantiating(exec, graph, uploads, [&] { return (lower().*Entry)(exec, graph, params); });
}

// The value of a condition lies in device memory, in `context`'s (null: the current one's). A handle cannot
// be given back, so there must be room before there is one; what the driver keeps for further handles is
// charged once. Only a driver that says what it took is measured: programs make many handles, and by the
// device's free memory each would be charged for whatever other processes allocate at that moment.
CUresult create_condition(Tenant& tenant, CUgraphConditionalHandle* handle, CUgraph graph, CUcontext context,
                          unsigned int value, unsigned int flags) {
  CUdevice ordinal = -1;
  uint32_t device;
  CUresult result = lower().cuCtxGetDevice(&ordinal);
  if (result == CUDA_SUCCESS) result = active_vgpu->device_of(tenant, ordinal, device);
  if (result != CUDA_SUCCESS) return result;
  const uint64_t room = charged_bytes(sizeof value);
  result = charge(tenant, device, room);
  if (result != CUDA_SUCCESS) return result;
  Measurement measurement(tenant, ordinal, device);
  result = lower().cuGraphConditionalHandleCreate(handle, graph, context, value, flags);
  tenant.account->credit(device, room);
  return result == CUDA_SUCCESS ? measurement.charge_or_owe(0) : result;
}

CUresult conditional_handle_create(CUgraphConditionalHandle* handle, CUgraph graph, CUcontext context,
                                   unsigned int value, unsigned int flags) {
  Tenant* tenant = active_vgpu->tenant();
  const bool elsewhere = context != nullptr;
  if (tenant == nullptr || (elsewhere && lower().cuCtxPushCurrent_v2(context) != CUDA_SUCCESS)) {
    return lower().cuGraphConditionalHandleCreate(handle, graph, context, value, flags);
  }
  const CUresult result = create_condition(*tenant, handle, graph, context, value, flags);
  if (elsewhere) (void)lower().cuCtxPopCurrent_v2(&context);
  return result;
}

}  // namespace

void install_graph_calls(DriverTable& upper, const DriverTable& lower) {
  using T = DriverTable;
  replace<&T::cuGraphConditionalHandleCreate, &conditional_handle_create>(upper, lower);
  replace<&T::cuGraphLaunch, &launch<false, &T::cuGraphLaunch>>(upper, lower);
  replace<&T::cuGraphLaunch_ptsz, &launch<true, &T::cuGraphLaunch_ptsz>>(upper, lower);
  replace<&T::cuGraphUpload, &upload<&T::cuGraphUpload>>(upper, lower);
  replace<&T::cuGraphUpload_ptsz, &upload<&T::cuGraphUpload_ptsz>>(upper, lower);
  replace<&T::cuGraphExecDestroy, &destroy>(upper, lower);
  replace<&T::cuDeviceGraphMemTrim, &trim>(upper, lower);
  replace<&T::cuGraphInstantiate, &instantiate<&T::cuGraphInstantiate>>(upper, lower);
  replace<&T::cuGraphInstantiate_v2, &instantiate<&T::cuGraphInstantiate_v2>>(upper, lower);
  replace<&T::cuGraphInstantiateWithFlags, &instantiate_with_flags>(upper, lower);
  replace<&T::cuGraphInstantiateWithParams, &instantiate_with_params<&T::cuGraphInstantiateWithParams>>(
      upper, lower);
  replace<&T::cuGraphInstantiateWithParams_ptsz,
          &instantiate_with_params<&T::cuGraphInstantiateWithParams_ptsz>>(upper, lower);
}

}  // namespace tessera::vgpu

// Ends of contexts: the driver frees what was allocated in them.
#include "virtualization/vgpu/calls.h"
#include "virtualization/vgpu/overhead.h"

namespace tessera::vgpu {
namespace {

using cuda::DriverTable;

void credit_all(Tenant& tenant, const std::vector<std::pair<ChargeKey, Charge>>& charges) {
  for (const auto& [key, charge] : charges) {
    if (charge.is_movable) {
      (void)free_movable(tenant, key, charge);  // the driver knows nothing of it
    } else {
      credit(tenant, charge);
    }
  }
}

// Its work is waited for, and it serves for copies, where memory is moved off the device.
void context_began(Tenant& tenant, uint32_t index, CUcontext context) {
  if (tenant.residencies[index] != nullptr) tenant.residencies[index]->context_began(context);
}

// What the driver took for it beside allocations.
void context_ended(Tenant& tenant, CUcontext context) {
  tenant.code.forget_loads();
  overhead_context_ended(tenant, context);
}

// Before the driver ends it, or may: what is lost of a context that goes on is measurements in flight.
void context_ends(CUcontext context) {
  if (Tenant* tenant = active_vgpu->tenant()) {
    for (auto& residency : tenant->residencies) {
      if (residency != nullptr) residency->context_ended(context);
    }
  }
  active_vgpu->visit_meters([&](EventMeter& meter) { meter.context_ends(context); });
}

// The charges are taken first: once the driver has destroyed it, its handle may name another context.
template <auto Entry>
CUresult destroy(CUcontext context) {
  Tenant* tenant = active_vgpu->tenant();
  if (tenant == nullptr || context == nullptr) return (lower().*Entry)(context);
  auto charges = tenant->charges.take_context(context);
  context_ends(context);
  CUresult result = (lower().*Entry)(context);
  if (result == CUDA_SUCCESS) {
    credit_all(*tenant, charges);
    context_ended(*tenant, context);
    return result;
  }
  for (const auto& [key, charge] : charges) {
    if (auto displaced = tenant->charges.insert(key, charge)) credit(*tenant, *displaced);
  }
  return result;
}

// Ends the context with its last user, which only the driver knows.
CUresult detach(CUcontext context) {
  Tenant* tenant = active_vgpu->tenant();
  context_ends(context);
  CUresult result = lower().cuCtxDetach(context);
  unsigned int version;
  bool ended = tenant != nullptr && result == CUDA_SUCCESS && lower().cuCtxGetApiVersion != nullptr &&
               lower().cuCtxGetApiVersion(context, &version) != CUDA_SUCCESS;
  if (!ended) return result;
  credit_all(*tenant, tenant->charges.take_context(context));
  context_ended(*tenant, context);
  return result;
}

CUresult primary_retain(CUcontext* context, CUdevice device) {
  Tenant* tenant = active_vgpu->tenant();
  if (tenant == nullptr) return lower().cuDevicePrimaryCtxRetain(context, device);
  std::lock_guard lock(tenant->primary_mutex);
  uint32_t index;
  CUresult result = active_vgpu->device_of(*tenant, device, index);
  if (result != CUDA_SUCCESS || context == nullptr) return lower().cuDevicePrimaryCtxRetain(context, device);
  Measurement measurement(*tenant, device, index);
  result = lower().cuDevicePrimaryCtxRetain(context, device);
  if (result != CUDA_SUCCESS) return result;
  tenant->primary_contexts[device] = *context;
  context_began(*tenant, index, *context);
  result = measurement.charge(0, *context);
  if (result != CUDA_SUCCESS) lower().cuDevicePrimaryCtxRelease_v2(device);
  return result;
}

template <auto Entry>
struct Create;
template <typename... Args, CUresult (*DriverTable::*Entry)(CUcontext*, Args...)>
struct Create<Entry> {
  static CUresult call(CUcontext* context, Args... args) {
    Tenant* tenant = active_vgpu->tenant();
    CUdevice ordinal = -1;
    ((ordinal = device_argument(args, ordinal)), ...);  // the last of them
    uint32_t index;
    if (tenant == nullptr || context == nullptr ||
        active_vgpu->device_of(*tenant, ordinal, index) != CUDA_SUCCESS) {
      return (lower().*Entry)(context, args...);
    }
    Measurement measurement(*tenant, ordinal, index);
    CUresult result = (lower().*Entry)(context, args...);
    if (result != CUDA_SUCCESS) return result;
    result = measurement.charge(0, *context);
    if (result != CUDA_SUCCESS) {
      lower().cuCtxDestroy_v2(*context);
    } else {
      context_began(*tenant, index, *context);
    }
    return result;
  }
  static CUdevice device_argument(CUdevice device, CUdevice) { return device; }
  template <typename Other>
  static CUdevice device_argument(const Other&, CUdevice before) {
    return before;
  }
};

template <auto... Entries>
void measure_creation(DriverTable& upper, const DriverTable& below) {
  (replace<Entries, &Create<Entries>::call>(upper, below), ...);
}

bool is_active(CUdevice device) {
  unsigned int flags;
  int active = 0;
  return lower().cuDevicePrimaryCtxGetState(device, &flags, &active) == CUDA_SUCCESS && active != 0;
}

// Release ends the context with its last reference, reset always.
template <auto Entry>
CUresult primary_end(CUdevice device) {
  Tenant* tenant = active_vgpu->tenant();
  if (tenant == nullptr) return (lower().*Entry)(device);
  std::lock_guard lock(tenant->primary_mutex);
  auto context = tenant->primary_contexts.find(device);
  if (context != tenant->primary_contexts.end()) context_ends(context->second);
  CUresult result = (lower().*Entry)(device);
  if (result == CUDA_SUCCESS && context != tenant->primary_contexts.end() && !is_active(device)) {
    credit_all(*tenant, tenant->charges.take_context(context->second));
    context_ended(*tenant, context->second);
    tenant->primary_contexts.erase(context);
  }
  return result;
}

}  // namespace

void install_context_calls(DriverTable& upper, const DriverTable& lower) {
  replace<&DriverTable::cuCtxDestroy_v2, &destroy<&DriverTable::cuCtxDestroy_v2>>(upper, lower);
  replace<&DriverTable::cuCtxDestroy, &destroy<&DriverTable::cuCtxDestroy>>(upper, lower);
  replace<&DriverTable::cuCtxDetach, &detach>(upper, lower);
  measure_creation<&DriverTable::cuCtxCreate, &DriverTable::cuCtxCreate_v2, &DriverTable::cuCtxCreate_v3,
                   &DriverTable::cuCtxCreate_v4>(upper, lower);
  if (lower.cuDevicePrimaryCtxGetState == nullptr) return;
  replace<&DriverTable::cuDevicePrimaryCtxRetain, &primary_retain>(upper, lower);
  replace<&DriverTable::cuDevicePrimaryCtxRelease_v2,
          &primary_end<&DriverTable::cuDevicePrimaryCtxRelease_v2>>(upper, lower);
  replace<&DriverTable::cuDevicePrimaryCtxRelease, &primary_end<&DriverTable::cuDevicePrimaryCtxRelease>>(
      upper, lower);
  replace<&DriverTable::cuDevicePrimaryCtxReset_v2, &primary_end<&DriverTable::cuDevicePrimaryCtxReset_v2>>(
      upper, lower);
  replace<&DriverTable::cuDevicePrimaryCtxReset, &primary_end<&DriverTable::cuDevicePrimaryCtxReset>>(upper,
                                                                                                      lower);
}

}  // namespace tessera::vgpu

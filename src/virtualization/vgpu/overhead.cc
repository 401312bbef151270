#include "virtualization/vgpu/overhead.h"

#include <algorithm>

#include "cuda/device_use_table.h"
#include "virtualization/vgpu/calls.h"

namespace tessera::vgpu {
namespace {

const cuda::DeviceUseTable* device_use_table() {
  static const cuda::DeviceUseTable* const found = [] {
    const void* table = nullptr;
    if (lower().cuGetExportTable == nullptr ||
        lower().cuGetExportTable(&table, &cuda::kDeviceUseTable) != CUDA_SUCCESS || table == nullptr) {
      return static_cast<const cuda::DeviceUseTable*>(nullptr);
    }
    const auto* use = static_cast<const cuda::DeviceUseTable*>(table);
    return use->bytes >= sizeof(*use) ? use : nullptr;
  }();
  return found;
}

CUcontext current_context() {
  CUcontext context = nullptr;
  if (lower().cuCtxGetCurrent == nullptr || lower().cuCtxGetCurrent(&context) != CUDA_SUCCESS) return nullptr;
  return context;
}

}  // namespace

void OverheadLedger::add(uintptr_t owner, const Charge& charge) {
  std::lock_guard lock(mutex_);
  entries_.push_back({owner, charge, false});
}

void OverheadLedger::add_debt(uintptr_t owner, const Charge& charge) {
  std::lock_guard lock(mutex_);
  entries_.push_back({owner, charge, true});
  debts_.fetch_add(1, std::memory_order_relaxed);
}

uint64_t OverheadLedger::debt_bytes(uint32_t device) {
  std::lock_guard lock(mutex_);
  uint64_t sum = 0;
  for (const Entry& entry : entries_)
    sum += entry.debt && entry.charge.device == device ? entry.charge.bytes : 0;
  return sum;
}

bool OverheadLedger::settle(uint32_t device, const std::function<bool(uint64_t)>& pay) {
  std::lock_guard lock(mutex_);
  for (Entry& entry : entries_) {
    if (!entry.debt || entry.charge.device != device) continue;
    if (!pay(entry.charge.bytes)) return false;
    entry.debt = false;
    debts_.fetch_sub(1, std::memory_order_relaxed);
  }
  return true;
}

template <typename Ends>
std::vector<Charge> OverheadLedger::take(Ends ends) {
  std::lock_guard lock(mutex_);
  std::vector<Charge> taken;
  std::erase_if(entries_, [&](const Entry& entry) {
    if (!ends(entry)) return false;
    if (!entry.debt) taken.push_back(entry.charge);
    if (entry.debt) debts_.fetch_sub(1, std::memory_order_relaxed);
    return true;
  });
  return taken;
}

std::vector<Charge> OverheadLedger::owner_ended(uintptr_t owner) {
  return take([owner](const Entry& entry) { return owner != 0 && entry.owner == owner; });
}

std::vector<Charge> OverheadLedger::context_ended(CUcontext context) {
  return take([context](const Entry& entry) { return entry.charge.context == context; });
}

Measurement::Measurement(Tenant& tenant) : tenant_(tenant), alone_(tenant.overhead_mutex) {
  // Libraries place managed variables before there is a context: on the first device.
  if (lower().cuCtxGetDevice == nullptr || lower().cuCtxGetDevice(&ordinal_) != CUDA_SUCCESS) ordinal_ = 0;
  if (active_vgpu->device_of(tenant, ordinal_, device_) != CUDA_SUCCESS) return;
  known_ = read(&held_);
}

Measurement::Measurement(Tenant& tenant, CUdevice ordinal, uint32_t device)
    : tenant_(tenant), alone_(tenant.overhead_mutex), ordinal_(ordinal), device_(device) {
  known_ = device_use_table() != nullptr && read(&held_);
}

bool Measurement::read(Held* held) const {
  if (const cuda::DeviceUseTable* table = device_use_table()) {
    return table->driver_took_bytes(ordinal_, &held->all, &held->beside_contexts) == CUDA_SUCCESS;
  }
  size_t free = 0, total = 0;
  if (lower().cuMemGetInfo_v2 == nullptr || lower().cuMemGetInfo_v2(&free, &total) != CUDA_SUCCESS)
    return false;
  // What other threads charge meanwhile is not overhead. It may be below 0, and only differences count.
  held->all = total - std::min(free, total) - tenant_.account->own_used_bytes(device_);
  return true;
}

Measurement::Held Measurement::taken() const {
  Held held;
  if (!known_ || !read(&held)) return {};
  const auto grown = static_cast<int64_t>(held.all - held_.all);
  if (grown <= 0) return {};
  return {static_cast<uint64_t>(grown), held.beside_contexts - held_.beside_contexts};
}

// Enters the parts by what ends them.
template <typename Add>
void Measurement::record(const Held& taken, CUcontext context, Add add) const {
  if (taken.all > taken.beside_contexts) {
    add(Charge{taken.all - taken.beside_contexts, device_, context != nullptr ? context : current_context()});
  }
  if (taken.beside_contexts > 0) add(Charge{taken.beside_contexts, device_, nullptr});
}

CUresult Measurement::charge(uintptr_t owner, CUcontext context) {
  const Held held = taken();
  if (held.all == 0) return CUDA_SUCCESS;
  const CUresult result = vgpu::charge(tenant_, device_, held.all);
  if (result != CUDA_SUCCESS) return result;
  record(held, context, [&](const Charge& charge) { tenant_.overheads.add(owner, charge); });
  return CUDA_SUCCESS;
}

CUresult Measurement::charge_or_owe(uintptr_t owner) {
  const CUresult result = charge(owner);
  if (result != CUDA_SUCCESS) {
    record(taken(), nullptr, [&](const Charge& debt) { tenant_.overheads.add_debt(owner, debt); });
  }
  return result;
}

void overhead_owner_ended(Tenant& tenant, uintptr_t owner) {
  for (const Charge& ended : tenant.overheads.owner_ended(owner)) {
    tenant.account->credit(ended.device, ended.bytes);
  }
}

void overhead_context_ended(Tenant& tenant, CUcontext context) {
  for (const Charge& ended : tenant.overheads.context_ended(context)) {
    tenant.account->credit(ended.device, ended.bytes);
  }
}

}  // namespace tessera::vgpu

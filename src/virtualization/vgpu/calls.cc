#include "virtualization/vgpu/calls.h"

#include <pthread.h>

#include <cassert>
#include <limits>
#include <mutex>
#include <optional>

#include "common/clock.h"
#include "common/log.h"
#include "common/notice_pace.h"

namespace tessera::vgpu {

Vgpu* active_vgpu = nullptr;

uint64_t charged_bytes(uint64_t bytes) {
  constexpr uint64_t kUnit = 512;
  if (bytes > std::numeric_limits<uint64_t>::max() - kUnit) return bytes;
  return (bytes + kUnit - 1) / kUnit * kUnit;
}

namespace {

template <typename Charging>
Status charge_after_debts(Tenant& tenant, uint32_t device, Charging charging) {
  if (tenant.overheads.has_debts() && !tenant.overheads.settle(device, [&](uint64_t owed) {
        return tenant.account->charge(device, owed).ok();
      })) {
    return Status::error(Code::kResourceExhausted,
                         "nothing more is granted: the driver holds %llu bytes beyond the slice",
                         static_cast<unsigned long long>(tenant.overheads.debt_bytes(device)));
  }
  return charging();
}

// And once more if managed memory of the process has given way.
template <typename Charging>
Status charge_or_make_room(Tenant& tenant, uint32_t device, uint64_t bytes, Charging charging) {
  Status charged = charge_after_debts(tenant, device, charging);
  if (!charged.ok() && give_up_managed(tenant, device, bytes))
    charged = charge_after_debts(tenant, device, charging);
  return charged;
}

}  // namespace

CUresult tell_refusal(const Status& why) {
  static std::mutex mutex;
  static NoticePace pace;
  std::optional<uint64_t> others;
  {
    std::lock_guard lock(mutex);
    others = pace.came(monotonic_ns());
  }
  if (!others) {
    LOG_INFO("vgpu", "%s", why.message().c_str());
  } else if (*others == 0) {
    LOG_WARN("vgpu", "%s", why.message().c_str());
  } else {
    LOG_WARN("vgpu", "%s (as %llu times before, since this was written)", why.message().c_str(),
             static_cast<unsigned long long>(*others));
  }
  return CUDA_ERROR_OUT_OF_MEMORY;
}

Status try_charge_alone(Tenant& tenant, uint32_t device, uint64_t bytes) {
  return charge_after_debts(tenant, device, [&] { return tenant.account->charge(device, bytes); });
}

Status try_charge(Tenant& tenant, uint32_t device, uint64_t bytes) {
  return charge_or_make_room(tenant, device, bytes, [&] { return tenant.account->charge(device, bytes); });
}

CUresult charge(Tenant& tenant, uint32_t device, uint64_t bytes) {
  const Status charged = try_charge(tenant, device, bytes);
  return charged.ok() ? CUDA_SUCCESS : tell_refusal(charged);
}

CUresult charge_limit(Tenant& tenant, uint32_t device, uint64_t bytes) {
  const Status charged = charge_or_make_room(
      tenant, device, bytes, [&] { return tenant.account->charge(device, BudgetKind::kLimit, bytes); });
  return charged.ok() ? CUDA_SUCCESS : tell_refusal(charged);
}

void record(Tenant& tenant, ChargeKey key, Charge charge) {
  // Without a current context the allocation is the device's own and no context's end frees it.
  if (lower().cuCtxGetCurrent == nullptr || lower().cuCtxGetCurrent(&charge.context) != CUDA_SUCCESS) {
    charge.context = nullptr;
  }
  tenant.account->counters(charge.device).allocations.fetch_add(1, std::memory_order_relaxed);
  if (auto displaced = tenant.charges.insert(key, charge)) credit(tenant, *displaced);
}

void credit(Tenant& tenant, const Charge& charge) {
  if (charge.is_movable) {
    tenant.account->credit(charge.device, BudgetKind::kLimit, charge.bytes);
  } else if (charge.is_managed) {
    managed_freed(tenant, charge);
  } else {
    tenant.account->credit(charge.device, charge.bytes);
  }
  tenant.account->counters(charge.device).frees.fetch_add(1, std::memory_order_relaxed);
}

namespace {

CUresult init(unsigned int flags) { return active_vgpu->init(flags); }

}  // namespace

void install(cuda::DriverTable& upper, const cuda::DriverTable& lower, Vgpu& vgpu) {
  assert(active_vgpu == nullptr);
  active_vgpu = &vgpu;
  upper = lower;
  replace<&cuda::DriverTable::cuInit, &init>(upper, lower);
  install_memory_calls(upper, lower);
  install_managed_calls(upper, lower);
  install_pool_calls(upper, lower);
  install_physical_calls(upper, lower);
  install_ipc_calls(upper, lower);
  install_array_calls(upper, lower);
  install_code_calls(upper, lower);
  install_context_calls(upper, lower);
  install_info_calls(upper, lower);
  install_graph_calls(upper, lower);
  install_graph_copy_calls(upper, lower);
  install_stream_calls(upper, lower);
  install_copy_calls(upper, lower);
  install_counted_calls(upper, lower);
  install_fault_calls(upper, lower);
  install_lookup_calls(upper, lower);
  install_address_calls(upper, lower);
  install_touching_calls(upper);
  install_hidden_calls(upper);
  pthread_atfork(nullptr, nullptr, [] { active_vgpu->abandon_in_child(); });
}

}  // namespace tessera::vgpu

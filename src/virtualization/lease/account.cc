#include "virtualization/lease/account.h"

#include <algorithm>
#include <limits>

#include "common/size.h"

namespace tessera::vgpu {

Result<std::unique_ptr<Account>> Account::open(const std::string& socket_path, const SliceToken& token) {
  TESSERA_ASSIGN_OR_RETURN(auto client, LeaseClient::attach(socket_path, token));
  std::unique_ptr<Account> account(new Account(std::move(client)));
  Account* self = account.get();
  TESSERA_RETURN_IF_ERROR(
      self->client_->start([self](uint32_t device, uint64_t bytes) { return self->recall(device, bytes); }));
  return account;
}

Account::Account(std::unique_ptr<LeaseClient> client) : client_(std::move(client)) {
  for (uint32_t i = 0; i < device_count(); ++i) {
    devices_.push_back(std::make_unique<Device>(client_->slice().devices[i].chunk_bytes));
  }
}

// Called with the device's mutex held, so the figures never run backwards.
void Account::publish(uint32_t device, const Budget& budget) {
  DeviceCounters& counters = client_->counters(device);
  counters.used_bytes.store(budget.used(), std::memory_order_relaxed);
  if (budget.used() > counters.peak_bytes.load(std::memory_order_relaxed)) {
    counters.peak_bytes.store(budget.used(), std::memory_order_relaxed);
  }
}

Status Account::charge(uint32_t device, uint64_t bytes) {
  Device& on = *devices_[device];
  give_back_if_lowered(device);
  {
    std::lock_guard lock(on.mutex);
    if (on.budget.charge(bytes)) {
      publish(device, on.budget);
      return Status();
    }
  }
  Status charged = charge_slowly(device, bytes);
  if (!charged.ok()) counters(device).refusals.fetch_add(1, std::memory_order_relaxed);
  return charged;
}

Status Account::charge_slowly(uint32_t device, uint64_t bytes) {
  Device& on = *devices_[device];
  std::lock_guard asking(on.asking);
  Budget::Claim claim{};
  {
    std::lock_guard lock(on.mutex);
    if (on.budget.charge(bytes)) {
      publish(device, on.budget);
      return Status();
    }
    claim = on.budget.claim(bytes);
  }
  auto reply = client_->reserve(device, claim.needed, claim.wanted);
  std::lock_guard lock(on.mutex);
  if (!reply.ok() || reply->granted_bytes == 0) {
    on.budget.abandon(claim);
    if (!reply.ok()) {
      return Status(Code::kUnavailable,
                    format_size(bytes) + " of device memory refused: " + reply.status().message());
    }
    return Status(Code::kResourceExhausted,
                  format_size(bytes) + " of device memory refused: slice " + slice_name() + " uses " +
                      format_size(reply->slice_used_bytes) + " of " + format_size(reply->limit_bytes));
  }
  on.budget.settle(claim, reply->granted_bytes);
  publish(device, on.budget);
  return Status();
}

void Account::credit(uint32_t device, uint64_t bytes) {
  Device& on = *devices_[device];
  uint64_t surplus;
  {
    std::lock_guard lock(on.mutex);
    surplus = on.budget.credit(bytes);
    publish(device, on.budget);
  }
  if (surplus > 0) client_->release(device, surplus);
  give_back_if_lowered(device);
}

void Account::give_back_if_lowered(uint32_t device) {
  if (!client_->lowered(device)) return;
  uint64_t idle = recall(device, std::numeric_limits<uint64_t>::max());
  if (idle > 0) client_->release(device, idle);
}

uint64_t Account::recall(uint32_t device, uint64_t bytes) {
  Device& on = *devices_[device];
  std::lock_guard lock(on.mutex);
  return on.budget.recall(bytes);
}

uint64_t Account::own_used_bytes(uint32_t device) {
  std::lock_guard lock(devices_[device]->mutex);
  return devices_[device]->budget.used();
}

uint64_t Account::slice_used_bytes(uint32_t device) {
  auto usage = client_->query(device);
  if (usage.ok()) return usage->used_bytes;
  std::lock_guard lock(devices_[device]->mutex);
  return devices_[device]->budget.used();
}

}  // namespace tessera::vgpu

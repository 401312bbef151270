#include "virtualization/lease/account.h"

#include <algorithm>
#include <limits>

#include "common/failpoint.h"
#include "common/size.h"

namespace tessera::vgpu {

Result<std::unique_ptr<Account>> Account::open(const std::string& socket_path, const SliceToken& token) {
  TESSERA_ASSIGN_OR_RETURN(auto client, LeaseClient::attach(socket_path, token));
  std::unique_ptr<Account> account(new Account(std::move(client)));
  Account* self = account.get();
  LeaseClient::Handlers handlers;
  handlers.recall = [self](uint32_t device, uint64_t bytes) { return self->recall(device, bytes).bytes; };
  handlers.held = [self](uint32_t device, uint64_t epoch) { return self->held(device, epoch); };
  handlers.reattached = [self] { self->publish_all(); };
  TESSERA_RETURN_IF_ERROR(self->client_->start(std::move(handlers)));
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

bool Account::settle(Device& on, const Budget::Claim& claim, const LeaseClient::Grant& grant,
                     uint32_t device) {
  std::lock_guard lock(on.mutex);
  if (grant.epoch != on.epoch) {
    on.budget.abandon(claim);
    return false;
  }
  on.budget.settle(claim, grant.reply.granted_bytes);
  publish(device, on.budget);
  return true;
}

Status Account::charge_slowly(uint32_t device, uint64_t bytes) {
  Device& on = *devices_[device];
  std::lock_guard asking(on.asking);
  for (;;) {
    Budget::Claim claim{};
    {
      std::lock_guard lock(on.mutex);
      if (on.budget.charge(bytes)) {
        publish(device, on.budget);
        return Status();
      }
      claim = on.budget.claim(bytes);
    }
    auto grant = client_->reserve(device, claim.needed, claim.wanted);
    if (grant.ok() && grant->reply.granted_bytes > 0) {
      failpoint("client.reserve.answered");
      if (settle(on, claim, *grant, device)) return Status();
      continue;
    }
    {
      std::lock_guard lock(on.mutex);
      on.budget.abandon(claim);
    }
    std::string refused = format_size(bytes) + " of device memory refused: ";
    if (!grant.ok()) return Status(Code::kUnavailable, refused + grant.status().message());
    refused += std::string("slice ") + slice_name();
    if (grant->reply.awaited > 0) {
      return Status(Code::kUnavailable, refused + " waits, since tesserad was restarted, for " +
                                            std::to_string(grant->reply.awaited) +
                                            " of its processes to attach again or to end");
    }
    return Status(Code::kResourceExhausted, refused + " uses " + format_size(grant->reply.slice_used_bytes) +
                                                " of " + format_size(grant->reply.limit_bytes));
  }
}

void Account::credit(uint32_t device, uint64_t bytes) {
  Device& on = *devices_[device];
  uint64_t surplus;
  uint64_t epoch;
  {
    std::lock_guard lock(on.mutex);
    surplus = on.budget.credit(bytes);
    epoch = on.epoch;
    publish(device, on.budget);
  }
  if (surplus > 0) client_->release(device, surplus, epoch);
  give_back_if_lowered(device);
}

void Account::give_back_if_lowered(uint32_t device) {
  if (!client_->lowered(device)) return;
  Recalled idle = recall(device, std::numeric_limits<uint64_t>::max());
  if (idle.bytes > 0) client_->release(device, idle.bytes, idle.epoch);
}

Account::Recalled Account::recall(uint32_t device, uint64_t bytes) {
  Device& on = *devices_[device];
  std::lock_guard lock(on.mutex);
  return {on.budget.recall(bytes), on.epoch};
}

uint64_t Account::held(uint32_t device, uint64_t epoch) {
  Device& on = *devices_[device];
  std::lock_guard lock(on.mutex);
  on.epoch = epoch;
  return on.budget.granted();
}

void Account::publish_all() {
  for (uint32_t device = 0; device < devices_.size(); ++device) {
    std::lock_guard lock(devices_[device]->mutex);
    publish(device, devices_[device]->budget);
  }
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

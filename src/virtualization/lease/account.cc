#include "virtualization/lease/account.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "common/failpoint.h"
#include "common/size.h"

namespace tessera::vgpu {
namespace {

Status unavailable(uint64_t bytes, const Status& why) {
  return Status(Code::kUnavailable, format_size(bytes) + " of device memory refused: " + why.message());
}

}  // namespace

Result<std::unique_ptr<Account>> Account::open(const std::string& socket_path, const SliceToken& token) {
  TESSERA_ASSIGN_OR_RETURN(auto client, LeaseClient::attach(socket_path, token));
  std::unique_ptr<Account> account(new Account(std::move(client)));
  Account* self = account.get();
  LeaseClient::Handlers handlers;
  handlers.recall = [self](uint32_t device, BudgetKind kind, uint64_t bytes, uint32_t number) {
    return self->serve_recall(device, kind, bytes, number);
  };
  handlers.held = [self](uint32_t device, BudgetKind kind, uint64_t epoch) {
    return self->held(device, kind, epoch);
  };
  handlers.reattached = [self] { self->publish_all(); };
  TESSERA_RETURN_IF_ERROR(self->client_->start(std::move(handlers)));
  return account;
}

Account::Account(std::unique_ptr<LeaseClient> client) : client_(std::move(client)) {
  for (uint32_t i = 0; i < device_count(); ++i) {
    devices_.push_back(std::make_unique<Device>(client_->slice().devices[i].chunk_bytes));
  }
}

// Called with the part's mutex held, so the figures never run backwards.
void Account::publish(uint32_t device, BudgetKind kind, const Budget& budget) {
  DeviceCounters& counters = client_->counters(device);
  if (kind == BudgetKind::kSwap || kind == BudgetKind::kNeighbour) return;  // its owner tells more of it
  if (kind == BudgetKind::kResident) {
    counters.resident_bytes.store(budget.used(), std::memory_order_relaxed);
    return;
  }
  counters.used_bytes.store(budget.used(), std::memory_order_relaxed);
  if (budget.used() > counters.peak_bytes.load(std::memory_order_relaxed)) {
    counters.peak_bytes.store(budget.used(), std::memory_order_relaxed);
  }
}

Status Account::charge(uint32_t device, uint64_t bytes) {
  TESSERA_RETURN_IF_ERROR(charge(device, BudgetKind::kLimit, bytes));
  if (!is_overcommitted(device)) return Status();
  Status resident = charge(device, BudgetKind::kResident, bytes);
  if (!resident.ok()) credit(device, BudgetKind::kLimit, bytes);
  return resident;
}

void Account::credit(uint32_t device, uint64_t bytes) {
  if (is_overcommitted(device)) credit(device, BudgetKind::kResident, bytes);
  credit(device, BudgetKind::kLimit, bytes);
}

Status Account::charge(uint32_t device, BudgetKind kind, uint64_t bytes) {
  Part& on = part(device, kind);
  if (kind == BudgetKind::kLimit) give_back_if_lowered(device);
  {
    std::lock_guard lock(on.mutex);
    if (on.budget.charge(bytes)) {
      publish(device, kind, on.budget);
      return Status();
    }
  }
  Status charged = charge_slowly(device, kind, bytes);
  if (!charged.ok() && (kind == BudgetKind::kLimit || kind == BudgetKind::kResident))
    counters(device).refusals.fetch_add(1, std::memory_order_relaxed);
  return charged;
}

bool Account::settle(uint32_t device, BudgetKind kind, const Budget::Claim& claim,
                     const LeaseClient::Grant& grant) {
  Part& on = part(device, kind);
  std::lock_guard lock(on.mutex);
  if (grant.epoch != on.epoch) {
    on.budget.abandon(claim);
    return false;
  }
  on.budget.settle(claim, grant.reply.granted_bytes);
  publish(device, kind, on.budget);
  return true;
}

Status Account::charge_slowly(uint32_t device, BudgetKind kind, uint64_t bytes) {
  Part& on = part(device, kind);
  std::lock_guard asking(on.asking);
  for (;;) {
    Budget::Claim claim{};
    {
      std::lock_guard lock(on.mutex);
      if (on.budget.charge(bytes)) {
        publish(device, kind, on.budget);
        return Status();
      }
      claim = on.budget.claim(bytes);
    }
    auto grant = client_->reserve(device, kind, claim.needed, claim.wanted);
    if (grant.ok() && grant->reply.granted_bytes > 0) {
      failpoint("client.reserve.answered");
      if (settle(device, kind, claim, *grant)) return Status();
      continue;
    }
    {
      std::lock_guard lock(on.mutex);
      on.budget.abandon(claim);
    }
    if (grant.ok()) return refusal(device, kind, bytes, grant->reply);
    return unavailable(bytes, grant.status());
  }
}

// What is at hand is left alone: the daemon is to know of each step.
Result<uint64_t> Account::charge_return(uint32_t device, uint64_t least, uint64_t most, uint64_t out_bytes) {
  constexpr BudgetKind kKind = BudgetKind::kResident;
  Part& on = part(device, kKind);
  std::lock_guard asking(on.asking);
  for (;;) {
    const auto grant = client_->reserve(device, kKind, least, most, out_bytes);
    if (!grant.ok()) return unavailable(out_bytes, grant.status());
    const uint64_t granted = grant->reply.granted_bytes;
    if (granted == 0) return refusal(device, kKind, out_bytes, grant->reply);
    failpoint("client.swap.in.granted");
    std::lock_guard lock(on.mutex);
    if (grant->epoch != on.epoch) continue;
    on.budget.take(granted);
    publish(device, kKind, on.budget);
    return granted;
  }
}

Status Account::refusal(uint32_t device, BudgetKind kind, uint64_t bytes, const ReservedReply& reply) {
  const std::string refused = format_size(bytes) + " of device memory refused: ";
  const std::string slice = std::string("slice ") + slice_name();
  if (kind == BudgetKind::kSwap) {
    return Status(Code::kResourceExhausted,
                  format_size(bytes) + " of the host's memory refused: " + format_size(reply.limit_bytes) +
                      " is all that is for what is off the devices (tesserad --swap-host)");
  }
  if (kind == BudgetKind::kNeighbour)
    return Status(Code::kResourceExhausted, "no other GPU has " + format_size(bytes) + " to lend");
  if (kind == BudgetKind::kResident) return not_resident(device, refused, reply);
  if (reply.awaited > 0) {
    return Status(Code::kUnavailable, refused + slice + " waits, since tesserad was restarted, for " +
                                          std::to_string(reply.awaited) +
                                          " of its processes to attach again or to end");
  }
  return Status(Code::kResourceExhausted, refused + slice + " uses " + format_size(reply.slice_used_bytes) +
                                              " of " + format_size(reply.limit_bytes));
}

Status Account::not_resident(uint32_t device, const std::string& refused, const ReservedReply& reply) {
  switch (reply.refusal) {
    case Refusal::kNeverFits:
      return Status(Code::kResourceExhausted, refused + "this process has " +
                                                  format_size(granted_bytes(device, BudgetKind::kResident)) +
                                                  " on the device, which has " +
                                                  format_size(reply.limit_bytes) +
                                                  ": all that a process has must be there at once");
    case Refusal::kNoSwap:
      return Status(Code::kResourceExhausted,
                    refused +
                        "the device is full, and there is no place left for what others have on it; "
                        "`tesserad --swap-host` and `--swap-dir` say how much there is");
    case Refusal::kImmovable:
      return Status(
          Code::kResourceExhausted,
          refused +
              "the device is full, and what others have on it has not left it for long: arrays, graphs' "
              "memory, pools that programs make and the like stay, as does what a stopped program has");
    default:
      return Status(Code::kResourceExhausted, refused + "slice " + slice_name() +
                                                  " has as much on the device as its limit of " +
                                                  format_size(limit_bytes(device)) + " allows");
  }
}

void Account::credit(uint32_t device, BudgetKind kind, uint64_t bytes) {
  Part& on = part(device, kind);
  uint64_t surplus;
  uint64_t epoch;
  {
    std::lock_guard lock(on.mutex);
    surplus = on.budget.credit(bytes);
    epoch = on.epoch;
    publish(device, kind, on.budget);
  }
  if (surplus > 0) client_->release(device, kind, surplus, epoch);
  if (kind == BudgetKind::kLimit) give_back_if_lowered(device);
}

void Account::give_back_if_lowered(uint32_t device) {
  if (!client_->lowered(device)) return;
  give_back_idle(device, BudgetKind::kLimit);
}

void Account::give_back_idle(uint32_t device, BudgetKind kind) {
  const Recalled idle = recall(device, kind, std::numeric_limits<uint64_t>::max());
  if (idle.bytes > 0) client_->release(device, kind, idle.bytes, idle.epoch);
}

Account::Recalled Account::recall(uint32_t device, BudgetKind kind, uint64_t bytes) {
  Part& on = part(device, kind);
  std::lock_guard lock(on.mutex);
  return {on.budget.recall(bytes), on.epoch};
}

void Account::set_evictor(uint32_t device, Evictor evictor) {
  std::lock_guard lock(devices_[device]->evictor_mutex);
  devices_[device]->evictor = std::move(evictor);
}

std::optional<uint64_t> Account::serve_recall(uint32_t device, BudgetKind kind, uint64_t bytes,
                                              uint32_t number) {
  if (number == 0) {
    give_back_idle(device, kind);
    std::lock_guard lock(devices_[device]->evictor_mutex);
    if (kind == BudgetKind::kResident && devices_[device]->evictor != nullptr)
      devices_[device]->evictor({kind, device, bytes, 0, 0, 0});
    return std::nullopt;
  }
  const Recalled idle = recall(device, kind, bytes);
  if (kind == BudgetKind::kLimit || idle.bytes == bytes) return idle.bytes;
  std::lock_guard lock(devices_[device]->evictor_mutex);
  if (devices_[device]->evictor == nullptr) return idle.bytes;
  devices_[device]->evictor({kind, device, bytes - idle.bytes, idle.bytes, number, idle.epoch});
  return std::nullopt;
}

// If the daemon has restarted since, what was evicted counted as held, and goes back as if by itself.
void Account::evicted(const EvictionOrder& order, uint64_t bytes, uint64_t out_bytes, Evicted which) {
  Part& on = part(order.device, order.kind);
  uint64_t epoch;
  {
    std::lock_guard lock(on.mutex);
    on.budget.give_up(bytes);
    bytes += on.budget.recall(std::numeric_limits<uint64_t>::max());
    epoch = on.epoch;
    publish(order.device, order.kind, on.budget);
  }
  if (epoch != order.epoch) {
    if (bytes > 0) client_->release(order.device, order.kind, bytes, epoch);
    return;
  }
  if (which != Evicted::kPart) bytes += order.at_hand;
  client_->recalled({order.device, order.kind, bytes, out_bytes, which == Evicted::kPart ? 1u : 0u,
                     which == Evicted::kLastWithoutSwap ? 1u : 0u},
                    order.number, order.epoch);
}

uint64_t Account::held(uint32_t device, BudgetKind kind, uint64_t epoch) {
  Part& on = part(device, kind);
  std::lock_guard lock(on.mutex);
  on.epoch = epoch;
  return on.budget.granted();
}

void Account::publish_all() {
  for (uint32_t device = 0; device < devices_.size(); ++device) {
    for (BudgetKind kind : {BudgetKind::kLimit, BudgetKind::kResident}) {
      std::lock_guard lock(part(device, kind).mutex);
      publish(device, kind, part(device, kind).budget);
    }
  }
}

std::vector<std::string> Account::neighbours() const {
  std::vector<std::string> found;
  for (const auto& uuid : client_->slice().neighbours) {
    if (uuid[0] != '\0') found.emplace_back(uuid, strnlen(uuid, sizeof uuid));
  }
  return found;
}

uint64_t Account::own_used_bytes(uint32_t device) {
  Part& on = part(device, BudgetKind::kLimit);
  std::lock_guard lock(on.mutex);
  return on.budget.used();
}

uint64_t Account::granted_bytes(uint32_t device, BudgetKind kind) {
  Part& on = part(device, kind);
  std::lock_guard lock(on.mutex);
  return on.budget.granted();
}

uint64_t Account::at_hand_bytes(uint32_t device, BudgetKind kind) {
  Part& on = part(device, kind);
  std::lock_guard lock(on.mutex);
  return on.budget.available();
}

uint64_t Account::slice_used_bytes(uint32_t device) {
  auto usage = client_->query(device);
  return usage.ok() ? usage->used_bytes : own_used_bytes(device);
}

}  // namespace tessera::vgpu

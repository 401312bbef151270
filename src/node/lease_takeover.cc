// LeaseService's dealings with the journal: what an earlier daemon left, and what this one leaves.
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/failpoint.h"
#include "common/log.h"
#include "node/journal_records.h"
#include "node/lease_service.h"

namespace tessera::node {
namespace {

// The very process that was journalled, or nothing where it has ended. The pidfd comes first: whoever has the
// pid by then is the one it names.
UniqueFd open_journalled(const ProcessIdentity& process) {
  if (process.pid <= 0) return UniqueFd();
  UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, process.pid, 0)));
  return pidfd && is_alive(process) ? std::move(pidfd) : UniqueFd();
}

}  // namespace

void LeaseService::take_over(Journal journal) {
  journal_.emplace(std::move(journal));
  restore_tenants();
  restore_moving();
  restore_slices();
  restore_leases();
  isolate_tenants(loop_.now_ns());
  failpoint("daemon.takeover.restored");
  std::set<SliceId> unused;
  size_t awaited = 0;
  for (const auto& [id, slice] : ledger_.slices()) {
    awaited += slice.awaited;
    if (!slice.kept && !slice.held && slice.leases.empty()) unused.insert(id);
    publish_terms(id);
    publish_memory_terms(id);
  }
  settle_lending();
  for (SliceId id : unused) drop_holder(id);
  // What could not be taken over goes.
  Journal::Values left = journal_->values();
  for (const auto& [key, value] : left) {
    auto id = json_uint(value, "id").value_or(0);
    bool kept = is_slice_key(key) ? key == slice_key(id) && ledger_.find_slice(id) != nullptr
                                  : key == lease_key(id) && ledger_.find_lease(id) != nullptr;
    if (!kept && !is_gpu_key(key) && !is_memory_key(key)) journal_->remove(key);  // tenants are put anew
  }
  save();
  if (ledger_.slices().empty()) return;
  LOG_WARN("journal", "%zu slices taken over from the daemon before; %zu processes are to attach again",
           slices_.size(), awaited);
}

void LeaseService::restore_tenants() {
  const uint64_t now_ns = loop_.now_ns();
  for (const auto& [key, value] : journal_->values()) {
    if (!is_tenant_key(key)) continue;
    if (auto read = read_tenant_record(value))
      faults_.restore(read->tenant, read->state, read->latest_error, now_ns);
  }
  faults_.forget_quiet(now_ns);
}

void LeaseService::restore_slices() {
  for (const auto& [key, value] : journal_->values()) {
    if (!is_slice_key(key)) continue;
    auto slice = read_slice_record(value, gpu_uuids_);
    if (!slice) {
      LOG_WARN("journal", "'%s' is dropped: it cannot be read, or its GPU is not there any more",
               key.c_str());
      continue;
    }
    auto grants = GrantMapping::create();
    if (!grants.ok()) {
      LOG_ERROR("journal", "'%s' is dropped: %s", slice->name.c_str(), grants.status().message().c_str());
      continue;
    }
    SliceId id = slice->id;
    UniqueFd holder = slice->held ? open_journalled(slice->holder) : UniqueFd();
    slice->held = static_cast<bool>(holder);
    Status restored = ledger_.restore_slice(std::move(*slice));
    if (!restored.ok()) {
      LOG_WARN("journal", "%s", restored.message().c_str());
      continue;
    }
    SliceRecord& record =
        slices_.emplace(id, new_record(std::move(*grants), *ledger_.find_slice(id))).first->second;
    GateOrders orders;
    Status scheduled = compute_.add_slice(*ledger_.find_slice(id), loop_.now_ns(), orders);
    if (!scheduled.ok()) {
      LOG_ERROR("journal", "'%s' is dropped: %s", ledger_.find_slice(id)->name.c_str(),
                scheduled.message().c_str());
      slices_.erase(id);
      ledger_.drop_holder(id);
      continue;
    }
    apply(orders);
    if (!holder) continue;
    auto watch = loop_.watch(holder.get(), EPOLLIN, [this, id](uint32_t) { drop_holder(id); });
    if (!watch.ok()) continue;  // then it is held until its holder has come back and let go
    record.holder = std::move(holder);
    record.holder_watch = *watch;
  }
}

void LeaseService::restore_leases() {
  for (const auto& [key, value] : journal_->values()) {
    if (!is_lease_key(key)) continue;
    auto read = read_lease_record(value);
    if (!read) {
      LOG_WARN("journal", "'%s' is dropped: it cannot be read", key.c_str());
      continue;
    }
    Arrived there{read->lease.process, open_journalled(read->lease.process)};
    if (!there.pidfd || was_replaced(read->image, read_process_image(there.process.pid))) continue;
    LeaseId id = read->lease.id;
    Status restored = ledger_.restore_lease(std::move(read->lease));
    if (!restored.ok()) {
      LOG_WARN("journal", "%s", restored.message().c_str());
      continue;
    }
    Status begun = begin_lease(id, nullptr, std::move(there), read->image);
    if (!begun.ok()) {
      LOG_ERROR("journal", "the lease of '%s' is dropped: %s", key.c_str(), begun.message().c_str());
      (void)ledger_.close_lease(id);
      continue;
    }
    Effects none;  // nobody asks for anything yet
    broker_.disconnect(id, loop_.now_ns(), none);
  }
}

void LeaseService::release_holder(SliceRecord& record) {
  if (record.holder_watch != 0) loop_.unwatch(std::exchange(record.holder_watch, 0));
  record.holder.reset();
}

Result<SliceId> LeaseService::hold_again(const Token& token, const Peer& peer) {
  TESSERA_ASSIGN_OR_RETURN(SliceId id, ledger_.slice_of(token, peer.uid));
  const Slice& slice = *ledger_.find_slice(id);
  auto process = identify_process(peer.pid);
  if (!slice.held || !process.ok() || *process != slice.holder) {
    return Status(Code::kPermissionDenied, "slice '" + slice.name + "' was not made by this process");
  }
  release_holder(slices_.at(id));
  return id;
}

void LeaseService::save() {
  Ledger::Touched touched = ledger_.take_touched();
  const std::set<TenantFaults::Key> failed = faults_.take_touched();
  if (!journal_) return;
  for (const TenantFaults::Key& tenant : failed) {
    auto found = faults_.records().find(tenant);
    if (found != faults_.records().end()) {
      journal_->put(tenant_key(tenant), tenant_record(tenant, found->second));
    } else {
      journal_->remove(tenant_key(tenant));
    }
  }
  for (SliceId id : touched.slices) {
    if (const Slice* slice = ledger_.find_slice(id)) {
      journal_->put(slice_key(id), slice_record(*slice, gpu_uuids_));
    } else {
      journal_->remove(slice_key(id));
    }
  }
  for (LeaseId id : touched.leases) {
    auto record = leases_.find(id);
    if (record != leases_.end()) {
      journal_->put(lease_key(id), lease_record(*ledger_.find_lease(id), record->second.image));
    } else {
      journal_->remove(lease_key(id));
    }
  }
  Status saved = journal_->save();
  if (!saved.ok()) {
    LOG_ERROR("journal", "%s: a daemon that is started after this one will know nothing of today's slices",
              saved.message().c_str());
  }
}

void LeaseService::remember(const std::string& key, const Json& value) {
  if (!journal_) return;
  auto known = journal_->values().find(key);
  if (value.is_null() ? known == journal_->values().end()
                      : known != journal_->values().end() && known->second == value) {
    return;
  }
  value.is_null() ? journal_->remove(key) : journal_->put(key, value);
  save();
}

void LeaseService::close_journal() {
  faults_.forget_quiet(loop_.now_ns());
  save();
  if (journal_) journal_->close();
}

}  // namespace tessera::node

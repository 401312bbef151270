#include "node/tenant_faults.h"

#include <algorithm>

#include "common/log.h"

namespace tessera::node {
namespace {

constexpr uint64_t kNsPerSecond = 1'000'000'000;

unsigned long long seconds_until(uint64_t then_ns, uint64_t now_ns) {
  return (then_ns - now_ns + kNsPerSecond - 1) / kNsPerSecond;
}

}  // namespace

TenantFaults::Records::iterator TenantFaults::forget(Records::iterator record) {
  touched_.insert(record->first);
  return records_.erase(record);
}

void TenantFaults::make_room() {
  if (records_.size() < kMaxTenants) return;
  forget(std::min_element(records_.begin(), records_.end(), [](const auto& a, const auto& b) {
    return a.second.history.state().latest_ns < b.second.history.state().latest_ns;
  }));
}

void TenantFaults::faulted(uid_t user, const std::string& name, uint64_t cuda_error, uint64_t now_ns) {
  const scheduling::FaultKind kind = scheduling::kind_of_cuda_error(static_cast<int>(cuda_error));
  if (kind != scheduling::FaultKind::kTenant || name.empty()) return;
  const Key key(user, name);
  if (!records_.contains(key)) make_room();
  Record& record = records_[key];
  const bool was_isolated = record.history.standing(now_ns).isolated;
  record.history.fault(kind, now_ns, random_);
  record.latest_error = cuda_error;
  touched_.insert(key);
  LOG_INFO("health", "'%s' has failed with CUDA error %llu, %u time(s) in a row", name.c_str(),
           static_cast<unsigned long long>(cuda_error), record.history.faults());
  if (!was_isolated && record.history.standing(now_ns).isolated) {
    LOG_WARN("health", "'%s' keeps failing: it runs beside nobody until it has not failed for %llu s",
             name.c_str(), seconds_until(scheduling::kTenantTerms.quiet_ns, 0));
  }
}

Status TenantFaults::check(uid_t user, const std::string& name, uint64_t now_ns) const {
  auto found = records_.find(Key(user, name));
  if (found == records_.end()) return Status();
  const Record& record = found->second;
  const uint64_t not_before_ns = record.history.standing(now_ns).not_before_ns;
  if (not_before_ns == 0) return Status();
  return Status::error(
      Code::kUnavailable,
      "'%s' has failed on the GPU %u times in a row, last with CUDA error %llu; it may start again "
      "in %llu s, after 'tessera ps --forgive %s', or under another --name",
      name.c_str(), record.history.faults(), static_cast<unsigned long long>(record.latest_error),
      seconds_until(not_before_ns, now_ns), name.c_str());
}

bool TenantFaults::isolated(uid_t user, const std::string& name, uint64_t now_ns) const {
  auto found = records_.find(Key(user, name));
  return found != records_.end() && found->second.history.standing(now_ns).isolated;
}

bool TenantFaults::forgive(const std::string& name) {
  bool any = false;
  for (auto record = records_.begin(); record != records_.end();) {
    if (record->first.second != name) {
      ++record;
      continue;
    }
    record = forget(record);
    any = true;
  }
  return any;
}

void TenantFaults::forget_quiet(uint64_t now_ns) {
  for (auto record = records_.begin(); record != records_.end();) {
    record = record->second.history.is_forgotten(now_ns) ? forget(record) : std::next(record);
  }
}

void TenantFaults::restore(const Key& key, const scheduling::FaultHistory::State& state, uint64_t error,
                           uint64_t now_ns) {
  if (!records_.contains(key)) make_room();
  Record& record = records_[key];
  record.history.restore(state, now_ns);
  record.latest_error = error;
  touched_.insert(key);
}

}  // namespace tessera::node

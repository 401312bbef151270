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

void TenantFaults::make_room() {
  if (records_.size() < kMaxTenants) return;
  records_.erase(std::min_element(records_.begin(), records_.end(), [](const auto& a, const auto& b) {
    return a.second.latest_ns < b.second.latest_ns;
  }));
}

void TenantFaults::faulted(uid_t user, const std::string& name, uint64_t cuda_error, uint64_t now_ns) {
  const scheduling::FaultKind kind = scheduling::kind_of_cuda_error(static_cast<int>(cuda_error));
  if (kind != scheduling::FaultKind::kTenant || name.empty()) return;
  const Key key(user, name);
  if (!records_.contains(key)) make_room();
  Record& record = records_[key];
  record.history.fault(kind, now_ns, random_);
  record.latest_ns = now_ns;
  record.latest_error = cuda_error;
  LOG_INFO("health", "'%s' has failed with CUDA error %llu, %u time(s) in a row", name.c_str(),
           static_cast<unsigned long long>(cuda_error), record.history.faults());
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
      "in %llu s, or under another --name",
      name.c_str(), record.history.faults(), static_cast<unsigned long long>(record.latest_error),
      seconds_until(not_before_ns, now_ns));
}

}  // namespace tessera::node

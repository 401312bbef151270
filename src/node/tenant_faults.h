// Tenants whose programs keep failing on the GPU, by scheduling/faults. A tenant is a user and the name that
// its slice was given, or its program's; what failed is what the processes say themselves. After a few
// failures in a row
//
//   - it is isolated: its slices in time run beside nobody until it has been quiet for a while;
//   - it has to wait, longer each time, before it gets a slice, or a process in one that stays, and after
//   many it gets none
//     until it was quiet, or is forgiven; this where the daemon was told to refuse.
//
// Pure, and kept in the journal: a daemon that is started anew knows of them.
#pragma once

#include <sys/types.h>

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/status.h"
#include "scheduling/faults/fault_history.h"

namespace tessera::node {

class TenantFaults {
 public:
  static constexpr size_t kMaxTenants =
      1024;  // whose faults are remembered; then those that were quiet longest go

  using Key = std::pair<uid_t, std::string>;
  struct Record {
    scheduling::FaultHistory history{scheduling::kTenantTerms};
    uint64_t latest_error = 0;
  };
  using Records = std::map<Key, Record>;

  // `seed` spreads the waits.
  explicit TenantFaults(uint64_t seed) : random_(seed) {}

  // A slice's first fault: a CUresult. Those that are not the program's own are passed over.
  void faulted(uid_t user, const std::string& name, uint64_t cuda_error, uint64_t now_ns);
  // Refused with cause and way out while it has to wait.
  Status check(uid_t user, const std::string& name, uint64_t now_ns) const;
  bool isolated(uid_t user, const std::string& name, uint64_t now_ns) const;
  // All users' tenants of that name. False where there is nothing to forgive.
  bool forgive(const std::string& name);

  // Those that were quiet for long enough.
  void forget_quiet(uint64_t now_ns);
  const Records& records() const { return records_; }
  void restore(const Key& key, const scheduling::FaultHistory::State& state, uint64_t error, uint64_t now_ns);
  // What has changed or gone since the last call: for the journal.
  std::set<Key> take_touched() { return std::exchange(touched_, {}); }

 private:
  void make_room();
  Records::iterator forget(Records::iterator record);

  Records records_;
  std::set<Key> touched_;
  scheduling::Random random_;
};

}  // namespace tessera::node

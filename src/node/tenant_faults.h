// Tenants whose programs keep failing on the GPU, by scheduling/faults: after a few failures in a row a
// tenant has to wait, longer each time, before it gets another slice. A tenant is a user and the name that
// its slice was given, or its program's. What failed is what the processes say themselves.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <utility>

#include "common/status.h"
#include "scheduling/faults/fault_history.h"

namespace tessera::node {

class TenantFaults {
 public:
  static constexpr size_t kMaxTenants =
      1024;  // whose faults are remembered; then those that were quiet longest go

  // `seed` spreads the waits.
  explicit TenantFaults(uint64_t seed) : random_(seed) {}

  // A slice's first fault: a CUresult. Those that are not the program's own are passed over.
  void faulted(uid_t user, const std::string& name, uint64_t cuda_error, uint64_t now_ns);
  // Refused with cause and way out while it has to wait.
  Status check(uid_t user, const std::string& name, uint64_t now_ns) const;

 private:
  struct Record {
    scheduling::FaultHistory history{scheduling::kTenantTerms};
    uint64_t latest_ns = 0;
    uint64_t latest_error = 0;
  };
  using Key = std::pair<uid_t, std::string>;
  void make_room();

  std::map<Key, Record> records_;
  scheduling::Random random_;
};

}  // namespace tessera::node

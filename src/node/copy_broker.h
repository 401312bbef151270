// The shares of slices in copies between the host and each GPU: what memory/qos/copy_shares.h says of slices,
// for their processes. Pure: told what each process has counted.
//
// Copies are looked at where several slices of a GPU have processes, and one of them a weight of its own or a
// guarantee: else the driver shares as well as we could. And where one has a bound. Seldom there while at
// most one copies, often while several do.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <vector>

#include "memory/qos/copy_shares.h"
#include "node/ledger.h"
#include "node/pages.h"

namespace tessera::node {

class CopyBroker {
 public:
  static constexpr uint64_t kLookNs = 50'000'000;

  // A slice on a GPU; `device` is its index in the slice.
  struct Part {
    SliceId slice;
    uint32_t device;
    RateTerms terms;
    std::map<LeaseId, CopyValues> processes;  // as they count
  };

  void set_watched(const std::set<uint32_t>& gpus);
  bool is_watched(uint32_t gpu) const { return gpus_.contains(gpu); }
  std::optional<uint64_t> next_deadline_ns() const;
  // Of which it is time.
  std::vector<uint32_t> due(uint64_t now_ns) const;
  // What each process of the parts may have until the next time, in their order.
  std::vector<GrantMapping::CopyRates> share(uint32_t gpu, std::span<const Part> parts, uint64_t now_ns);

 private:
  struct Gpu {
    std::array<memory::CopyShares, vgpu::kHostCopies> shares;
    std::map<LeaseId, CopyValues> counted;  // when it was last looked at
    uint64_t then_ns = 0;                   // 0: not yet
    uint64_t next_ns = 0;
  };
  std::map<uint32_t, Gpu> gpus_;
};

}  // namespace tessera::node

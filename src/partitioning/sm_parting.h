// SMs for tenants that run side by side: disjoint sets, that change as little as can be.
#pragma once

#include <span>
#include <vector>

#include "common/index_set.h"

namespace tessera::partitioning {

struct SmWant {
  uint32_t count = 0;
  IndexSet now;  // what it uses so far: kept where it is as many SMs, of `all`, and nobody's before it
};

// As `wants`; one that comes too late for all it wants gets what is left.
std::vector<IndexSet> part_sms(const IndexSet& all, std::span<const SmWant> wants);

}  // namespace tessera::partitioning

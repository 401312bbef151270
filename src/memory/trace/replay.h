// What a pool makes of a log: the same requests in the same order, as fast as they can be made.
#pragma once

#include <cstdint>
#include <span>

#include "common/status.h"
#include "memory/pool/pool.h"
#include "memory/trace/allocation_log.h"

namespace tessera::memory {

struct ReplayOutcome {
  uint64_t allocations = 0;
  uint64_t failed = 0;  // refused by the pool
  PoolStats pool;       // at the end; peaks are of the whole log

  // The share of the memory that was reserved at most which was not in use when most was: 0 to 1.
  double fragmentation() const {
    const auto active = static_cast<double>(pool.peak_active_bytes);
    return pool.peak_reserved_bytes == 0 ? 0 : 1 - active / static_cast<double>(pool.peak_reserved_bytes);
  }
};

// An error for a log that cannot be read; a refused request is counted, and its block's free passed over.
Result<ReplayOutcome> replay(std::span<const uint8_t> log, Pool& pool);

}  // namespace tessera::memory

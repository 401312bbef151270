// Whether all records of a pool agree with each other. For tests; nobody else uses the pool meanwhile.
#pragma once

#include <string>

#include "memory/pool/pool.h"

namespace tessera::memory {

class PoolCheck {
 public:
  // The first thing that is wrong; "" where all is well.
  static std::string defect(Pool& pool);
};

}  // namespace tessera::memory

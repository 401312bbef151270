#include "remote/transport/spinner.h"

#include <sched.h>

namespace tessera::remote {

bool may_spin() {
  cpu_set_t processors;
  CPU_ZERO(&processors);
  // More processors than the set has room for are more than one.
  return sched_getaffinity(0, sizeof processors, &processors) != 0 || CPU_COUNT(&processors) > 1;
}

}  // namespace tessera::remote

// Workloads for `gpu_scheduler`, as YAML:
//
//   order: weighted-fair          # feedback, earliest-deadline
//   slice: adaptive               # fixed
//   tenants:
//     - name: training
//       sm: 25                    # percent, promised; none: the weight decides
//       sm-cap: true
//       priority: normal
//       weight: 100
//       slo-wait: 5ms             # of 99 in 100 waits for a turn; none: no target
//       qos: burstable            # guaranteed, best-effort; none: by its promises
//       kernel: 500us             # the mean length of its kernels
//       kernels-vary: true        # exponentially; else all are alike
//       burst: 20                 # kernels in a row; 0: without end
//       pause: 5ms                # mean, between bursts
//       start: 0s
#pragma once

#include <string>

#include "common/status.h"
#include "scheduling/simulation/workload.h"

namespace tessera::scheduling {

// An error names file, line and what would be right.
Result<Workload> read_workload(const std::string& path);

}  // namespace tessera::scheduling

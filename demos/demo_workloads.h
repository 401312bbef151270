// The work a demo tenant does: real kernels, each round compared with a result computed once on the CPU.
#pragma once

#include <memory>
#include <string>

#include "programs/driver/driver_check.h"

namespace demo {

class Workload {
 public:
  virtual ~Workload() = default;
  // Queues one round on the stream.
  virtual void run(CUstream stream) = 0;
  // Whether the round that has finished gave the right result.
  virtual bool correct() const = 0;
  // Of device memory.
  virtual size_t bytes() const = 0;
};

// "matmul", "mandelbrot" or "reduce"; nullptr for another name. Needs a current context.
std::unique_ptr<Workload> make_workload(const std::string& name);
bool is_workload(const std::string& name);

}  // namespace demo

// What the server knows of functions that the client has handles of: how their parameters lie.
#pragma once

#include <cstdint>
#include <unordered_map>

#include "cuda/driver_table.h"
#include "remote/wire/launch.h"

namespace tessera::remote {

// Used by whoever leads.
class Functions {
 public:
  explicit Functions(const cuda::DriverTable& driver) : driver_(driver) {}

  // Asks the driver, once per id. `is_kernel`: the handle is a CUkernel.
  const FunctionInfo* learn(uint64_t id, void* handle, bool is_kernel);
  LaunchLimits limits(void* handle, bool is_kernel) const;
  void rename(uint64_t from, uint64_t to);
  // Null where nobody has asked for it.
  const FunctionInfo* info(uint64_t id) const;

 private:
  const cuda::DriverTable& driver_;
  std::unordered_map<uint64_t, FunctionInfo> infos_;
};

}  // namespace tessera::remote

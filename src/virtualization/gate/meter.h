// What a process's work on one device is, measured by the driver, and whether the driver can hold it up.
#pragma once

#include <memory>

#include "common/index_set.h"
#include "cuda/device_scheduling_table.h"
#include "cuda/driver_table.h"

namespace tessera::vgpu {

class Meter {
 public:
  virtual ~Meter() = default;
  virtual cuda::DeviceWork work() = 0;
  // Of the kernels whose time it knows.
  virtual cuda::DeviceRunTimes run_times() = 0;
  // Takes the process's kernels off the device, now or within `timeout_ms`; false where they run on.
  virtual bool suspend(unsigned int timeout_ms) = 0;
  virtual void resume() = 0;
  // To these SMs, of which one at least is the device's.
  virtual void confine(const IndexSet& sms) = 0;
  // How long to wait between looks at work() while there is some, see LookPace.
  struct Looks {
    uint64_t shortest_ns, longest_ns;
  };
  virtual Looks looks() const { return {2'000'000, 16'000'000}; }
  // See cuda::DeviceSchedulingTable.
  virtual void watch(void (*drained)(void* argument), void* argument) = 0;
};

// The one of the driver's own table; null where the driver has none.
std::unique_ptr<Meter> make_table_meter(const cuda::DriverTable& driver, CUdevice ordinal);

}  // namespace tessera::vgpu

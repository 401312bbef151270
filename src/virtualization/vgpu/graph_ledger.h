// What executable graphs will reserve of each device when they are launched, and what is charged for all that
// the driver has reserved for graphs.
//
// The driver reserves memory with the first launch of a graph and keeps it, also for other graphs, until it
// is told to trim: so the charge follows the driver's own figure, and what a launch may add to it is charged
// before. Pure; the caller holds a lock, across the driver's calls too.
#pragma once

#include <cstdint>
#include <map>
#include <unordered_map>

#include "cuda/abi.h"

namespace tessera::vgpu {

class GraphLedger {
 public:
  // Bytes by the device's ordinal.
  using Bytes = std::map<CUdevice, uint64_t>;

  void instantiated(CUgraphExec exec, Bytes needs);
  void destroyed(CUgraphExec exec) { execs_.erase(exec); }
  bool empty() const { return execs_.empty(); }
  // What a launch may reserve: nothing where an earlier one has, and nothing was given back since.
  Bytes needs(CUgraphExec exec) const;
  // All that it needs, reserved or not; nothing of a graph without memory.
  Bytes all_needs(CUgraphExec exec) const;
  void launched(CUgraphExec exec);
  void trimmed() { ++trims_; }

  // What is charged for the device's graphs.
  uint64_t charged(CUdevice device) const;
  void set_charged(CUdevice device, uint64_t bytes) { charged_[device] = bytes; }

 private:
  struct Exec {
    Bytes needs;
    uint64_t launched_after = 0;  // trims; 0: never
  };
  std::unordered_map<CUgraphExec, Exec> execs_;
  uint64_t trims_ = 1;
  Bytes charged_;
};

}  // namespace tessera::vgpu

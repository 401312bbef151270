// Memory of cuMemAlloc that another process exported (cuIpcOpenMemHandle): mapped here while it is open.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>

#include "common/status.h"
#include "cuda/abi.h"
#include "softgpu/memory/allocation_table.h"

namespace tessera::softgpu {

class Context;
class Device;

// What a program is told of memory that cannot be imported; logs why.
CUresult result_of_import(const Status& status);

class ImportedMemory {
 public:
  static ImportedMemory& instance();

  // Opened by the same context before, it is open once more, at the same address; by another one,
  // CUDA_ERROR_ALREADY_MAPPED.
  CUresult open(Context& context, Device& device, uint64_t id, uint64_t* address);
  // Ends one opening; with the last one waits until nothing runs that could use the memory, and unmaps it.
  CUresult close(uint64_t address);
  // It ends with its context, which is idle.
  void forget(const Allocation& allocation);

 private:
  struct Opened {
    uint64_t id;
    uint64_t context;
    uint64_t times = 1;
  };
  CUresult open_again_locked(uint64_t id, uint64_t context, uint64_t* address, bool* known);

  std::mutex mutex_;
  std::map<uint64_t, Opened> opened_;  // by address
};

}  // namespace tessera::softgpu

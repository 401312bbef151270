// Memory of devices at addresses that we choose, by the driver's virtual memory management: so that memory of
// two servers never has the same address, and a session that is rebuilt has its own again. Physical memory
// comes in granules (2 MiB on NVIDIA); small blocks share them.
//
// Safe from any thread. Lock order: after the worker's.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <vector>

#include "cuda/driver_table.h"

namespace tessera::remote {

class PlacedMemory {
 public:
  explicit PlacedMemory(const cuda::DriverTable& driver) : driver_(driver) {}

  // Where its addresses begin (wire/regions.h). Without it the driver chooses, and nothing here is used.
  void begin(uint64_t region) { region_ = region; }
  bool is_on() const { return region_ != 0; }

  // As cuMemAlloc, for the current context. `wanted`: that address, or none.
  CUresult allocate(uint64_t bytes, CUdeviceptr wanted, CUdeviceptr* address);
  // As cuMemFree: what the device does is waited for. CUDA_ERROR_INVALID_VALUE where nothing begins there.
  CUresult free(CUdeviceptr address);
  // As cuMemFreeAsync: once the stream has come to it.
  CUresult free_later(CUdeviceptr address, CUstream stream);
  // Devices whose kernels may use memory of the current context's device, beside it.
  CUresult share_with(CUdevice owner, CUdevice user, bool may);

  struct Block {
    CUdeviceptr address = 0;
    uint64_t bytes = 0;
    CUcontext context = nullptr;
  };
  // The block that holds `address`.
  bool find(CUdeviceptr address, Block* block);
  std::vector<Block> blocks();

 private:
  struct Extent {  // physical memory, mapped as a whole
    uint64_t bytes = 0;
    CUmemGenericAllocationHandle handle = 0;
    uint32_t users = 0;
  };
  struct Kept {
    uint64_t bytes = 0;  // as it was asked for
    uint64_t span = 0;   // what of the addresses it takes
    CUcontext context = nullptr;
    CUevent freed = nullptr;  // free once that has come
  };
  struct Part {  // of the region: a device's
    bool is_reserved = false;
    uint64_t begin = 0, granule = 0;
    std::map<uint64_t, Kept> blocks;
    std::map<uint64_t, uint64_t> holes;  // where, and how many bytes
    std::map<uint64_t, Extent> extents;
    std::vector<CUdevice> users;  // beside the device itself
  };

  CUresult prepare(Part& part, CUdevice device);
  CUresult back(Part& part, CUdevice device, uint64_t begin, uint64_t end);
  void unback(Part& part, uint64_t begin, uint64_t end);
  CUresult map(Part& part, CUdevice device, uint64_t begin, uint64_t bytes);
  CUresult allow(const Part& part, CUdevice device, uint64_t begin, uint64_t bytes);
  void remove(Part& part, std::map<uint64_t, Kept>::iterator block);
  void free_what_is_due(bool waits);
  Part* part_of(CUdeviceptr address);
  // The block that begins there and has not been freed, or null.
  Kept* living(CUdeviceptr address);

  const cuda::DriverTable& driver_;
  uint64_t region_ = 0;
  std::mutex lock_;
  std::map<CUdevice, Part> parts_;
};

}  // namespace tessera::remote

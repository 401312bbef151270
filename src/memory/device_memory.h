// What the pool asks of the driver below: addresses, physical memory in granules, and mappings of the one to
// the other. Whoever implements it charges a slice's budget in create() and credits it in release().
//
// Every call does all it is asked for or nothing. The pool calls it under its own lock: an implementation
// must not call the pool, nor wait for a thread that does.
#pragma once

#include <cstdint>
#include <span>

#include "common/status.h"

namespace tessera::memory {

class DeviceMemory {
 public:
  using Handle = uint64_t;  // of a granule of physical memory
  static constexpr uint64_t kLeastGranularity = uint64_t{2} << 20;

  virtual ~DeviceMemory() = default;

  // Bytes of a granule: a power of two, at least kLeastGranularity, a multiple of what the driver maps.
  virtual uint64_t granularity() const = 0;

  // Addresses without memory: `bytes` is a multiple of the granularity, and so is the answer.
  virtual Result<uint64_t> reserve(uint64_t bytes) = 0;
  // A whole reservation, with nothing mapped in it.
  virtual Status unreserve(uint64_t address, uint64_t bytes) = 0;

  // One granule. kResourceExhausted where the device or the slice has no more.
  virtual Result<Handle> create() = 0;
  // Of a granule that is mapped nowhere.
  virtual Status release(Handle granule) = 0;

  // Puts granules side by side from `address` on, for the device to read and write.
  virtual Status map(uint64_t address, std::span<const Handle> granules) = 0;
  // The device uses none of it any more: the pool knows that these granules are free.
  virtual Status unmap(uint64_t address, uint64_t granules) = 0;
};

}  // namespace tessera::memory

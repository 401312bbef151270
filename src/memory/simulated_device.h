// A device of so many granules that costs nothing: for replaying what programs allocated, and for measuring
// the pool alone.
#pragma once

#include "memory/device_memory.h"

namespace tessera::memory {

class SimulatedDevice : public DeviceMemory {
 public:
  explicit SimulatedDevice(uint64_t granules) : left_(granules) {}

  uint64_t granularity() const override { return kLeastGranularity; }
  Result<uint64_t> reserve(uint64_t bytes) override {
    next_address_ += bytes;
    return next_address_ - bytes;
  }
  Status unreserve(uint64_t, uint64_t) override { return {}; }
  Result<Handle> create() override {
    if (left_ == 0) return Status(Code::kResourceExhausted, "the simulated device is full");
    --left_;
    return next_handle_++;
  }
  Status release(Handle) override {
    ++left_;
    return {};
  }
  Status map(uint64_t, std::span<const Handle>) override { return {}; }
  Status unmap(uint64_t, uint64_t) override { return {}; }

 private:
  uint64_t left_;
  uint64_t next_address_ = uint64_t{1} << 40;
  Handle next_handle_ = 1;
};

}  // namespace tessera::memory

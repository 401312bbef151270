// A device that only remembers what it was told, and insists that it makes sense. It can refuse any call.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>

#include "memory/device_memory.h"

namespace tessera::memory {

class FakeDevice : public DeviceMemory {
 public:
  static constexpr uint64_t kGranule = kLeastGranularity;

  explicit FakeDevice(uint64_t capacity_granules) : capacity_(capacity_granules) {}

  uint64_t granularity() const override { return kGranule; }
  Result<uint64_t> reserve(uint64_t bytes) override;
  Status unreserve(uint64_t address, uint64_t bytes) override;
  Result<Handle> create() override;
  Status release(Handle granule) override;
  Status map(uint64_t address, std::span<const Handle> granules) override;
  Status unmap(uint64_t address, uint64_t granules) override;

  // Asked before each call; true: that call is refused, with an error that is not the lack of memory.
  std::function<bool()> refuses = [] { return false; };

  bool mapped(uint64_t begin, uint64_t end) const;
  Handle handle_at(uint64_t address) const { return mapped_.at(address & ~(kGranule - 1)); }
  uint64_t created() const { return granules_.size(); }
  uint64_t mapped_granules() const { return mapped_.size(); }
  uint64_t reservations() const { return reservations_.size(); }
  // The first call that made no sense; "" where all did.
  const std::string& nonsense() const { return nonsense_; }

 private:
  Status wrong(const std::string& what);
  bool reserved(uint64_t begin, uint64_t end) const;

  const uint64_t capacity_;
  uint64_t next_address_ = uint64_t{1} << 40;
  Handle next_handle_ = 1;
  std::map<uint64_t, uint64_t> reservations_;  // begin: bytes
  std::set<Handle> granules_, mapped_handles_;
  std::map<uint64_t, Handle> mapped_;
  std::string nonsense_;
};

}  // namespace tessera::memory

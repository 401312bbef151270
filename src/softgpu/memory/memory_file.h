// Memory without an address: a file in memory that has no path, and lives as long as somebody has it open or
// mapped.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "common/fd.h"
#include "common/status.h"

namespace tessera::softgpu {

class MemoryFile {
 public:
  // All zeros, and takes no memory before it is written to. Sealed: nobody it is handed to can make it
  // smaller, which would be a fault wherever it is mapped. `name` says what it is in /proc/PID/maps.
  static Result<std::shared_ptr<MemoryFile>> create(const std::string& name, uint64_t size);

  uint64_t size() const { return size_; }

  // Maps a part of it, readable and writable, over addresses that are the caller's. A forked child does not
  // get the mapping. kResourceExhausted where the system has no mapping left, and nothing has changed.
  Status map(uint64_t address, uint64_t offset, uint64_t size) const;
  // Makes a part of it zeros again, and gives its memory back to the system.
  void discard(uint64_t offset, uint64_t size) const;

 private:
  MemoryFile(UniqueFd fd, uint64_t size) : fd_(std::move(fd)), size_(size) {}

  const UniqueFd fd_;
  const uint64_t size_;
};

}  // namespace tessera::softgpu

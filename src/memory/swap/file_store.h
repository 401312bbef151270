// Where what is moved off a device goes when the host's memory is not to take it: slots in a file of a
// directory, without a name there, so that nothing of it is left when the process ends.
//
// A slot costs disk for what is written to it, until it is given back. Not thread-safe. What is written goes
// past the page cache where the file system lets it: it would take the memory that is to be spared.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/fd.h"
#include "common/status.h"

namespace tessera::memory {

class FileStore {
 public:
  static constexpr uint64_t kBlockBytes = 4096;  // buffers and lengths are multiples of it

  static Result<std::unique_ptr<FileStore>> create(const std::string& directory, uint64_t slot_bytes);

  // A slot that holds `bytes`. kResourceExhausted where the disk is full, and nothing has changed.
  Result<uint32_t> write(std::span<const uint8_t> bytes);
  Status read(uint32_t slot, std::span<uint8_t> bytes) const;
  void give_back(uint32_t slot);

 private:
  FileStore(UniqueFd file, std::string directory, uint64_t slot_bytes)
      : file_(std::move(file)), directory_(std::move(directory)), slot_bytes_(slot_bytes) {}
  Status write_at(uint64_t offset, std::span<const uint8_t> bytes);

  const UniqueFd file_;
  const std::string directory_;
  const uint64_t slot_bytes_;
  std::vector<uint32_t> free_;
  uint32_t slots_ = 0;
};

}  // namespace tessera::memory

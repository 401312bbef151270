// A log of what a program allocated and freed, to be replayed against a pool.
//
// A file is "TALG", a version byte (1), and records to its end. A record is a byte that says what happened,
// and numbers as LEB128 (seven bits a byte, the lowest first, the high bit where more follow):
//
//   1 allocate  microseconds since the record before, bytes, stream
//   2 free      microseconds since the record before, how many blocks were allocated since this one, stream
//   3 passed    microseconds since the record before, stream
//
// Blocks are numbered by their allocations, from 0 on. Stream 0 stands for none: an allocation or a free that
// is in no stream's order. "passed": all that was freed on the stream until then is done; for stream 0, on
// all streams. The last record may be torn, where a program was killed.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "common/status.h"

namespace tessera::memory {

enum class AllocationAct : uint8_t { kAllocate = 1, kFree = 2, kPassed = 3 };

struct AllocationEvent {
  AllocationAct act = AllocationAct::kAllocate;
  uint64_t microseconds = 0;  // since the log began
  uint64_t block = 0;         // of an allocation and of a free
  uint64_t bytes = 0;         // of an allocation
  uint64_t stream = 0;

  bool operator==(const AllocationEvent&) const = default;
};

// Pure: bytes out, whoever calls writes them somewhere.
class AllocationLogWriter {
 public:
  AllocationLogWriter();
  // The number of the block.
  uint64_t allocated(uint64_t microseconds, uint64_t bytes, uint64_t stream);
  // Of a block that was allocated, once.
  void freed(uint64_t microseconds, uint64_t block, uint64_t stream);
  void passed(uint64_t microseconds, uint64_t stream);

  // What was written since the last call.
  std::vector<uint8_t> take();

 private:
  void begin_record(AllocationAct act, uint64_t microseconds);
  void number(uint64_t value);

  std::vector<uint8_t> bytes_;
  uint64_t blocks_ = 0;
  uint64_t last_microseconds_ = 0;
};

class AllocationLogReader {
 public:
  // The bytes outlive the reader. kInvalidData where they are no log.
  static Result<AllocationLogReader> open(std::span<const uint8_t> log);

  // Nothing at the end. kInvalidData for a record that cannot be: no more is read after that.
  Result<std::optional<AllocationEvent>> next();
  // Whether the last record was cut off.
  bool torn() const { return torn_; }
  uint64_t blocks() const { return live_.size(); }

 private:
  explicit AllocationLogReader(std::span<const uint8_t> log) : log_(log) {}
  // Nothing where the log ends within it.
  Result<std::optional<uint64_t>> number();
  Result<std::optional<AllocationEvent>> read_record(AllocationAct act);

  std::span<const uint8_t> log_;
  size_t at_ = 0;
  uint64_t microseconds_ = 0;
  std::vector<bool> live_;  // by block: a record has two bytes at least, so this is bounded by the log
  bool torn_ = false;
};

}  // namespace tessera::memory

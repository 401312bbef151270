#include "memory/trace/allocation_log.h"

#include <algorithm>
#include <cassert>

namespace tessera::memory {
namespace {

constexpr uint8_t kMagic[] = {'T', 'A', 'L', 'G', 1};

Status wrong(size_t at, const char* what) {
  return Status::error(Code::kInvalidData, "allocation log, byte %zu: %s", at, what);
}

}  // namespace

AllocationLogWriter::AllocationLogWriter() : bytes_(std::begin(kMagic), std::end(kMagic)) {}

void AllocationLogWriter::number(uint64_t value) {
  for (; value >= 0x80; value >>= 7) bytes_.push_back(static_cast<uint8_t>(value | 0x80));
  bytes_.push_back(static_cast<uint8_t>(value));
}

void AllocationLogWriter::begin_record(AllocationAct act, uint64_t microseconds) {
  bytes_.push_back(static_cast<uint8_t>(act));
  // Threads may come here in another order than they looked at the clock.
  microseconds = std::max(microseconds, last_microseconds_);
  number(microseconds - last_microseconds_);
  last_microseconds_ = microseconds;
}

uint64_t AllocationLogWriter::allocated(uint64_t microseconds, uint64_t bytes, uint64_t stream) {
  begin_record(AllocationAct::kAllocate, microseconds);
  number(bytes);
  number(stream);
  return blocks_++;
}

void AllocationLogWriter::freed(uint64_t microseconds, uint64_t block, uint64_t stream) {
  assert(block < blocks_);
  begin_record(AllocationAct::kFree, microseconds);
  number(blocks_ - 1 - block);
  number(stream);
}

void AllocationLogWriter::passed(uint64_t microseconds, uint64_t stream) {
  begin_record(AllocationAct::kPassed, microseconds);
  number(stream);
}

std::vector<uint8_t> AllocationLogWriter::take() { return std::exchange(bytes_, {}); }

Result<AllocationLogReader> AllocationLogReader::open(std::span<const uint8_t> log) {
  const bool ours =
      log.size() >= sizeof kMagic && std::equal(std::begin(kMagic), std::end(kMagic), log.begin());
  if (!ours)
    return Status(Code::kInvalidData, "no allocation log, or one of a version that this build does not know");
  AllocationLogReader reader(log);
  reader.at_ = sizeof kMagic;
  return reader;
}

Result<std::optional<uint64_t>> AllocationLogReader::number() {
  uint64_t value = 0;
  for (uint32_t shift = 0; at_ < log_.size(); shift += 7) {
    const uint8_t byte = log_[at_++];
    if (shift == 63 && byte > 1) return wrong(at_ - 1, "a number of more than 64 bits");
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) return std::optional(value);
  }
  return std::optional<uint64_t>();
}

Result<std::optional<AllocationEvent>> AllocationLogReader::next() {
  if (at_ == log_.size() || torn_) return std::optional<AllocationEvent>();
  const size_t begin = at_;
  const uint8_t act = log_[at_++];
  if (act < static_cast<uint8_t>(AllocationAct::kAllocate) ||
      act > static_cast<uint8_t>(AllocationAct::kPassed)) {
    at_ = log_.size();
    return wrong(begin, "no such record");
  }
  Result<std::optional<AllocationEvent>> event = read_record(static_cast<AllocationAct>(act));
  if (!event.ok()) at_ = log_.size();
  if (event.ok() && !event->has_value()) torn_ = true;
  return event;
}

Result<std::optional<AllocationEvent>> AllocationLogReader::read_record(AllocationAct act) {
  const size_t begin = at_ - 1;
  const size_t numbers = act == AllocationAct::kPassed ? 2 : 3;
  uint64_t fields[3] = {};
  for (size_t i = 0; i < numbers; ++i) {
    TESSERA_ASSIGN_OR_RETURN(const std::optional<uint64_t> field, number());
    if (!field) return std::optional<AllocationEvent>();
    fields[i] = *field;
  }
  if (__builtin_add_overflow(microseconds_, fields[0], &microseconds_))
    return wrong(begin, "beyond all time");
  AllocationEvent event{.act = act, .microseconds = microseconds_, .stream = fields[numbers - 1]};
  if (act == AllocationAct::kAllocate) {
    event.block = live_.size();
    event.bytes = fields[1];
    live_.push_back(true);
  } else if (act == AllocationAct::kFree) {
    if (fields[1] >= live_.size()) return wrong(begin, "a free of a block that was never allocated");
    event.block = live_.size() - 1 - fields[1];
    if (!live_[event.block]) return wrong(begin, "a block is freed twice");
    live_[event.block] = false;
  }
  return std::optional(event);
}

}  // namespace tessera::memory

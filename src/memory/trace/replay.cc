#include "memory/trace/replay.h"

#include <map>
#include <vector>

namespace tessera::memory {
namespace {

class Replay {
 public:
  explicit Replay(Pool& pool) : pool_(pool) {}

  Status act(const AllocationEvent& event) {
    switch (event.act) {
      case AllocationAct::kAllocate:
        return allocate(event);
      case AllocationAct::kFree:
        return free(event);
      case AllocationAct::kPassed:
        pass(event.stream);
        return {};
    }
    return {};
  }

  ReplayOutcome outcome() {
    outcome_.pool = pool_.stats();
    return outcome_;
  }

 private:
  Status allocate(const AllocationEvent& event) {
    const Result<uint64_t> made =
        event.stream == 0 ? pool_.allocate(event.bytes) : pool_.allocate_on(event.stream, event.bytes);
    ++outcome_.allocations;
    if (!made.ok()) ++outcome_.failed;
    addresses_.push_back(made.ok() ? *made : 0);
    return {};
  }

  Status free(const AllocationEvent& event) {
    const uint64_t address = addresses_[event.block];
    if (address == 0) return {};
    if (event.stream == 0) return pool_.free(address);
    return pool_.free_on(event.stream, ++tokens_[event.stream], address);
  }

  void pass(uint64_t stream) {
    for (const auto& [own, token] : tokens_) {
      if (stream == 0 || stream == own) pool_.passed(own, token);
    }
    if (stream == 0) {
      tokens_.clear();
    } else {
      tokens_.erase(stream);
    }
  }

  Pool& pool_;
  std::vector<uint64_t> addresses_;      // by block; 0 where it was refused
  std::map<uint64_t, uint64_t> tokens_;  // of streams with frees that have not been passed
  ReplayOutcome outcome_;
};

}  // namespace

Result<ReplayOutcome> replay(std::span<const uint8_t> log, Pool& pool) {
  TESSERA_ASSIGN_OR_RETURN(AllocationLogReader reader, AllocationLogReader::open(log));
  Replay replay(pool);
  for (;;) {
    TESSERA_ASSIGN_OR_RETURN(const std::optional<AllocationEvent> event, reader.next());
    if (!event) return replay.outcome();
    TESSERA_RETURN_IF_ERROR(replay.act(*event));
  }
}

}  // namespace tessera::memory

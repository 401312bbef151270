// Blocks freed in the order of a stream that is not there yet. Their stream may have them again at once: what
// it does next comes after the free. Others may when the stream has passed. Pure; the caller holds a lock.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

namespace tessera::memory {

// Streams are known by numbers that the caller never uses again, points in their order by tokens that rise.
using StreamId = uint64_t;

class StreamFrees {
 public:
  // `size`: what the block has room for.
  void add(StreamId stream, uint64_t token, uint64_t address, uint64_t size);
  // A block of the stream's own with room for `size` bytes that wastes no more than an eighth.
  std::optional<uint64_t> take(StreamId stream, uint64_t size);
  // All that was freed on the stream up to `token`.
  std::vector<uint64_t> passed(StreamId stream, uint64_t token);

  uint64_t bytes() const { return bytes_; }
  uint64_t count() const { return count_; }

 private:
  struct Stream {
    std::map<std::pair<uint64_t, uint64_t>, uint64_t> by_token;            // (token, address): size
    std::set<std::pair<uint64_t, std::pair<uint64_t, uint64_t>>> by_size;  // size, and its key above
  };

  std::unordered_map<StreamId, Stream> streams_;  // those with something in them
  uint64_t bytes_ = 0;
  uint64_t count_ = 0;
};

}  // namespace tessera::memory

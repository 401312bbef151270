// One direction of a relayed connection: bytes wait here until their time has come.
#pragma once

#include <cstddef>
#include <deque>
#include <string>

#include "tests/remote/relay/conditions.h"

namespace tessera::remote {

class RelayedDirection {
 public:
  // What waits at most, then no more is read: as routers have it.
  static constexpr size_t kMostBytes = size_t{64} << 20;

  RelayedDirection(uint64_t seed, uint64_t connection, bool upward, const Conditions& conditions)
      : plan_(conditions, seed, connection, upward) {}

  enum class Outcome { kGoesOn, kEnded, kDropped, kReset };

  // Reads from `from` what there is and there is room for.
  Outcome read(int from, const Conditions& conditions, uint64_t now_ns);
  // Writes to `to` what is due. kEnded: the sender had ended, and all it sent has gone.
  Outcome write(int to, const Conditions& conditions, uint64_t now_ns);

  // When write() has something to do; UINT64_MAX: nothing waits. Not while the receiver takes none.
  uint64_t due_ns() const { return blocked_ || chunks_.empty() ? UINT64_MAX : chunks_.front().due_ns; }
  bool blocked() const { return blocked_; }
  uint64_t bytes() const { return bytes_; }  // that have come in
  bool wants_more() const { return !read_ended_ && queued_ < kMostBytes; }

 private:
  struct Chunk {
    uint64_t due_ns = 0;
    std::string bytes;
    size_t sent = 0;
    Outcome then = Outcome::kGoesOn;
  };
  void enqueue(std::string bytes, const Conditions& conditions, uint64_t now_ns);
  void enqueue_end(Outcome end, uint64_t now_ns);

  FaultPlan plan_;
  std::deque<Chunk> chunks_;
  size_t queued_ = 0;
  uint64_t bytes_ = 0;
  uint64_t line_free_ns_ = 0;  // the rate: when the line has sent what it was given
  uint64_t last_due_ns_ = 0;
  uint64_t stalled_ns_ = 0;
  bool read_ended_ = false;
  bool blocked_ = false;
};

}  // namespace tessera::remote

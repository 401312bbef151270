// How much memory a program needs, by what it had of late: the most of a window that moves with the time, and
// a while longer what was needed before. Pure: it is told what there is, and the time.
//
// A program that has just begun has not shown what it needs: nothing is known of it until it has been watched
// for a whole window.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace tessera::memory {

class WorkingSet {
 public:
  static constexpr uint64_t kWindowNs = 60'000'000'000;

  explicit WorkingSet(uint64_t window_ns = kWindowNs) : step_ns_(window_ns / kSteps) {}

  // Up to `now_ns` it had `most_bytes` at the most since the last call, and has `bytes` now. Time does not go
  // back.
  void saw(uint64_t most_bytes, uint64_t bytes, uint64_t now_ns);
  // No less than what there was within the window, no more than what there ever was; what was needed before
  // falls by an eighth with each eighth of a window. None: it has not been watched for long enough.
  std::optional<uint64_t> need_bytes() const;

  // One that goes on where another has ended, by what that said last.
  void restore(uint64_t need_bytes);

 private:
  static constexpr size_t kSteps = 8;

  void step();

  const uint64_t step_ns_;
  std::array<uint64_t, kSteps + 1> most_{};  // of the current step, at `current_`, and of those before
  size_t current_ = 0;
  uint64_t bytes_ = 0;  // as last seen
  uint64_t need_ = 0;   // while it falls
  uint64_t watched_ns_ = 0;
  std::optional<uint64_t> step_began_ns_;  // none: nothing was seen yet
  bool is_known_ = false;
};

}  // namespace tessera::memory

// For a line of the log that a program can cause as often as it likes: the first is written, and others no
// sooner than a while after the last one that was. Pure, and not thread-safe.
#pragma once

#include <cstdint>
#include <optional>

namespace tessera {

class NoticePace {
 public:
  static constexpr uint64_t kPauseNs = uint64_t{60} * 1'000'000'000;

  // One that comes now is to be written: how many were not, since the last one that was. None: it is not.
  std::optional<uint64_t> came(uint64_t now_ns) {
    if (written_ns_ && now_ns < *written_ns_ + kPauseNs) {
      ++passed_over_;
      return std::nullopt;
    }
    written_ns_ = now_ns;
    const uint64_t passed_over = passed_over_;
    passed_over_ = 0;
    return passed_over;
  }

 private:
  std::optional<uint64_t> written_ns_;
  uint64_t passed_over_ = 0;
};

}  // namespace tessera

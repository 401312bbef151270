// epoll with one callback per descriptor, and the daemon's time. Single-threaded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>

#include "common/clock.h"
#include "common/fd.h"
#include "common/status.h"
#include "common/steady_time.h"

namespace tessera::node {

class EventLoop {
 public:
  using Handler = std::function<void(uint32_t events)>;
  using Watch = uint64_t;  // 0 is none

  using Clock = uint64_t (*)();

  static Result<EventLoop> create(Clock clock = monotonic_ns);

  // What everything here goes by; nothing else in the daemon reads a clock.
  uint64_t now_ns() const { return time_.read(clock_()); }
  // What people and other machines go by, in milliseconds since 1970; it may jump.
  uint64_t wall_ms() const {
    constexpr uint64_t kNsPerMs = 1'000'000;
    return wall_ns() / kNsPerMs;
  }
  // When that was, by this time, that a process of ours has read from the same clock.
  uint64_t when(uint64_t clock_ns) const {
    now_ns();  // or what was read since the last time would be as old as that
    return time_.when(clock_ns);
  }

  // The descriptor stays the caller's and must be unwatched before it is closed.
  Result<Watch> watch(int fd, uint32_t events, Handler handler);
  Status change(Watch watch, uint32_t events);
  void unwatch(Watch watch);

  // Waits at most `timeout_ns` (nothing: without end) and calls the handlers of what is ready. A handler may
  // unwatch anything, itself included: events of a watch that is gone are dropped.
  Status run_once(std::optional<uint64_t> timeout_ns);
  // Handlers that the last run_once has called.
  size_t handled() const { return handled_; }

 private:
  struct Entry {
    int fd;
    Handler handler;
  };
  EventLoop(UniqueFd epoll, Clock clock) : epoll_(std::move(epoll)), clock_(clock) {}

  UniqueFd epoll_;
  Clock clock_;
  mutable SteadyTime time_;  // whoever asks for the time moves it on
  std::map<Watch, Entry> entries_;
  Watch next_ = 1;
  size_t handled_ = 0;
};

}  // namespace tessera::node

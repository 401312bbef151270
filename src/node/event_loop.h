// epoll with one callback per descriptor. Single-threaded.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>

#include "common/fd.h"
#include "common/status.h"

namespace tessera::node {

class EventLoop {
 public:
  using Handler = std::function<void(uint32_t events)>;
  using Watch = uint64_t;  // 0 is none

  static Result<EventLoop> create();

  // The descriptor stays the caller's and must be unwatched before it is closed.
  Result<Watch> watch(int fd, uint32_t events, Handler handler);
  Status change(Watch watch, uint32_t events);
  void unwatch(Watch watch);

  // Waits at most `timeout_ns` (nothing: without end) and calls the handlers of what is ready. A handler may
  // unwatch anything, itself included: events of a watch that is gone are dropped.
  Status run_once(std::optional<uint64_t> timeout_ns);

 private:
  struct Entry {
    int fd;
    Handler handler;
  };
  explicit EventLoop(UniqueFd epoll) : epoll_(std::move(epoll)) {}

  UniqueFd epoll_;
  std::map<Watch, Entry> entries_;
  Watch next_ = 1;
};

}  // namespace tessera::node

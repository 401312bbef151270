#include "node/event_loop.h"

#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <ctime>
#include <span>

namespace tessera::node {

Result<EventLoop> EventLoop::create(Clock clock) {
  UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return Status::from_errno(errno, "cannot make an epoll descriptor");
  return EventLoop(std::move(epoll), clock);
}

Result<EventLoop::Watch> EventLoop::watch(int fd, uint32_t events, Handler handler) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = next_;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    return Status::from_errno(errno, "cannot watch descriptor %d", fd);
  }
  entries_.emplace(next_, Entry{fd, std::move(handler)});
  return next_++;
}

Status EventLoop::change(Watch watch, uint32_t events) {
  auto entry = entries_.find(watch);
  assert(entry != entries_.end());
  epoll_event event{};
  event.events = events;
  event.data.u64 = watch;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, entry->second.fd, &event) != 0) {
    return Status::from_errno(errno, "cannot change the watch of descriptor %d", entry->second.fd);
  }
  return Status();
}

void EventLoop::unwatch(Watch watch) {
  auto entry = entries_.find(watch);
  if (entry == entries_.end()) return;
  [[maybe_unused]] int removed = epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, entry->second.fd, nullptr);
  assert(removed == 0);
  entries_.erase(entry);
}

namespace {

// Turns on a GPU end within a millisecond; kernels before Linux 5.11 wait in whole ones.
int wait_for_events(int epoll, std::span<epoll_event> events, std::optional<uint64_t> timeout_ns) {
  const int most = static_cast<int>(events.size());
  if (!timeout_ns) return epoll_wait(epoll, events.data(), most, -1);
  const timespec timeout{static_cast<time_t>(*timeout_ns / 1'000'000'000),
                         static_cast<long>(*timeout_ns % 1'000'000'000)};
  const int count = epoll_pwait2(epoll, events.data(), most, &timeout, nullptr);
  if (count >= 0 || errno != ENOSYS) return count;
  return epoll_wait(epoll, events.data(), most,
                    static_cast<int>(std::min<uint64_t>(*timeout_ns / 1'000'000 + 1, 60'000)));
}

}  // namespace

Status EventLoop::run_once(std::optional<uint64_t> timeout_ns) {
  std::array<epoll_event, 64> events;
  const uint64_t now = now_ns();
  time_.expect(timeout_ns && *timeout_ns < UINT64_MAX - now ? now + *timeout_ns : UINT64_MAX);
  handled_ = 0;
  int count = wait_for_events(epoll_.get(), events, timeout_ns);
  if (count < 0 && errno != EINTR) return Status::from_errno(errno, "cannot wait for events");
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<size_t>(i)];
    auto entry = entries_.find(event.data.u64);
    if (entry == entries_.end()) continue;
    Handler handler = entry->second.handler;  // a copy: the handler may unwatch itself
    ++handled_;
    handler(event.events);
  }
  return Status();
}

}  // namespace tessera::node

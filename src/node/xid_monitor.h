// XIDs as they happen. A child waits for the driver's events and prints a line for each (xid_events.h), so
// that a driver that hangs or crashes takes the child, not the daemon; another one is started then, later and
// later.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "node/child_process.h"
#include "node/event_loop.h"
#include "node/xid_events.h"

namespace tessera::node {

class XidMonitor {
 public:
  using Callback = std::function<void(const XidEvent& event)>;

  // `command` prints xid_event_text() lines; its first word is a path. Empty: nothing is ever heard.
  XidMonitor(EventLoop& loop, std::vector<std::string> command, Callback heard)
      : loop_(loop), command_(std::move(command)), heard_(std::move(heard)) {}
  ~XidMonitor();
  XidMonitor(const XidMonitor&) = delete;
  XidMonitor& operator=(const XidMonitor&) = delete;

  // Listens from now on, if it does not already.
  void start(uint64_t now_ns);
  void tick(uint64_t now_ns);
  std::optional<uint64_t> next_deadline_ns() const;

 private:
  void try_to_start(uint64_t now_ns);
  void on_readable();
  void hear_lines();
  void lose_child();

  EventLoop& loop_;
  std::vector<std::string> command_;
  Callback heard_;
  bool wanted_ = false;
  pid_t child_ = 0;
  UniqueFd pipe_;
  EventLoop::Watch watch_ = 0;
  std::string text_;  // of a line that has not ended
  uint64_t started_ns_ = 0;
  uint64_t retry_at_ns_ = 0;
  uint64_t pause_ns_ = 0;
  LeavingChildren leaving_;
};

}  // namespace tessera::node

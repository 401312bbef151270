// A child that does slow things for the daemon: it is told lines and tells some. A disk that hangs or a
// library that crashes takes the child, not the daemon; another one is started then, later and later. What
// waits for it is bounded: lines that find no room are dropped and counted.
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "node/child_process.h"
#include "node/event_loop.h"

namespace tessera::node {

class LineChild {
 public:
  static constexpr size_t kMostWaitingBytes = 4 * 1024 * 1024;
  static constexpr size_t kMostLineBytes = 8 * 1024 * 1024;  // that it tells

  struct Handlers {
    std::function<void(const std::string& line)> heard;
    std::function<void()> lost;  // the child has ended: what it was asked is answered no more
  };

  // `what` it is, for the log; the first word of `command` is a path.
  LineChild(EventLoop& loop, const char* what, std::vector<std::string> command, Handlers handlers)
      : loop_(loop), what_(what), command_(std::move(command)), handlers_(std::move(handlers)) {}
  ~LineChild();
  LineChild(const LineChild&) = delete;
  LineChild& operator=(const LineChild&) = delete;

  void start(uint64_t now_ns);
  bool runs() const { return child_ != 0; }
  // False: it was dropped.
  bool tell(std::string_view line);
  void tick(uint64_t now_ns);
  std::optional<uint64_t> next_deadline_ns() const;
  uint64_t dropped() const { return dropped_; }

 private:
  void try_to_start(uint64_t now_ns);
  void on_readable();
  void flush();
  void watch_output(bool on);
  void lose();

  EventLoop& loop_;
  const char* what_;
  std::vector<std::string> command_;
  Handlers handlers_;
  bool wanted_ = false;
  pid_t child_ = 0;
  UniqueFd input_, output_;
  EventLoop::Watch input_watch_ = 0, output_watch_ = 0;
  std::string waiting_;
  std::string heard_;
  uint64_t started_ns_ = 0, retry_at_ns_ = 0, pause_ns_ = 0;
  uint64_t dropped_ = 0;
  bool told_dropping_ = false;
  LeavingChildren leaving_;
};

}  // namespace tessera::node

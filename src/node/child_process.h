// Children that print: what may hang or crash in a driver is asked there.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "common/fd.h"
#include "common/status.h"

namespace tessera::node {

struct PrintingChild {
  pid_t pid = 0;
  UniqueFd output;  // does not block
};

// The command's first word is a path. The child has the environment of this process and blocks no signals.
Result<PrintingChild> start_printing(const std::vector<std::string>& command);

struct TalkingChild {
  pid_t pid = 0;
  UniqueFd input;   // what it is told; neither blocks
  UniqueFd output;  // what it tells
};
// The same, which reads what it is told.
Result<TalkingChild> start_talking(const std::vector<std::string>& command);

struct AskedChild {
  pid_t pid = 0;
  UniqueFd socket;  // it reads there what it is asked, and answers there; does not block
};
// The same over a socket, on which nobody is killed by SIGPIPE who sends without signals.
Result<AskedChild> start_asked(const std::vector<std::string>& command);

// Children that have been told to end, or have answered, and are not reaped yet: a moment, or for long in a
// driver that hangs, where SIGKILL does not reach them.
class LeavingChildren {
 public:
  static constexpr size_t kMost = 4;  // then nobody else should be sent there

  void add(pid_t child) { children_.push_back(child); }
  // Never waits.
  void reap();
  bool full() const { return children_.size() >= kMost; }
  void kill_all();

 private:
  std::vector<pid_t> children_;
};

}  // namespace tessera::node

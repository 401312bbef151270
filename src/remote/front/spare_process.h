// A process that was forked before its session is there: a client that has shown who it is need not wait for
// the fork, nor for the pages that a new process has yet to get. It belongs to nobody until then: it knows no
// token, no tenant and no connection.
#pragma once

#include "remote/front/session_process.h"

namespace tessera::remote {

struct SpareProcess {
  pid_t pid = 0;
  UniqueFd process;  // a pidfd
  UniqueFd control;  // the front's end
  SharedBandwidthPage bandwidth;

  // `forget` is called in the new process, first of all: what the front has of others goes then.
  static Result<SpareProcess> start(const SessionHooks& hooks, const std::function<void()>& forget);

  SpareProcess() = default;
  SpareProcess(SpareProcess&& other) noexcept;
  SpareProcess& operator=(SpareProcess&&) = delete;
  ~SpareProcess();  // kills it, where it is still there
  // It is a session now, and somebody else's to wait for.
  pid_t let_go() { return std::exchange(pid, 0); }
};

}  // namespace tessera::remote

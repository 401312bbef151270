#include "remote/front/spare_process.h"

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "common/log.h"
#include "remote/front/control.h"
#include "remote/front/resident.h"
#include "remote/front/session_order.h"

namespace tessera::remote {
namespace {

constexpr size_t kThreadsAtOnce = 2;  // that a session begins with

[[noreturn]] void wait_for_session(UniqueFd control, BandwidthPage* bandwidth, const SessionHooks& hooks) {
  begin_process({control.get()});
  make_resident();
  make_threads_resident(kThreadsAtOnce);
  (void)bandwidth->download.rate.load(std::memory_order_relaxed);
  pollfd waiting{control.get(), POLLIN, 0};
  while (poll(&waiting, 1, -1) < 0 && errno == EINTR) continue;
  auto session = receive_order(control.get());
  if (!session.ok()) {
    // The usual end of a process that nobody has needed.
    LOG_DEBUG("front", "a process that was to become a session ends: %s", session.status().message().c_str());
    _exit(0);
  }
  session->bandwidth = bandwidth;
  session->start.control = std::move(control);
  become_session(std::move(*session), hooks);
}

}  // namespace

Result<SpareProcess> SpareProcess::start(const SessionHooks& hooks, const std::function<void()>& forget) {
  SpareProcess spare;
  TESSERA_ASSIGN_OR_RETURN(ControlPair control, make_control());
  TESSERA_ASSIGN_OR_RETURN(spare.bandwidth, make_bandwidth_page());
  fflush(nullptr);  // or both would write what is left
  const pid_t pid = fork();
  if (pid < 0) return Status::from_errno(errno, "cannot start a process for the next session");
  if (pid == 0) {
    forget();
    wait_for_session(std::move(control.session), spare.bandwidth.get(), hooks);
  }
  spare.pid = pid;
  spare.control = std::move(control.front);
  keep_from_later_forks(spare.bandwidth.get());
  spare.process.reset(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!spare.process) return Status::from_errno(errno, "cannot watch a process");
  return spare;
}

SpareProcess::SpareProcess(SpareProcess&& other) noexcept
    : pid(std::exchange(other.pid, 0)),
      process(std::move(other.process)),
      control(std::move(other.control)),
      bandwidth(std::move(other.bandwidth)) {}

SpareProcess::~SpareProcess() {
  if (pid == 0) return;
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
}

}  // namespace tessera::remote

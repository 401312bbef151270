#include "remote/front/session_process.h"

#include <linux/close_range.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <vector>

#include "common/clock.h"
#include "common/log.h"
#include "remote/bandwidth/limited_transport.h"
#include "remote/session/exchange.h"
#include "remote/transport/shm_transport.h"
#include "remote/transport/socket_transport.h"
#include "remote/transport/tls_transport.h"

namespace tessera::remote {
namespace {

constexpr uint64_t kAnswerNs = 10'000'000'000;  // a client that does not take its answer has gone

void close_between(unsigned first, unsigned last) {
  if (first <= last) (void)syscall(SYS_close_range, first, last, 0);
}

void keep_only(std::initializer_list<int> keep) {
  std::vector<int> sorted(keep);
  std::sort(sorted.begin(), sorted.end());
  unsigned first = 3;
  for (const int descriptor : sorted) {
    const auto kept = static_cast<unsigned>(descriptor);
    close_between(first, kept - 1);
    first = std::max(first, kept + 1);
  }
  close_between(first, ~0U);
}

// Ctrl-C goes to the whole group of processes: the front says when to end.
void take_signals() {
  for (const int number : {SIGINT, SIGHUP, SIGQUIT}) signal(number, SIG_IGN);
  for (const int number : {SIGTERM, SIGCHLD}) signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

int descriptor_of(Transport& transport, Flavour flavour) {
  return flavour == Flavour::kTls ? static_cast<TlsTransport&>(transport).descriptor()
                                  : static_cast<SocketTransport&>(transport).descriptor();
}

std::unique_ptr<Transport> limited(std::unique_ptr<Transport> transport,
                                   const std::shared_ptr<SessionBandwidth>& bandwidth) {
  if (bandwidth == nullptr) return transport;
  return std::make_unique<LimitedTransport>(std::move(transport), bandwidth);
}

// Whose process is on the other side; none where it is not known.
UniqueFd process_behind(int socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || peer.pid <= 0) return UniqueFd();
  return UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, peer.pid, 0)));
}

Status answer(NewSession& session, const SessionHooks& hooks) {
  Transport& transport = *session.transport;
  if (hooks.prepare) {
    Status prepared = hooks.prepare(session.start);
    if (!prepared.ok()) {
      const Refusal refusal{prepared.code(), prepared.message()};
      (void)send_all(transport, encode(HandshakeMessage(refusal)), monotonic_ns() + kAnswerNs);
      return prepared;
    }
  }
  TESSERA_RETURN_IF_ERROR(send_all(transport, session.answer, monotonic_ns() + kAnswerNs));
  session.start.transport = std::move(session.transport);
  if (session.flavour != Flavour::kShm) return Status();
  UniqueFd socket = std::move(static_cast<SocketTransport&>(*session.start.transport)).release();
  TESSERA_ASSIGN_OR_RETURN(session.start.transport,
                           ShmTransport::accept(std::move(socket), std::chrono::nanoseconds(kAnswerNs)));
  return Status();
}

int run_session(NewSession& session, const SessionHooks& hooks) {
  const int socket = descriptor_of(*session.transport, session.flavour);
  begin_process({socket, session.start.control.get()});
  if (is_local(session.flavour)) session.start.client = process_behind(socket);
  session.start.secrets = std::make_unique<SessionSecrets>(session.secret);
  if (session.bandwidth != nullptr)
    session.start.bandwidth = std::make_shared<SessionBandwidth>(session.bandwidth);
  const Status status = answer(session, hooks);
  if (!status.ok()) {
    LOG_WARN("front", "session of %s from %s does not begin: %s", session.start.identity.name.c_str(),
             session.start.peer.c_str(), status.message().c_str());
    return kExitRefused;
  }
  forget(session.secret);
  session.start.transport = limited(std::move(session.start.transport), session.start.bandwidth);
  return hooks.run(std::move(session.start));
}

}  // namespace

Result<Returned> accept_connection(const SessionStart& start, Returning connection, uint64_t deadline_ns) {
  TESSERA_ASSIGN_OR_RETURN(Returned returned,
                           accept_returning(std::move(connection), *start.secrets, deadline_ns));
  returned.transport = limited(std::move(returned.transport), start.bandwidth);
  return returned;
}

void begin_process(std::initializer_list<int> keep) {
  keep_only(keep);
  take_signals();
}

void become_session(NewSession session, const SessionHooks& hooks) {
  int code = 1;
  try {
    code = run_session(session, hooks);
  } catch (const std::exception& error) {  // memory, or a hook
    LOG_ERROR("front", "a session ends: %s", error.what());
  }
  fflush(nullptr);
  _exit(code);
}

}  // namespace tessera::remote

// The front and its sessions: from the fork to the end.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "common/clock.h"
#include "common/log.h"
#include "common/strings.h"
#include "remote/front/control.h"
#include "remote/front/front.h"
#include "remote/front/session_order.h"
#include "remote/session/sealed.h"
#include "remote/transport/tls_memory.h"
#include "remote/transport/tls_transport.h"

namespace tessera::remote {
namespace {

constexpr double kBurstSeconds = 5;  // of its rate, an identity may have at once

std::string peer_of(int socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  char text[INET6_ADDRSTRLEN] = "";
  if (getpeername(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0) return "somewhere";
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
    return str_format("%s:%u", text, ntohs(v4.sin_port));
  }
  if (address.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
    return str_format("[%s]:%u", text, ntohs(v6.sin6_port));
  }
  ucred process{};
  size = sizeof process;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &process, &size) != 0) return "this machine";
  return str_format("process %d of user %u", process.pid, process.uid);
}

Identity without_token(const Identity& identity) {
  Identity copy = identity;
  copy.token.clear();
  return copy;
}

}  // namespace

void Front::hand_to_session(PendingConnection& connection) {
  const auto found = by_id_.find(connection.preamble().session);
  if (found == by_id_.end()) return connection.refuse(Verdict::kNoSuchSession);
  const Session& session = sessions_.at(found->second);
  Returning returning{connection.preamble(), connection.release_socket()};
  (void)epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, returning.socket.get(), nullptr);
  const Status handed = hand_over(session.control.get(), returning);
  if (handed.ok()) return;
  LOG_WARN("front", "session %d does not take its client's connection: %s", session.pid,
           handed.message().c_str());
  connection.refuse(Verdict::kTooFast);
}

Status Front::may_begin(const Identity& identity, uint64_t now_ns) {
  if (stopping_) return status_of({kWireVersion, Verdict::kEnding});
  if (sessions_.size() >= options_.most_sessions) return status_of({kWireVersion, Verdict::kFull});
  const auto its =
      static_cast<size_t>(std::count_if(sessions_.begin(), sessions_.end(), [&](const auto& one) {
        return one.second.identity == identity.name;
      }));
  if (identity.sessions != 0 && its >= identity.sessions) {
    return Status::error(Code::kResourceExhausted,
                         "'%s' has %zu sessions, as many as it may have; end one first",
                         identity.name.c_str(), its);
  }
  const double burst = std::max(1.0, identity.connections_per_second * kBurstSeconds);
  auto& rate = rates_.try_emplace(identity.name, identity.connections_per_second, burst).first->second;
  if (rate.take(now_ns)) return Status();
  return Status::error(Code::kResourceExhausted,
                       "'%s' begins more sessions than its %g a second; wait a moment", identity.name.c_str(),
                       identity.connections_per_second);
}

Result<NewSession> Front::describe_session(const PendingConnection& connection) {
  const Admitted& admitted = *connection.talk().admitted;
  NewSession session;
  session.flavour = connection.preamble().flavour;
  SessionStart& start = session.start;
  const Identity* const known = options_.identities.find(admitted.identity);
  if (known != nullptr) start.identity = without_token(*known);
  start.identity.name = admitted.identity;
  TESSERA_RETURN_IF_ERROR(may_begin(start.identity, monotonic_ns()));
  start.wishes = admitted.wishes;
  start.peer = peer_of(connection.descriptor());
  start.checksums = connection.preamble().checksums;
  start.tenant_key = tenant_key(tenants_key_, start.identity.name);
  TESSERA_RETURN_IF_ERROR(fill_random(start.id));
  TESSERA_RETURN_IF_ERROR(fill_random(session.secret));
  session.answer = admitted.answer(start.id, session.secret);
  return session;
}

Status Front::begin_session(PendingConnection& connection) {
  TESSERA_ASSIGN_OR_RETURN(NewSession session, describe_session(connection));
  want_spare();
  // What TLS knows of a connection is in this process, and its fork has it too.
  const bool may_hand_over = session.flavour != Flavour::kTls;
  if (may_hand_over && spare_ && send_order(spare_->control.get(), session, connection.descriptor()).ok()) {
    SpareProcess taken = take_spare();
    const SessionStart& start = session.start;
    forget(session.secret);
    return add_session(start, {start.id, start.identity.name, start.peer, taken.let_go(), UniqueFd(),
                               std::move(taken.control), monotonic_ns(), std::move(taken.bandwidth)});
  }
  return fork_session(std::move(session), connection);
}

Status Front::fork_session(NewSession session, PendingConnection& connection) {
  SessionStart& start = session.start;
  TESSERA_ASSIGN_OR_RETURN(ControlPair control, make_control());
  start.control = std::move(control.session);
  // Without a limit, too: there may be one tomorrow.
  TESSERA_ASSIGN_OR_RETURN(SharedBandwidthPage bandwidth, make_bandwidth_page());
  session.bandwidth = bandwidth.get();
  fflush(nullptr);  // or both would write what is left
  const pid_t pid = fork();
  if (pid < 0) return Status::from_errno(errno, "the server cannot start a process for the session");
  if (pid == 0) {
    session.transport = std::move(connection.take()->transport);
    if (session.flavour == Flavour::kTls) static_cast<TlsTransport&>(*session.transport).forget_key();
    forget_others();
    become_session(std::move(session), options_.hooks);
  }
  forget(session.secret);
  keep_from_later_forks(bandwidth.get());
  return add_session(start, {start.id, start.identity.name, start.peer, pid, UniqueFd(),
                             std::move(control.front), monotonic_ns(), std::move(bandwidth)});
}

Status Front::add_session(const SessionStart& start, Session session) {
  const pid_t pid = session.pid;
  session.process.reset(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  Status watched = session.process ? watch(session.process.get(), EPOLLIN, next_)
                                   : Status::from_errno(errno, "cannot watch a process");
  if (!watched.ok()) {
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    return watched;
  }
  bandwidth_.add(next_, session.identity, session.bandwidth.get());
  if (options_.bandwidth.limited()) next_share_ns_ = monotonic_ns();
  sessions_.emplace(next_, std::move(session));
  by_id_.emplace(start.id, next_++);
  if (options_.started) options_.started(start, pid);
  return Status();
}

void Front::forget_others() {
  pending_.clear();
  admins_.clear();
  sessions_.clear();
  by_id_.clear();
  rates_.clear();
  options_.identities.forget_tokens();
  if (options_.tls) options_.tls->forget_key();
  options_.tls.reset();
  stop_wiping_tls_memory();  // connections that were pending had the key as well
  forget(tenants_key_);
}

void Front::share_bandwidth(uint64_t now_ns) {
  if (now_ns < next_share_ns_) return;
  bandwidth_.share(options_.bandwidth, now_ns);
  const bool goes_on = !bandwidth_.empty() && options_.bandwidth.limited();
  next_share_ns_ = goes_on ? now_ns + BandwidthBoard::kPeriodNs : UINT64_MAX;
}

void Front::set_bandwidth(BandwidthOptions bandwidth) {
  options_.bandwidth = std::move(bandwidth);
  next_share_ns_ = 0;
  share_bandwidth(monotonic_ns());
}

Status Front::set_admission(const std::string& name, std::optional<uint32_t> sessions,
                            std::optional<double> connections_per_second) {
  Identity* const identity = options_.identities.find(name);
  if (identity == nullptr) return Status::error(Code::kNotFound, "nobody is called '%s'", name.c_str());
  if (sessions) identity->sessions = *sessions;
  if (connections_per_second) {
    identity->connections_per_second = *connections_per_second;
    rates_.erase(name);
  }
  return Status();
}

std::vector<SessionFigures> Front::figures() const {
  std::vector<SessionFigures> all;
  const uint64_t now_ns = monotonic_ns();
  const auto of = [](const BandwidthPage::OneWay& way) {
    return SessionFigures::OneWay{way.rate.load(std::memory_order_relaxed),
                                  way.gone.load(std::memory_order_relaxed),
                                  way.held_up.load(std::memory_order_relaxed)};
  };
  for (const auto& [watch, session] : sessions_) {
    all.push_back({session.id, session.identity, session.peer, session.pid,
                   static_cast<double>(now_ns - session.started_ns) * 1e-9, of(session.bandwidth->download),
                   of(session.bandwidth->upload)});
  }
  return all;
}

void Front::reap(Watch id) {
  const auto found = sessions_.find(id);
  const Session& session = found->second;
  SessionEnd end{session.id, session.identity, session.pid, 0,
                 static_cast<double>(monotonic_ns() - session.started_ns) * 1e-9};
  if (waitpid(session.pid, &end.wait_status, WNOHANG) != session.pid) return;
  (void)epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, session.process.get(), nullptr);
  by_id_.erase(session.id);
  bandwidth_.remove(id);
  sessions_.erase(found);
  if (options_.ended) options_.ended(end);
}

void Front::stop() {
  if (stopping_) {
    kill_sessions();
    return;
  }
  stopping_ = true;
  kill_ns_ = monotonic_ns() + options_.ending_ns;
  for (auto& [id, listener] : listeners_)
    (void)epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, listener.socket.get(), nullptr);
  listeners_.clear();
  drop_spare();
  for (const Address& address : addresses_)
    if (is_local(address.flavour)) unlink(address.path.c_str());
  if (admin_listener_) unlink(options_.admin_path.c_str());
  while (!pending_.empty()) drop(pending_.begin()->first);
  // Who does not read what it is told is killed later.
  for (const auto& [id, session] : sessions_) (void)ask_to_end(session.control.get());
}

void Front::kill_sessions() {
  kill_ns_ = 0;
  for (const auto& [id, session] : sessions_)
    (void)syscall(SYS_pidfd_send_signal, session.process.get(), SIGKILL, nullptr, 0);
}

}  // namespace tessera::remote

#include "remote/front/front.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "common/clock.h"
#include "common/log.h"
#include "remote/session/proof.h"
#include "remote/transport/dial.h"

namespace tessera::remote {
namespace {

constexpr int kListenQueue = 1024;
constexpr int kAcceptsAtOnce = 64;  // then whoever is there already gets its turn
constexpr uint64_t kStopWatch = 0;
constexpr size_t kMostAdmins = 16;

uint32_t epoll_events(unsigned wanted) {
  uint32_t events = 0;
  if ((wanted & Transport::kReadable) != 0) events |= EPOLLIN;
  if ((wanted & Transport::kWritable) != 0) events |= EPOLLOUT;
  return events;
}

}  // namespace

Result<std::unique_ptr<Front>> Front::create(FrontOptions options) {
  std::unique_ptr<Front> front(new Front(std::move(options)));
  front->epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  if (!front->epoll_) return Status::from_errno(errno, "cannot make an epoll");
  TESSERA_RETURN_IF_ERROR(fill_random(front->tenants_key_));
  TESSERA_RETURN_IF_ERROR(front->listen());
  if (!front->options_.admin_path.empty()) TESSERA_RETURN_IF_ERROR(front->listen_for_admins());
  if (front->options_.stop_descriptor >= 0)
    TESSERA_RETURN_IF_ERROR(front->watch(front->options_.stop_descriptor, EPOLLIN, kStopWatch));
  return front;
}

Front::~Front() {
  for (const Address& address : addresses_)
    if (is_local(address.flavour) && !stopping_) unlink(address.path.c_str());
  if (admin_listener_ && !stopping_) unlink(options_.admin_path.c_str());
}

Status Front::watch(int descriptor, uint32_t events, Watch id) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = id;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, descriptor, &event) != 0)
    return Status::from_errno(errno, "cannot watch a descriptor");
  return Status();
}

Status Front::listen() {
  for (const Address& wanted : options_.addresses) {
    TESSERA_ASSIGN_OR_RETURN(std::vector<UniqueFd> sockets, listen_at(wanted, kListenQueue));
    for (UniqueFd& socket : sockets) {
      Address address = wanted;
      if (!is_local(address.flavour)) {
        TESSERA_ASSIGN_OR_RETURN(address.port, bound_port(socket.get()));
      }
      TESSERA_RETURN_IF_ERROR(watch(socket.get(), EPOLLIN, next_));
      listeners_.emplace(next_++, Listener{addresses_.size(), std::move(socket)});
      addresses_.push_back(std::move(address));
    }
  }
  return Status();
}

Verdict Front::judge(const Preamble& preamble, size_t listener) {
  const bool local = is_local(addresses_[listener].flavour);
  if (is_local(preamble.flavour) != local) return Verdict::kWrongPlace;
  if (preamble.flavour == Flavour::kTls && options_.tls == nullptr) return Verdict::kNoTls;
  if (preamble.flavour == Flavour::kTcp && options_.wants_tls) return Verdict::kWantsTls;
  if (stopping_) return Verdict::kEnding;
  if (preamble.kind == ConnectionKind::kNew)
    return sessions_.size() < options_.most_sessions ? Verdict::kWelcome : Verdict::kFull;
  const auto found = by_id_.find(preamble.session);
  if (found == by_id_.end()) return Verdict::kNoSuchSession;
  return sessions_.at(found->second).returns.take(monotonic_ns()) ? Verdict::kWelcome : Verdict::kTooFast;
}

bool Front::nobody_may_in(size_t) const { return options_.nobody_may_in; }

Status Front::step(uint64_t limit_ns) {
  epoll_event events[64];
  const int count = epoll_wait(epoll_.get(), events, 64, wait_ms(limit_ns, monotonic_ns()));
  if (count < 0 && errno != EINTR) return Status::from_errno(errno, "cannot wait for connections");
  for (int i = 0; i < count; ++i) handle(events[i].data.u64);
  expire(monotonic_ns());
  share_bandwidth(monotonic_ns());
  keep_spare(monotonic_ns());
  return Status();
}

Status Front::run() {
  constexpr uint64_t kRoundNs = 1'000'000'000;
  while (!stopped()) TESSERA_RETURN_IF_ERROR(step(kRoundNs));
  return Status();
}

void Front::handle(Watch id) {
  if (id == kStopWatch) {
    char bytes[128];  // a signalfd_siginfo
    if (read(options_.stop_descriptor, bytes, sizeof bytes) > 0) stop();
  } else if (const auto listener = listeners_.find(id); listener != listeners_.end()) {
    accept_from(listener->second);
  } else if (pending_.contains(id)) {
    step_pending(id);
  } else if (sessions_.contains(id)) {
    reap(id);
  } else if (spare_ && id == spare_watch_) {
    drop_spare();  // it has ended
  } else if (id == admin_watch_) {
    accept_admins();
  } else if (admins_.contains(id)) {
    step_admin(id);
  }
}

Status Front::listen_for_admins() {
  TESSERA_ASSIGN_OR_RETURN(std::vector<UniqueFd> sockets,
                           listen_at({Flavour::kUnix, "", 0, options_.admin_path}, kMostAdmins));
  admin_listener_ = std::move(sockets.front());
  admin_watch_ = next_++;
  return watch(admin_listener_.get(), EPOLLIN, admin_watch_);
}

void Front::accept_admins() {
  UniqueFd socket(accept4(admin_listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!socket) return;
  if (const Status allowed = AdminConnection::check_peer(socket.get()); !allowed.ok()) {
    LOG_WARN("front", "a question is not answered: %s", allowed.message().c_str());
    return;
  }
  if (admins_.size() >= kMostAdmins) drop_admin(admins_.begin()->first);
  if (!watch(socket.get(), EPOLLIN, next_).ok()) return;
  admins_.try_emplace(next_++, std::move(socket), monotonic_ns() + AdminConnection::kPatienceNs);
}

void Front::step_admin(Watch id) {
  AdminConnection& connection = admins_.at(id);
  const bool was_answering = connection.is_answering();
  if (!connection.step(options_.admin)) {
    drop_admin(id);
    return;
  }
  if (connection.is_answering() == was_answering) return;
  epoll_event event{};
  event.events = EPOLLOUT;
  event.data.u64 = id;
  (void)epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, connection.descriptor(), &event);
}

void Front::drop_admin(Watch id) {
  const auto found = admins_.find(id);
  (void)epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, found->second.descriptor(), nullptr);
  admins_.erase(found);
}

void Front::accept_from(const Listener& listener) {
  for (int i = 0; i < kAcceptsAtOnce; ++i) {
    UniqueFd socket(accept4(listener.socket.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket && (errno == EMFILE || errno == ENFILE) && !pending_.empty()) {
      drop(pending_.begin()->first);
      continue;
    }
    if (!socket) return;
    if (!watch(socket.get(), EPOLLIN, next_).ok()) continue;
    const uint64_t deadline_ns = monotonic_ns() + options_.handshake_ns;
    pending_.emplace(next_, Pending{PendingConnection(std::move(socket), listener.address, deadline_ns)});
    bound_pending();
    ++next_;
  }
}

// The oldest goes first: whoever means it is through within a few round trips.
void Front::bound_pending() {
  if (pending_.size() > options_.most_unauthenticated) drop(pending_.begin()->first);
}

void Front::drop(Watch id) {
  const auto found = pending_.find(id);
  const PendingConnection& connection = found->second.connection;
  // Where a process that was forked meanwhile still has it, closing would leave it in the epoll.
  (void)epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, connection.descriptor(), nullptr);
  if (connection.holds_tls()) --handshakes_;
  pending_.erase(found);
}

void Front::step_pending(Watch id) {
  Pending& pending = pending_.at(id);
  PendingConnection& connection = pending.connection;
  const bool held_tls = connection.holds_tls();
  const auto outcome = connection.step(*this);
  if (connection.holds_tls() && !held_tls) ++handshakes_;
  if (held_tls && !connection.holds_tls()) --handshakes_;
  if (outcome != PendingConnection::Outcome::kWaiting) {
    settle(id, connection, outcome);
    return;
  }
  if (connection.wanted() != pending.watched) {
    epoll_event event{};
    event.events = epoll_events(connection.wanted());
    event.data.u64 = id;
    (void)epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, connection.descriptor(), &event);
    pending.watched = connection.wanted();
  }
  if (handshakes_ <= options_.most_handshakes) return;
  const auto oldest = std::find_if(pending_.begin(), pending_.end(),
                                   [](const auto& one) { return one.second.connection.holds_tls(); });
  if (oldest != pending_.end()) drop(oldest->first);
}

void Front::settle(Watch id, PendingConnection& connection, PendingConnection::Outcome outcome) {
  if (outcome == PendingConnection::Outcome::kPreambleRead) {
    hand_to_session(connection);
  } else if (outcome == PendingConnection::Outcome::kAdmitted) {
    const Status begun = begin_session(connection);
    if (!begun.ok()) {
      LOG_WARN("front", "a session is refused: %s", begun.message().c_str());
      connection.refuse(begun);
    }
  } else {
    LOG_INFO("front", "a connection is dropped: %s", connection.why().c_str());
  }
  drop(id);
}

void Front::expire(uint64_t now_ns) {
  while (!pending_.empty() && pending_.begin()->second.connection.deadline_ns() <= now_ns)
    drop(pending_.begin()->first);
  while (!admins_.empty() && admins_.begin()->second.deadline_ns() <= now_ns)
    drop_admin(admins_.begin()->first);
  if (stopping_ && kill_ns_ != 0 && now_ns >= kill_ns_) kill_sessions();
}

int Front::wait_ms(uint64_t limit_ns, uint64_t now_ns) const {
  uint64_t until_ns = now_ns + limit_ns;
  if (!pending_.empty()) until_ns = std::min(until_ns, pending_.begin()->second.connection.deadline_ns());
  if (!admins_.empty()) until_ns = std::min(until_ns, admins_.begin()->second.deadline_ns());
  until_ns = std::min(until_ns, next_share_ns_);
  if (!spare_ && has_place_for_spare()) until_ns = std::min(until_ns, spare_due_ns_);
  if (stopping_ && kill_ns_ != 0) until_ns = std::min(until_ns, kill_ns_);
  if (until_ns <= now_ns) return 0;
  return static_cast<int>(std::min<uint64_t>((until_ns - now_ns) / 1'000'000 + 1, 60'000));
}

}  // namespace tessera::remote

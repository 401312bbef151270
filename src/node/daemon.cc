#include "node/daemon.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "common/log.h"
#include "node/journal_records.h"
#include "node/version.h"

namespace tessera::node {
namespace {

constexpr uint64_t kFirstMessageNs = 10'000'000'000;  // a client that says nothing for so long is dropped

}  // namespace

Result<std::unique_ptr<Daemon>> Daemon::create(UniqueFd listener, DaemonOptions options) {
  TESSERA_ASSIGN_OR_RETURN(EventLoop loop, EventLoop::create());
  std::unique_ptr<Daemon> daemon(new Daemon(std::move(loop), std::move(listener), std::move(options)));
  return daemon;
}

Daemon::Daemon(EventLoop loop, UniqueFd listener, DaemonOptions options)
    : loop_(std::move(loop)),
      listener_(std::move(listener)),
      options_(std::move(options)),
      leases_(loop_, options_.scheduling),
      monitor_(loop_, options_.inventory_command),
      control_(leases_, monitor_,
               [this](uint64_t id) {
                 auto found = connections_.find(id);
                 return found == connections_.end() ? nullptr : &found->second->connection;
               }),
      xids_(loop_, options_.xid_command, [this](const XidEvent& event) { control_.hear_xid(event); }),
      spare_(open("/dev/null", O_RDONLY | O_CLOEXEC)),
      busy_ns_(loop_.now_ns()) {
  leases_.ledger().set_packing(options_.packing);
  if (options_.refuse_faulty) leases_.refuse_faulty();
  leases_.set_round_policy(options_.round_policy);
  leases_.set_co_execution(options_.co_execution);
  control_.set_overcommit(options_.overcommit_permille);
  if (options_.counts_needs) control_.count_needs();
  leases_.set_working_set_window(options_.working_set_window_ns);
  leases_.set_residence_round(options_.residence_round_ns);
  leases_.set_swap(options_.swap, options_.swap_host_bytes);
  control_.set_machine(options_.machine);
  if (options_.use_mps) control_.use_mps();
}

Daemon::~Daemon() {
  for (auto& [id, client] : connections_) loop_.unwatch(client->watch);
  loop_.unwatch(listener_watch_);
}

Status Daemon::start() {
  std::optional<Journal> journal;
  if (!options_.journal.empty()) {
    TESSERA_ASSIGN_OR_RETURN(journal, Journal::open(options_.journal));
    control_.restore_health(*journal);
  }
  bool answered = false;
  monitor_.refresh(loop_.now_ns(), [&](const Result<Inventory>& answer) {
    control_.set_inventory(answer);
    answered = true;
  });
  while (!answered) TESSERA_RETURN_IF_ERROR(step(std::nullopt));
  // The child that has answered has the standard error of whoever starts the daemon, who waits for its end:
  // it goes as if nothing had been asked for long, and another one is started with the next question.
  monitor_.tick(loop_.now_ns() + InventoryMonitor::kIdleNs);
  if (journal) {
    const bool slices = std::any_of(journal->values().begin(), journal->values().end(),
                                    [](const auto& entry) { return is_slice_key(entry.first); });
    if (slices && leases_.ledger().gpu_totals().empty()) {
      return Status(
          Code::kFailedPrecondition,
          "slices of an earlier daemon live on, and their GPUs cannot be asked: " + control_.problem());
    }
    leases_.take_over(std::move(*journal));
    control_.save_health();
  }
  TESSERA_ASSIGN_OR_RETURN(listener_watch_,
                           loop_.watch(listener_.get(), EPOLLIN, [this](uint32_t) { accept_clients(); }));
  leases_.tell(monitoring::Severity::kInfo, "daemon_started", "", std::string("tesserad ") + kVersion,
               {{"version", kVersion}});
  if (options_.monitor.is_wanted()) {
    monitoring_ = std::make_unique<MonitorService>(loop_, control_, leases_, options_.monitor);
    control_.set_history(options_.monitor.history_file);
    if (const AlertService* alerts = monitoring_->alerts())
      control_.set_alerts([alerts] { return alerts->told(); });
  }
  if (options_.http) {
    TESSERA_ASSIGN_OR_RETURN(http_,
                             HttpApi::start(loop_, control_, leases_, monitoring_.get(), *options_.http));
    control_.set_http(http_->address().text());
  }
  return Status();
}

// UINT64_MAX: never.
uint64_t Daemon::rest_due_ns() const {
  uint64_t due = UINT64_MAX;
  auto earlier = [&](std::optional<uint64_t> other) { due = std::min(due, other.value_or(UINT64_MAX)); };
  earlier(leases_.next_deadline_ns());
  earlier(monitor_.next_deadline_ns());
  earlier(control_.next_deadline_ns());
  earlier(xids_.next_deadline_ns());
  if (monitoring_) earlier(monitoring_->next_deadline_ns());
  if (http_) earlier(http_->next_deadline_ns());
  const auto newcomer = newcomers_.empty() ? connections_.end() : connections_.find(newcomers_.front());
  if (newcomer != connections_.end()) earlier(newcomer->second->connection.accepted_ns() + kFirstMessageNs);
  if (options_.idle_exit_ns != 0) earlier(busy_ns_ + options_.idle_exit_ns);
  return due;
}

std::optional<uint64_t> Daemon::timeout_until_due(std::optional<uint64_t> timeout_ns) {
  if (!rest_due_ns_) rest_due_ns_ = rest_due_ns();
  const uint64_t due = std::min(*rest_due_ns_, leases_.next_turn_ns().value_or(UINT64_MAX));
  if (due == UINT64_MAX) return timeout_ns;
  const uint64_t until_due = due - std::min(due, loop_.now_ns());
  return timeout_ns ? std::min(*timeout_ns, until_due) : until_due;
}

Status Daemon::step(std::optional<uint64_t> timeout_ns) {
  turn_notices_ = 0;
  TESSERA_RETURN_IF_ERROR(loop_.run_once(timeout_until_due(timeout_ns)));
  const uint64_t now_ns = loop_.now_ns();
  if (only_turns(now_ns)) {
    leases_.take_turns(now_ns);
  } else {
    handle_all(now_ns);
  }
  return Status();
}

bool Daemon::only_turns(uint64_t now_ns) const {
  if (loop_.handled() != turn_notices_ || connections_changed_ || now_ns >= rest_due_ns_) return false;
  return turn_notices_ > 0 || now_ns >= leases_.next_turn_ns().value_or(UINT64_MAX);
}

void Daemon::handle_all(uint64_t now_ns) {
  leases_.tick(now_ns);
  monitor_.tick(now_ns);
  control_.tick(now_ns);
  if (!leases_.ledger().slices().empty()) xids_.start(now_ns);
  xids_.tick(now_ns);
  if (monitoring_) monitoring_->tick(now_ns);
  if (http_) http_->tick(now_ns);
  drop_silent_clients(now_ns);
  settle_clients();
  const bool remembers = control_.any_gpu_closed(now_ns);
  if (!connections_.empty() || !leases_.ledger().slices().empty() || remembers) busy_ns_ = now_ns;
  rest_due_ns_.reset();
}

bool Daemon::idle_too_long() const {
  return options_.idle_exit_ns != 0 && loop_.now_ns() >= busy_ns_ + options_.idle_exit_ns;
}

void Daemon::accept_clients() {
  for (;;) {
    UniqueFd socket(accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!socket) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if (errno == EAGAIN) return;
      LOG_ERROR("daemon", "cannot accept a client: %s", strerror(errno));
      if ((errno != EMFILE && errno != ENFILE) || !turn_one_away()) return;
      continue;
    }
    auto peer = peer_of(socket.get());
    if (!peer.ok() || (peer->uid != geteuid() && peer->uid != 0)) {
      LOG_WARN("daemon", "a client of user %u is turned away", peer.ok() ? peer->uid : 0);
      continue;
    }
    uint64_t now_ns = loop_.now_ns();
    auto client =
        std::make_unique<Client>(Client{Connection(std::move(socket), *peer, now_ns, connections_changed_)});
    if (connections_.size() >= kMaxConnections) {
      client->connection.fail(Status(Code::kResourceExhausted, "the daemon has its most connections"));
      continue;
    }
    uint64_t id = next_connection_++;
    auto watch = loop_.watch(client->connection.descriptor(), EPOLLIN,
                             [this, id](uint32_t events) { on_client(id, events); });
    if (!watch.ok()) {
      client->connection.fail(watch.status());
      continue;
    }
    client->watch = *watch;
    connections_.emplace(id, std::move(client));
    newcomers_.push_back(id);
    LOG_DEBUG("daemon", "process %d connected", static_cast<int>(peer->pid));
  }
}

bool Daemon::turn_one_away() {
  // Without descriptors a client cannot even be refused, and would wake the loop for ever: the spare makes
  // room.
  spare_.reset();
  UniqueFd turned_away(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  bool turned = static_cast<bool>(turned_away);
  turned_away.reset();
  spare_.reset(open("/dev/null", O_RDONLY | O_CLOEXEC));
  return turned;
}

void Daemon::on_client(uint64_t id, uint32_t events) {
  Connection& connection = connections_.at(id)->connection;
  if ((events & EPOLLOUT) != 0) connection.flush();
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) read_client(id, connection);
}

// One packet: what else there is makes the loop come back, and others have their turn in between.
void Daemon::read_client(uint64_t id, Connection& connection) {
  if (connection.closing()) return;
  std::array<std::byte, vgpu::kMaxMessageBytes> buffer;
  size_t size = 0;
  switch (receive_packet(connection.descriptor(), buffer, size)) {
    case ReceiveResult::kWouldBlock:
      return;
    case ReceiveResult::kClosed:
      return connection.mark_closing();
    case ReceiveResult::kTooLong:
      return connection.fail(Status::error(Code::kInvalidData, "packet of %zu bytes is too long", size));
    case ReceiveResult::kPacket:
      const Status status = handle_packet(id, connection, ByteSpan(buffer).first(size));
      if (!status.ok()) connection.fail(status);
  }
}

Status Daemon::handle_packet(uint64_t id, Connection& connection, ByteSpan packet) {
  TESSERA_ASSIGN_OR_RETURN(ClientMessage message, decode_client_message(packet));
  if (auto* control = std::get_if<ControlMessage>(&message.body)) {
    return control_.handle(id, connection, message.request, control->text);
  }
  if (std::holds_alternative<GateMessage>(message.body)) ++turn_notices_;
  return leases_.handle(connection, message);
}

void Daemon::settle_clients() {
  if (!std::exchange(connections_changed_, false)) return;
  // Closing one may send to others, or close them: over again until nothing is left to close.
  for (auto next = connections_.begin(); next != connections_.end();) {
    Client& client = *next->second;
    if (!client.connection.closing()) {
      ++next;
      continue;
    }
    leases_.disconnected(client.connection);
    loop_.unwatch(client.watch);
    std::erase(newcomers_, next->first);
    connections_.erase(next);
    next = connections_.begin();
  }
  for (auto& [id, client] : connections_) {
    bool wants = client->connection.wants_to_write();
    if (wants == client->watches_output) continue;
    client->watches_output = wants;
    Status changed = loop_.change(client->watch, wants ? EPOLLIN | EPOLLOUT : EPOLLIN);
    if (!changed.ok()) LOG_ERROR("daemon", "%s", changed.message().c_str());
  }
}

// All have the same time, so whoever came first is due first.
void Daemon::drop_silent_clients(uint64_t now_ns) {
  for (; !newcomers_.empty(); newcomers_.pop_front()) {
    const auto client = connections_.find(newcomers_.front());
    if (client == connections_.end() || !client->second->connection.is_new()) continue;
    Connection& connection = client->second->connection;
    if (now_ns < connection.accepted_ns() + kFirstMessageNs) return;
    connection.fail(Status(Code::kDeadlineExceeded, "no message within 10 s"));
  }
}

}  // namespace tessera::node

#include "tests/remote/relay/relay.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "common/clock.h"
#include "remote/transport/dial.h"

namespace tessera::remote {
namespace {

constexpr int kListenQueue = 1024;
constexpr uint64_t kConnectNs = 5'000'000'000;

using Outcome = RelayedDirection::Outcome;

void send_at_once(int socket) {
  const int on = 1;
  (void)setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

short events_of(const RelayedDirection& out_of_here, const RelayedDirection& into_here) {
  int events = 0;
  if (out_of_here.wants_more()) events |= POLLIN;
  if (into_here.blocked()) events |= POLLOUT;
  return static_cast<short>(events);
}

}  // namespace

Result<std::unique_ptr<Relay>> Relay::create(const Address& at, const Address& to,
                                             const Conditions& conditions, uint64_t seed) {
  TESSERA_ASSIGN_OR_RETURN(std::vector<UniqueFd> sockets, listen_at(at, kListenQueue));
  std::unique_ptr<Relay> relay(new Relay(std::move(sockets[0]), to, conditions, seed));
  TESSERA_ASSIGN_OR_RETURN(relay->port_, bound_port(relay->listening_.get()));
  return relay;
}

void Relay::accept_all() {
  for (;;) {
    UniqueFd client(accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!client) return;
    const uint64_t number = next_++;
    if (refused_) continue;
    auto server = dial(to_, monotonic_ns() + kConnectNs);
    if (!server.ok()) continue;
    send_at_once(client.get());
    send_at_once(server->get());
    connections_.emplace(number, Connection{std::move(client), std::move(*server),
                                            RelayedDirection(seed_, number, true, conditions_),
                                            RelayedDirection(seed_, number, false, conditions_)});
  }
}

void Relay::end(Connection& connection, bool reset) {
  if (!reset) return;
  const linger at_once{1, 0};
  for (const int socket : {connection.client.get(), connection.server.get()})
    (void)setsockopt(socket, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

bool Relay::serve(Connection& connection, uint64_t now_ns) {
  const uint64_t up = connection.up.bytes(), down = connection.down.bytes();
  const bool goes_on = pass(connection, now_ns);
  bytes_up_ += connection.up.bytes() - up;
  bytes_down_ += connection.down.bytes() - down;
  return goes_on;
}

bool Relay::pass(Connection& connection, uint64_t now_ns) {
  struct {
    RelayedDirection& direction;
    int from, to;
  } const both[] = {{connection.up, connection.client.get(), connection.server.get()},
                    {connection.down, connection.server.get(), connection.client.get()}};
  for (const auto& [direction, from, to] : both) {
    direction.read(from, conditions_, now_ns);
    const Outcome outcome = direction.write(to, conditions_, now_ns);
    if (outcome == Outcome::kEnded) (void)shutdown(to, SHUT_WR);
    if (outcome == Outcome::kReset || outcome == Outcome::kDropped) {
      end(connection, outcome == Outcome::kReset);
      return false;
    }
  }
  // Both have ended, and nothing is on its way.
  return connection.up.wants_more() || connection.down.wants_more() || connection.up.due_ns() != UINT64_MAX ||
         connection.down.due_ns() != UINT64_MAX || connection.up.blocked() || connection.down.blocked();
}

Status Relay::step(uint64_t limit_ns, int also) {
  const uint64_t now_ns = monotonic_ns();
  uint64_t until_ns = now_ns + limit_ns;
  std::vector<pollfd> entries = {{listening_.get(), POLLIN, 0}, {also, POLLIN, 0}};
  for (const auto& [number, connection] : connections_) {
    if (held_) break;
    entries.push_back({connection.client.get(), events_of(connection.up, connection.down), 0});
    entries.push_back({connection.server.get(), events_of(connection.down, connection.up), 0});
    until_ns = std::min({until_ns, connection.up.due_ns(), connection.down.due_ns()});
  }
  const uint64_t wait_ns = until_ns > now_ns ? until_ns - now_ns : 0;
  const timespec time{static_cast<time_t>(wait_ns / 1'000'000'000),
                      static_cast<long>(wait_ns % 1'000'000'000)};
  if (ppoll(entries.data(), entries.size(), &time, nullptr) < 0 && errno != EINTR)
    return Status::from_errno(errno, "cannot wait for connections");
  for (auto one = connections_.begin(); !held_ && one != connections_.end();)
    one = serve(one->second, monotonic_ns()) ? std::next(one) : connections_.erase(one);
  if (entries[0].revents != 0) accept_all();
  return Status();
}

void Relay::cut(bool reset) {
  for (auto& [number, connection] : connections_) end(connection, reset);
  connections_.clear();
}

}  // namespace tessera::remote

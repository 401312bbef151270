// Bytes between two processes by each transport, beside bare sockets and memcpy, in one run.
//
//   bench_transport [--quick] [--json]
//
// A ping is 64 bytes there and back. Free-running: both processes where the system puts them; pinned: both on
// one processor, so that nothing can overlap and every answer costs a switch of process.
#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bench/median.h"
#include "common/clock.h"
#include "remote/session/exchange.h"
#include "remote/testing/certificates.h"
#include "remote/transport/dial.h"
#include "remote/transport/shm_transport.h"
#include "remote/transport/socket_transport.h"

namespace tessera::remote {
namespace {

using bench::median;

constexpr size_t kPingBytes = 64;
constexpr size_t kStreamBuffer = size_t{1} << 20;
constexpr uint64_t kFarNs = 60'000'000'000;

struct Plan {
  int pings = 20'000;
  uint64_t stream_bytes = uint64_t{256} << 20;
  int rounds = 5;
};

[[noreturn]] void fail(const char* what) {
  fprintf(stderr, "bench_transport: %s\n", what);
  exit(1);
}

void pin(bool pinned) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (int cpu = 0; cpu < (pinned ? 1 : CPU_SETSIZE); ++cpu) CPU_SET(cpu, &set);
  sched_setaffinity(0, sizeof set, &set);
}

// A bare blocking socket, as a floor.
class BareSocket {
 public:
  explicit BareSocket(int socket) : socket_(socket) {}
  void send(const std::byte* data, size_t size) {
    for (size_t done = 0; done < size;) {
      const ssize_t count = ::send(socket_, data + done, size - done, MSG_NOSIGNAL);
      if (count <= 0) fail("a bare socket does not send");
      done += static_cast<size_t>(count);
    }
  }
  void receive(std::byte* space, size_t size) {
    for (size_t done = 0; done < size;) {
      const ssize_t count = recv(socket_, space + done, size - done, 0);
      if (count <= 0) fail("a bare socket does not receive");
      done += static_cast<size_t>(count);
    }
  }

 private:
  const int socket_;
};

class ByTransport {
 public:
  explicit ByTransport(Transport& transport) : transport_(transport) {}
  void send(const std::byte* data, size_t size) {
    if (!send_all(transport_, ByteSpan(data, size), monotonic_ns() + kFarNs).ok())
      fail("a transport does not send");
  }
  void receive(std::byte* space, size_t size) {
    if (!receive_exactly(transport_, {space, size}, monotonic_ns() + kFarNs).ok())
      fail("a transport does not receive");
  }

 private:
  Transport& transport_;
};

// The other process: it answers pings, takes a stream and says that it has it, and sends one.
template <typename Way>
void serve(Way way, const Plan& plan) {
  std::vector<std::byte> buffer(kStreamBuffer);
  for (;;) {
    way.receive(buffer.data(), kPingBytes);
    const char what = static_cast<char>(buffer[0]);
    if (what == 'e') return;
    if (what == 'u')
      for (uint64_t done = 0; done < plan.stream_bytes; done += kStreamBuffer)
        way.receive(buffer.data(), kStreamBuffer);
    if (what == 'd') {
      for (uint64_t done = 0; done < plan.stream_bytes; done += kStreamBuffer)
        way.send(buffer.data(), kStreamBuffer);
    } else {
      way.send(buffer.data(), kPingBytes);
    }
  }
}

struct Figures {
  double ping_us = 0, up_gbs = 0, down_gbs = 0;
};

template <typename Way>
double ping_us(Way& way, const Plan& plan) {
  std::byte bytes[kPingBytes] = {std::byte{'p'}};
  const uint64_t before = monotonic_ns();
  for (int i = 0; i < plan.pings; ++i) {
    way.send(bytes, kPingBytes);
    way.receive(bytes, kPingBytes);
  }
  return static_cast<double>(monotonic_ns() - before) / 1000 / plan.pings;
}

template <typename Way>
double stream_gbs(Way& way, const Plan& plan, bool up, std::vector<std::byte>& buffer) {
  std::byte order[kPingBytes] = {
      std::byte{up ? static_cast<unsigned char>('u') : static_cast<unsigned char>('d')}};
  const uint64_t before = monotonic_ns();
  way.send(order, kPingBytes);
  for (uint64_t done = 0; done < plan.stream_bytes; done += kStreamBuffer)
    up ? way.send(buffer.data(), kStreamBuffer) : way.receive(buffer.data(), kStreamBuffer);
  if (up) way.receive(order, kPingBytes);
  return static_cast<double>(plan.stream_bytes) / static_cast<double>(monotonic_ns() - before);
}

template <typename Way>
Figures measure(Way way, const Plan& plan) {
  std::vector<double> pings, ups, downs;
  std::vector<std::byte> buffer(kStreamBuffer, std::byte{1});
  for (int round = 0; round < plan.rounds; ++round) {
    pings.push_back(ping_us(way, plan));
    ups.push_back(stream_gbs(way, plan, true, buffer));
    downs.push_back(stream_gbs(way, plan, false, buffer));
  }
  std::byte end[kPingBytes] = {std::byte{'e'}};
  way.send(end, kPingBytes);
  return {median(pings), median(ups), median(downs)};
}

std::pair<UniqueFd, UniqueFd> sockets(bool tcp) {
  if (!tcp) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) fail("no socket pair");
    return {UniqueFd(ends[0]), UniqueFd(ends[1])};
  }
  Address address{Flavour::kTcp, "127.0.0.1", 0, ""};
  auto listening = std::move(listen_at(address, 1).value()[0]);
  address.port = bound_port(listening.get()).value();
  UniqueFd client = dial(address, monotonic_ns() + kFarNs).value();
  UniqueFd server(accept4(listening.get(), nullptr, nullptr, SOCK_CLOEXEC));
  return {std::move(client), std::move(server)};
}

void make_blocking(int socket) {
  timeval none{};
  (void)setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof none);
  const int flags = fcntl(socket, F_GETFL);
  (void)fcntl(socket, F_SETFL, flags & ~O_NONBLOCK);
}

enum class Kind { kBareTcp, kTcp, kTls, kUnix, kShm };

struct Tls {
  Certificates certificates;
  Certificates::Files files = certificates.issue("localhost");
  std::shared_ptr<TlsContext> client = TlsContext::client({certificates.ca(), "", ""}).value();
  std::shared_ptr<TlsContext> server = TlsContext::server({files.certificate, files.key, ""}).value();
};

std::unique_ptr<Transport> transport(Kind kind, UniqueFd socket, bool server, Tls& tls) {
  if (kind == Kind::kTls) {
    return start_tls(std::move(socket), server ? tls.server : tls.client, "localhost",
                     monotonic_ns() + kFarNs)
        .value();
  }
  if (kind != Kind::kShm) return SocketTransport::create(std::move(socket), "socket").value();
  return server ? std::unique_ptr<Transport>(
                      ShmTransport::accept(std::move(socket), std::chrono::seconds(10)).value())
                : ShmTransport::offer(std::move(socket)).value();
}

// Both processes of it, the client being this one.
Figures run(Kind kind, const Plan& plan, Tls& tls) {
  auto [client, server] = sockets(kind == Kind::kBareTcp || kind == Kind::kTcp || kind == Kind::kTls);
  fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    client.reset();
    if (kind == Kind::kBareTcp) {
      make_blocking(server.get());
      serve(BareSocket(server.get()), plan);
    } else {
      const auto its = transport(kind, std::move(server), true, tls);
      serve(ByTransport(*its), plan);
    }
    _exit(0);
  }
  server.reset();
  Figures figures;
  if (kind == Kind::kBareTcp) {
    make_blocking(client.get());
    figures = measure(BareSocket(client.get()), plan);
  } else {
    const auto ours = transport(kind, std::move(client), false, tls);
    figures = measure(ByTransport(*ours), plan);
  }
  int status = 0;
  if (waitpid(child, &status, 0) != child || status != 0) fail("the other process has failed");
  return figures;
}

double memcpy_gbs(const Plan& plan) {
  std::vector<std::byte> from(plan.stream_bytes, std::byte{1}), to(plan.stream_bytes);
  std::vector<double> rates;
  for (int round = 0; round < plan.rounds; ++round) {
    const uint64_t before = monotonic_ns();
    std::memcpy(to.data(), from.data(), from.size());
    rates.push_back(static_cast<double>(plan.stream_bytes) / static_cast<double>(monotonic_ns() - before));
  }
  return median(rates);
}

void print(bool json, bool pinned, const char* name, const Figures& figures, const Figures& bare,
           double copy) {
  if (json) {
    printf("{\"transport\":\"%s\",\"pinned\":%s,\"ping_us\":%.3f,\"up_gbs\":%.3f,\"down_gbs\":%.3f}\n", name,
           pinned ? "true" : "false", figures.ping_us, figures.up_gbs, figures.down_gbs);
    return;
  }
  printf(
      "%-6s %-9s ping %7.2f us (bare TCP %+.2f)  up %6.2f GB/s  down %6.2f GB/s  (%3.0f %% and %3.0f %% of "
      "bare TCP, "
      "%3.0f %% and %3.0f %% of memcpy)\n",
      pinned ? "pinned" : "free", name, figures.ping_us, figures.ping_us - bare.ping_us, figures.up_gbs,
      figures.down_gbs, 100 * figures.up_gbs / bare.up_gbs, 100 * figures.down_gbs / bare.down_gbs,
      100 * figures.up_gbs / copy, 100 * figures.down_gbs / copy);
}

int bench_main(int argc, char** argv) {
  Plan plan;
  bool json = false;
  for (int i = 1; i < argc; ++i) {
    if (strcmp(argv[i], "--json") == 0) json = true;
    if (strcmp(argv[i], "--quick") == 0) plan = {200, uint64_t{8} << 20, 1};
  }
  Tls tls;
  for (const bool pinned : {false, true}) {
    pin(pinned);
    const double copy = memcpy_gbs(plan);
    if (!json) printf("%-6s memcpy %.2f GB/s\n", pinned ? "pinned" : "free", copy);
    const Figures bare = run(Kind::kBareTcp, plan, tls);
    print(json, pinned, "bare TCP", bare, bare, copy);
    const std::pair<const char*, Kind> kinds[] = {
        {"tcp", Kind::kTcp}, {"tls", Kind::kTls}, {"unix", Kind::kUnix}, {"shm", Kind::kShm}};
    for (const auto& [name, kind] : kinds) print(json, pinned, name, run(kind, plan, tls), bare, copy);
  }
  return 0;
}

}  // namespace
}  // namespace tessera::remote

int main(int argc, char** argv) { return tessera::remote::bench_main(argc, argv); }

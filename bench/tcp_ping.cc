// A bare ping-pong over TCP, to measure a way by: there as many bytes as a flight of calls has, back as many
// as its answer.
//
//   tcp_ping serve                                 prints its port; ends with its standard input
//   tcp_ping HOST:PORT COUNT BYTES_THERE BYTES_BACK    prints the median in microseconds
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include "bench/median.h"
#include "common/clock.h"
#include "remote/session/exchange.h"
#include "remote/transport/dial.h"
#include "remote/transport/socket_transport.h"

namespace tessera::remote {
namespace {

constexpr uint64_t kFarNs = 60'000'000'000;

struct Sizes {
  uint64_t there = 0, back = 0;  // after this
};

uint64_t later() { return monotonic_ns() + kFarNs; }

bool take(Transport& way, uint64_t bytes, std::vector<std::byte>& space) {
  space.resize(bytes);
  return receive_exactly(way, space, later()).ok();
}

void answer(std::unique_ptr<Transport> way) {
  Sizes sizes;
  std::vector<std::byte> space, back;
  while (receive_exactly(*way, std::as_writable_bytes(std::span(&sizes, 1)), later()).ok() &&
         take(*way, sizes.there, space)) {
    back.resize(sizes.back);
    if (!send_all(*way, back, later()).ok()) return;
  }
}

int serve() {
  auto listening = std::move(listen_at({Flavour::kTcp, "127.0.0.1", 0, ""}, 4).value()[0]);
  printf("%u\n", bound_port(listening.get()).value());
  fflush(stdout);
  std::thread([listening = std::move(listening)] {
    for (;;) {
      UniqueFd socket(accept4(listening.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!socket) continue;
      std::thread(answer, SocketTransport::create(std::move(socket), "tcp").value()).detach();
    }
  }).detach();
  char byte = 0;
  while (read(STDIN_FILENO, &byte, 1) > 0) {
  }
  _exit(0);
}

int ping(const char* where, int count, const Sizes& sizes) {
  const Address address = parse_address(where).value();
  auto way = SocketTransport::create(dial(address, later()).value(), "tcp").value();
  std::vector<std::byte> there(sizeof sizes + sizes.there), back;
  memcpy(there.data(), &sizes, sizeof sizes);
  std::vector<double> times;
  for (int i = 0; i < count; ++i) {
    const uint64_t start = monotonic_ns();
    if (!send_all(*way, there, later()).ok() || !take(*way, sizes.back, back)) return 1;
    times.push_back(static_cast<double>(monotonic_ns() - start) / 1e3);
  }
  printf("%.1f\n", bench::median(times));
  return 0;
}

}  // namespace
}  // namespace tessera::remote

int main(int argc, char** argv) {
  if (argc == 2 && strcmp(argv[1], "serve") == 0) return tessera::remote::serve();
  if (argc != 5) return 2;
  return tessera::remote::ping(argv[1], atoi(argv[2]),
                               {strtoull(argv[3], nullptr, 10), strtoull(argv[4], nullptr, 10)});
}

// Whatever a client sends over HTTP, the daemon's server lives, reads nothing that it must not, and goes on.
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <memory>

#include "node/http_server.h"

namespace {

using namespace tessera;        // NOLINT(google-build-using-namespace): a program of its own
using namespace tessera::node;  // NOLINT(google-build-using-namespace)

constexpr const char* kToken = "0123456789abcdef";
constexpr int kStepsAfterTheEnd = 4;

std::optional<HttpAnswer> answer(const HttpRequest& request) {
  if (!request.path().starts_with('/')) abort();
  // What needs the token and has come here has carried it.
  if (request.path().starts_with("/api/") &&
      !carries_token(request.header("Authorization").value_or(""), kToken))
    abort();
  (void)request.query("after");
  static bool ready = false;
  if (request.path() == "/slow" && (ready = !ready)) return std::nullopt;
  return http_text(200, "text/plain", std::string(request.path()));
}

struct World {
  EventLoop loop = EventLoop::create().value();
  std::unique_ptr<HttpServer> server =
      HttpServer::start(loop, {.address = parse_http_address("127.0.0.1:0").value(), .token = kToken}, answer)
          .value();
  void step() {
    if (!loop.run_once(0).ok()) abort();
    server->tick(loop.now_ns());
    server->wake();
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static World* world = new World;
  (void)is_local_host(std::string_view(reinterpret_cast<const char*>(data), size));
  (void)parse_http_address(std::string_view(reinterpret_cast<const char*>(data), size));
  UniqueFd client(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(world->server->address().port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  // An end without waiting, or the machine runs out of ports.
  const linger at_once{1, 0};
  setsockopt(client.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  if (connect(client.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) abort();
  const size_t half = size / 2;
  for (const auto& [from, to] : {std::pair<size_t, size_t>{0, half}, {half, size}}) {
    (void)send(client.get(), data + from, to - from, MSG_NOSIGNAL | MSG_DONTWAIT);
    world->step();
    world->step();
  }
  shutdown(client.get(), SHUT_WR);
  char buffer[4096];
  for (int i = 0; i < kStepsAfterTheEnd; ++i) {
    world->step();
    const ssize_t count = recv(client.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (count >= 9 && i == 0 && std::string_view(buffer, 7) != "HTTP/1.") abort();
  }
  return 0;
}

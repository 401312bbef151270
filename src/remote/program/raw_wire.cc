#include "remote/program/raw_wire.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

namespace tessera::remote {
namespace {

constexpr size_t kPieceBytes = 1 << 20;

struct Head {
  uint64_t there = 0, back = 0;
  uint64_t reserved[6] = {};
};

bool all(int socket, void* data, size_t bytes, bool sends) {
  for (size_t at = 0; at < bytes;) {
    char* place = static_cast<char*>(data) + at;
    const ssize_t done =
        sends ? send(socket, place, bytes - at, MSG_NOSIGNAL) : recv(socket, place, bytes - at, 0);
    if (done <= 0) return false;
    at += static_cast<size_t>(done);
  }
  return true;
}

void no_delay(int socket) {
  const int on = 1;
  (void)setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void answer(int socket) {
  std::vector<char> space(kPieceBytes);
  for (Head head; all(socket, &head, sizeof head, false);) {
    for (uint64_t left = head.there; left > 0;) {
      const uint64_t part = std::min<uint64_t>(left, space.size());
      if (!all(socket, space.data(), part, false)) return;
      left -= part;
    }
    for (uint64_t left = head.back; left > 0;) {
      const uint64_t part = std::min<uint64_t>(left, space.size());
      if (!all(socket, space.data(), part, true)) return;
      left -= part;
    }
    if (!all(socket, &head, sizeof head, true)) return;
  }
}

}  // namespace

Result<RawWire> RawWire::start() {
  const UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const plain = reinterpret_cast<sockaddr*>(&address);
  if (bind(listener.get(), plain, size) != 0 || listen(listener.get(), 1) != 0 ||
      getsockname(listener.get(), plain, &size) != 0)
    return Status::from_errno(errno, "cannot listen on loopback");
  const pid_t peer = fork();
  if (peer < 0) return Status::from_errno(errno, "cannot start a process");
  if (peer == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const UniqueFd accepted(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    no_delay(accepted.get());
    answer(accepted.get());
    _exit(0);
  }
  UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  RawWire wire(std::move(socket), peer);
  if (connect(wire.socket_.get(), plain, size) != 0)
    return Status::from_errno(errno, "cannot connect to loopback");
  no_delay(wire.socket_.get());
  return wire;
}

RawWire::~RawWire() {
  if (peer_ <= 0) return;
  socket_.reset();
  kill(peer_, SIGKILL);
  (void)waitpid(peer_, nullptr, 0);
}

bool RawWire::ask(void* data, uint64_t there, uint64_t back) const {
  Head head{there, back, {}};
  return all(socket_.get(), &head, sizeof head, true) &&
         (there == 0 || all(socket_.get(), data, there, true)) &&
         (back == 0 || all(socket_.get(), data, back, false)) &&
         all(socket_.get(), &head, sizeof head, false);
}

}  // namespace tessera::remote

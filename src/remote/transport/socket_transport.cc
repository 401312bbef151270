#include "remote/transport/socket_transport.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "common/clock.h"

namespace tessera::remote {
namespace {

constexpr size_t kMostPieces = 64;

short poll_events(unsigned wanted) {
  int events = 0;
  if ((wanted & Transport::kReadable) != 0) events |= POLLIN | POLLRDHUP;
  if ((wanted & Transport::kWritable) != 0) events |= POLLOUT;
  return static_cast<short>(events);
}

unsigned readiness_of(short events, unsigned wanted) {
  if ((events & (POLLERR | POLLHUP | POLLNVAL)) != 0) return wanted;
  unsigned ready = 0;
  if ((events & (POLLIN | POLLRDHUP)) != 0) ready |= Transport::kReadable;
  if ((events & POLLOUT) != 0) ready |= Transport::kWritable;
  return ready & wanted;
}

bool would_wait(int error_number) { return error_number == EAGAIN || error_number == EWOULDBLOCK; }

}  // namespace

Status broken_connection(int error_number) {
  if (error_number == EFAULT)
    return Status::from_errno(error_number, "memory that is to be sent cannot be read");
  return {Code::kUnavailable, Status::from_errno(error_number, "the connection has broken").message()};
}

Status ended_connection() { return {Code::kUnavailable, "the other side has ended the connection"}; }

Result<unsigned> poll_socket(int socket, unsigned wanted, std::chrono::nanoseconds limit) {
  const uint64_t limit_ns = limit.count() > 0 ? static_cast<uint64_t>(limit.count()) : 0;
  const uint64_t end_ns = limit_ns == 0 ? 0 : monotonic_ns() + std::min<uint64_t>(limit_ns, INT64_MAX / 2);
  for (uint64_t left_ns = limit_ns;;) {
    pollfd entry{socket, poll_events(wanted), 0};
    const timespec time{static_cast<time_t>(left_ns / 1'000'000'000),
                        static_cast<long>(left_ns % 1'000'000'000)};
    const int count = ppoll(&entry, 1, &time, nullptr);
    if (count > 0) return readiness_of(entry.revents, wanted);
    if (count < 0 && errno != EINTR) return Status::from_errno(errno, "cannot wait for a connection");
    if (count == 0) return 0u;
    const uint64_t now_ns = monotonic_ns();
    if (now_ns >= end_ns) return 0u;
    left_ns = end_ns - now_ns;
  }
}

Status prepare_socket(int socket) {
  const int flags = fcntl(socket, F_GETFL);
  if (flags < 0 || fcntl(socket, F_SETFL, flags | O_NONBLOCK) != 0)
    return Status::from_errno(errno, "cannot prepare a connection");
  const int on = 1;
  // Fails on Unix sockets, which need none.
  (void)setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return Status();
}

Result<std::unique_ptr<SocketTransport>> SocketTransport::create(UniqueFd socket, const char* kind) {
  TESSERA_RETURN_IF_ERROR(prepare_socket(socket.get()));
  return std::unique_ptr<SocketTransport>(new SocketTransport(std::move(socket), kind));
}

Result<size_t> SocketTransport::send(std::span<const iovec> pieces) {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(pieces.data());  // sendmsg(2) does not change it
  message.msg_iovlen = std::min(pieces.size(), kMostPieces);
  for (;;) {
    const ssize_t count = sendmsg(socket_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count >= 0) return static_cast<size_t>(count);
    if (would_wait(errno)) return size_t{0};
    if (errno != EINTR) return broken_connection(errno);
  }
}

Result<size_t> SocketTransport::receive(std::span<std::byte> space) {
  if (space.empty()) return size_t{0};
  for (;;) {
    const ssize_t count = recv(socket_.get(), space.data(), space.size(), MSG_DONTWAIT);
    if (count > 0) return static_cast<size_t>(count);
    if (count == 0) return ended_connection();
    if (would_wait(errno)) return size_t{0};
    if (errno != EINTR) return broken_connection(errno);
  }
}

Result<unsigned> SocketTransport::wait(unsigned wanted, std::chrono::nanoseconds limit) {
  Result<unsigned> now = 0u;
  const bool ready = spinner_.spin<1>(limit.count() > 0 ? static_cast<uint64_t>(limit.count()) : 0, [&] {
    now = poll_socket(socket_.get(), wanted, std::chrono::nanoseconds(0));
    return !now.ok() || *now != 0;
  });
  return ready ? now : poll_socket(socket_.get(), wanted, limit);
}

void SocketTransport::shutdown() { (void)::shutdown(socket_.get(), SHUT_RDWR); }

}  // namespace tessera::remote

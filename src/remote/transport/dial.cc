#include "remote/transport/dial.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "common/clock.h"
#include "remote/transport/socket_transport.h"

namespace tessera::remote {
namespace {

using Found = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

Result<Found> resolve(const Address& address, int flags) {
  addrinfo wanted{};
  wanted.ai_family = AF_UNSPEC;
  wanted.ai_socktype = SOCK_STREAM;
  wanted.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &wanted, &found);
  if (error == 0) return Found(found, &freeaddrinfo);
  return Status::error(error == EAI_AGAIN ? Code::kUnavailable : Code::kNotFound, "%s: %s",
                       to_text(address).c_str(), gai_strerror(error));
}

Status cannot_connect(const Address& address, int error_number) {
  const bool refused = error_number == ECONNREFUSED || error_number == ENOENT;
  const Status why = Status::from_errno(error_number, "cannot connect to %s", to_text(address).c_str());
  return {Code::kUnavailable, why.message() + (refused ? "; does 'tessera serve' run there?" : "")};
}

Status finish_connecting(const Address& address, int socket, uint64_t deadline_ns) {
  const uint64_t now_ns = monotonic_ns();
  const auto limit = std::chrono::nanoseconds(deadline_ns > now_ns ? deadline_ns - now_ns : 0);
  TESSERA_ASSIGN_OR_RETURN(const unsigned ready, poll_socket(socket, Transport::kWritable, limit));
  if (ready == 0) {
    return Status::error(Code::kDeadlineExceeded, "%s does not answer in time", to_text(address).c_str());
  }
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  return error == 0 ? Status() : cannot_connect(address, error);
}

Result<UniqueFd> connect_one(const Address& address, const sockaddr* to, socklen_t bytes,
                             uint64_t deadline_ns) {
  UniqueFd socket(::socket(to->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return Status::from_errno(errno, "cannot make a socket");
  if (connect(socket.get(), to, bytes) != 0) {
    if (errno != EINPROGRESS) return cannot_connect(address, errno);
    TESSERA_RETURN_IF_ERROR(finish_connecting(address, socket.get(), deadline_ns));
  }
  return socket;
}

sockaddr_un local_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), std::min(path.size(), sizeof address.sun_path - 1));
  return address;
}

// A socket file whose server has ended refuses connections.
bool is_left_over(const sockaddr_un& address) {
  struct stat info {};
  if (lstat(address.sun_path, &info) != 0 || !S_ISSOCK(info.st_mode)) return false;
  const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  return socket && connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
         errno == ECONNREFUSED;
}

Result<UniqueFd> listen_one(const Address& address, const sockaddr* at, socklen_t bytes, int queue) {
  UniqueFd socket(::socket(at->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return Status::from_errno(errno, "cannot make a socket");
  const int on = 1;
  if (at->sa_family != AF_UNIX) (void)setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (at->sa_family == AF_INET6) (void)setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  const mode_t before = umask(0177);
  const int bound = bind(socket.get(), at, bytes);
  const int error = errno;
  umask(before);
  if (bound != 0) return Status::from_errno(error, "cannot listen on %s", to_text(address).c_str());
  if (listen(socket.get(), queue) != 0)
    return Status::from_errno(errno, "cannot listen on %s", to_text(address).c_str());
  return socket;
}

bool is_loopback(const sockaddr* address) {
  if (address->sa_family == AF_INET) {
    const auto& v4 = *reinterpret_cast<const sockaddr_in*>(address);
    return (ntohl(v4.sin_addr.s_addr) >> 24) == 127;
  }
  return address->sa_family == AF_INET6 &&
         IN6_IS_ADDR_LOOPBACK(&reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr) != 0;
}

}  // namespace

Result<UniqueFd> dial(const Address& address, uint64_t deadline_ns) {
  if (is_local(address.flavour)) {
    const sockaddr_un to = local_address(address.path);
    return connect_one(address, reinterpret_cast<const sockaddr*>(&to), sizeof to, deadline_ns);
  }
  TESSERA_ASSIGN_OR_RETURN(const Found found, resolve(address, 0));
  Status why = Status::error(Code::kNotFound, "%s has no address", to_text(address).c_str());
  for (const addrinfo* one = found.get(); one != nullptr; one = one->ai_next) {
    auto socket = connect_one(address, one->ai_addr, one->ai_addrlen, deadline_ns);
    if (socket.ok()) return socket;
    why = socket.status();
  }
  return why;
}

Result<std::vector<UniqueFd>> listen_at(const Address& address, int queue) {
  std::vector<UniqueFd> sockets;
  if (is_local(address.flavour)) {
    const sockaddr_un at = local_address(address.path);
    if (is_left_over(at)) unlink(at.sun_path);
    TESSERA_ASSIGN_OR_RETURN(UniqueFd socket,
                             listen_one(address, reinterpret_cast<const sockaddr*>(&at), sizeof at, queue));
    sockets.push_back(std::move(socket));
    return sockets;
  }
  TESSERA_ASSIGN_OR_RETURN(const Found found, resolve(address, AI_PASSIVE));
  for (const addrinfo* one = found.get(); one != nullptr; one = one->ai_next) {
    TESSERA_ASSIGN_OR_RETURN(UniqueFd socket, listen_one(address, one->ai_addr, one->ai_addrlen, queue));
    sockets.push_back(std::move(socket));
  }
  return sockets;
}

Result<uint16_t> bound_port(int socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    return Status::from_errno(errno, "cannot ask for a port");
  if (address.ss_family == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port);
  if (address.ss_family == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6&>(address).sin6_port);
  return Status(Code::kInvalidArgument, "that socket has no port");
}

Result<bool> is_loopback(const Address& address) {
  if (is_local(address.flavour)) return true;
  TESSERA_ASSIGN_OR_RETURN(const Found found, resolve(address, AI_PASSIVE));
  for (const addrinfo* one = found.get(); one != nullptr; one = one->ai_next)
    if (!is_loopback(one->ai_addr)) return false;
  return true;
}

}  // namespace tessera::remote

#include "node/socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cassert>
#include <cerrno>
#include <cstring>

namespace tessera::node {
namespace {

constexpr int kSoPeerPidfd = 77;  // SO_PEERPIDFD, Linux 6.5; not in Debian 12's headers
constexpr size_t kMaxDescriptors = 4;

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return Status::error(Code::kInvalidArgument,
                         "the socket's path has %zu characters; 1 to %zu are allowed: %s", path.size(),
                         sizeof address.sun_path - 1, path.c_str());
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

Result<UniqueFd> make_socket(int extra_flags) {
  UniqueFd made(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | extra_flags, 0));
  if (!made) return Status::from_errno(errno, "cannot make a socket");
  return made;
}

}  // namespace

Result<UniqueFd> listen_on(const std::string& path) {
  TESSERA_ASSIGN_OR_RETURN(sockaddr_un address, address_of(path));
  struct stat info {};
  if (lstat(path.c_str(), &info) == 0) {
    if (!S_ISSOCK(info.st_mode)) {
      return Status::error(Code::kFailedPrecondition, "%s exists and is not a socket", path.c_str());
    }
    if (unlink(path.c_str()) != 0) return Status::from_errno(errno, "cannot replace %s", path.c_str());
  }
  TESSERA_ASSIGN_OR_RETURN(UniqueFd listener, make_socket(SOCK_NONBLOCK));
  // The mode must be right from the first moment: a chmod after bind would leave a gap.
  mode_t old_mask = umask(0177);
  int bound = bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  int bind_error = errno;
  umask(old_mask);
  if (bound != 0) return Status::from_errno(bind_error, "cannot bind %s", path.c_str());
  if (listen(listener.get(), kListenQueue) != 0)
    return Status::from_errno(errno, "cannot listen on %s", path.c_str());
  return listener;
}

Result<UniqueFd> connect_to(const std::string& path) {
  TESSERA_ASSIGN_OR_RETURN(sockaddr_un address, address_of(path));
  TESSERA_ASSIGN_OR_RETURN(UniqueFd connection, make_socket(0));
  int connected;
  do {
    connected = connect(connection.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  } while (connected != 0 && errno == EINTR);
  if (connected != 0) {
    if (errno == ENOENT || errno == ECONNREFUSED) {
      return Status::error(Code::kUnavailable, "no tesserad listens on %s", path.c_str());
    }
    return Status::from_errno(errno, "cannot connect to %s", path.c_str());
  }
  TESSERA_ASSIGN_OR_RETURN(Peer peer, peer_of(connection.get()));
  if (peer.uid != geteuid() && peer.uid != 0) {
    return Status::error(Code::kPermissionDenied, "the listener on %s is user %u's, not ours or root's",
                         path.c_str(), peer.uid);
  }
  return connection;
}

Result<Peer> peer_of(int socket) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    return Status::from_errno(errno, "cannot read the peer's credentials");
  }
  return Peer{credentials.pid, credentials.uid};
}

Result<UniqueFd> peer_pidfd(int socket, pid_t pid) {
  int descriptor = -1;
  socklen_t size = sizeof descriptor;
  if (getsockopt(socket, SOL_SOCKET, kSoPeerPidfd, &descriptor, &size) == 0) return UniqueFd(descriptor);
  if (errno != ENOPROTOOPT)
    return Status::from_errno(errno, "process %d has no pidfd", static_cast<int>(pid));
  UniqueFd opened(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!opened) return Status::from_errno(errno, "cannot open a pidfd of process %d", static_cast<int>(pid));
  return opened;
}

SendResult send_packet(int socket, std::string_view packet, std::span<const int> descriptors) {
  assert(descriptors.size() <= kMaxDescriptors);
  iovec part{const_cast<char*>(packet.data()), packet.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kMaxDescriptors * sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!descriptors.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(rights), descriptors.data(), descriptors.size_bytes());
  }
  for (;;) {
    if (sendmsg(socket, &message, MSG_NOSIGNAL) >= 0) return SendResult::kSent;
    if (errno == EINTR) continue;
    return errno == EAGAIN ? SendResult::kWouldBlock : SendResult::kClosed;
  }
}

ReceiveResult receive_packet(int socket, std::span<std::byte> buffer, size_t& size) {
  for (;;) {
    ssize_t count = recv(socket, buffer.data(), buffer.size(), MSG_TRUNC);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno == EAGAIN ? ReceiveResult::kWouldBlock : ReceiveResult::kClosed;
    if (count == 0) return ReceiveResult::kClosed;
    size = static_cast<size_t>(count);
    return size > buffer.size() ? ReceiveResult::kTooLong : ReceiveResult::kPacket;
  }
}

}  // namespace tessera::node

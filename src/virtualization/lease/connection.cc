#include "virtualization/lease/connection.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace tessera::vgpu {
namespace {

constexpr size_t kMaxDescriptors = 2;
constexpr int kSendTimeoutSeconds = 2;

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

constexpr int kLookMs = 5'000;  // how long a closed descriptor may go unnoticed by a thread that waits on it

Status closed_by_program() {
  return Status(Code::kUnavailable,
                "this program has closed its connection to tesserad, a descriptor that it did not open");
}

Status gone() { return Status(Code::kUnavailable, "tesserad closed the connection"); }

Status check_peer(int socket, const std::string& path) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
    return Status::from_errno(errno, "cannot tell who listens on %s", path.c_str());
  }
  if (peer.uid == geteuid() || peer.uid == 0) return Status();
  return Status::error(Code::kPermissionDenied, "%s is served by user %u, neither this user nor root",
                       path.c_str(), peer.uid);
}

// Takes over every descriptor that came along, wanted or not.
std::vector<UniqueFd> take_descriptors(msghdr& message) {
  std::vector<UniqueFd> taken;
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int descriptor;
      std::memcpy(&descriptor, CMSG_DATA(part) + i * sizeof(int), sizeof(int));
      taken.emplace_back(descriptor);
    }
  }
  return taken;
}

bool ends(const char* text, size_t capacity) { return std::memchr(text, '\0', capacity) != nullptr; }

}  // namespace

Result<SliceToken> parse_slice_token(std::string_view text) {
  SliceToken token{};
  bool valid = text.size() == 2 * kTokenBytes;
  for (size_t i = 0; valid && i < kTokenBytes; ++i) {
    int high = hex_digit(text[2 * i]);
    int low = hex_digit(text[2 * i + 1]);
    valid = high >= 0 && low >= 0;
    if (valid) token[i] = static_cast<uint8_t>(high << 4 | low);
  }
  if (valid) return token;
  return Status(Code::kInvalidArgument, "TESSERA_SLICE is not a slice token: 64 hexadecimal digits");
}

Status Packet::check(MessageType type, size_t bytes) const {
  if (header.type == MessageType::kError) {
    std::string_view text(reinterpret_cast<const char*>(payload.data()), payload.size());
    return Status(Code::kPermissionDenied, "tesserad: " + std::string(text));
  }
  if (header.type == type && payload.size() == bytes) return Status();
  return Status::error(Code::kInvalidData, "tesserad sent message %d of %zu bytes instead of %d of %zu",
                       static_cast<int>(header.type), payload.size(), static_cast<int>(type), bytes);
}

Result<Connection> Connection::open(const std::string& socket_path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_path.empty() || socket_path.size() >= sizeof address.sun_path) {
    return Status::error(Code::kInvalidArgument, "'%s' cannot be a socket's path", socket_path.c_str());
  }
  std::memcpy(address.sun_path, socket_path.data(), socket_path.size());
  UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!socket) return Status::from_errno(errno, "cannot make a socket");
  // Set before connect(): a listener whose queue is full must not hold us either.
  timeval limit{kSendTimeoutSeconds, 0};
  setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  int connected;
  do {
    connected = connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  } while (connected != 0 && errno == EINTR);
  if (connected != 0) return Status::from_errno(errno, "no tesserad on %s", socket_path.c_str());
  TESSERA_RETURN_IF_ERROR(check_peer(socket.get(), socket_path));
  return Connection(std::move(socket));
}

Status Connection::send(MessageType type, uint32_t request, ByteSpan payload) {
  MessageHeader header;
  header.type = type;
  header.request = request;
  header.payload_bytes = static_cast<uint32_t>(payload.size());
  iovec parts[] = {{&header, sizeof header}, {const_cast<std::byte*>(payload.data()), payload.size()}};
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = payload.empty() ? 1 : 2;
  for (;;) {
    if (!usable()) return closed_by_program();
    if (sendmsg(socket_.get(), &message, MSG_NOSIGNAL) >= 0) return Status();
    if (errno == EINTR) continue;
    if (errno == EAGAIN) return Status(Code::kUnavailable, "tesserad does not read what it is sent");
    return gone();
  }
}

Status Connection::wait(int timeout_ms) {
  for (;;) {
    int step_ms = timeout_ms < 0 ? kLookMs : std::min(timeout_ms, kLookMs);
    pollfd waiting{socket_.get(), POLLIN, 0};
    int ready = poll(&waiting, 1, step_ms);
    if (!usable()) return closed_by_program();
    if (ready > 0) return Status();
    if (ready < 0) continue;  // interrupted
    if (timeout_ms >= 0 && (timeout_ms -= step_ms) == 0)
      return Status(Code::kDeadlineExceeded, "tesserad does not answer");
  }
}

Result<Packet> Connection::receive(int timeout_ms) {
  TESSERA_RETURN_IF_ERROR(wait(timeout_ms));
  Packet packet;
  packet.payload.resize(kMaxMessageBytes);
  iovec parts[] = {{&packet.header, sizeof packet.header}, {packet.payload.data(), packet.payload.size()}};
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxDescriptors * sizeof(int))];
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t count;
  do {
    count = recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC);
  } while (count < 0 && errno == EINTR);
  if (count <= 0) return gone();
  packet.descriptors = take_descriptors(message);
  auto size = static_cast<size_t>(count);
  const MessageHeader& header = packet.header;
  if (size < sizeof header || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 ||
      header.magic != kLeaseMagic || header.payload_bytes != size - sizeof header) {
    return Status(Code::kInvalidData, "tesserad sent a packet that is not of the lease protocol");
  }
  if (header.version != kLeaseVersion) {
    return Status::error(
        Code::kUnsupported,
        "tesserad speaks version %u of the lease protocol, this program %u: use libraries and "
        "daemon of one release",
        header.version, kLeaseVersion);
  }
  packet.payload.resize(header.payload_bytes);
  return packet;
}

Result<AttachedReply> checked_slice(const Packet& packet) {
  TESSERA_ASSIGN_OR_RETURN(AttachedReply slice, packet.as<AttachedReply>(MessageType::kAttached));
  bool valid = slice.device_count >= 1 && slice.device_count <= kMaxDevicesPerSlice &&
               ends(slice.slice_name, sizeof slice.slice_name);
  for (uint32_t i = 0; valid && i < slice.device_count; ++i) valid = ends(slice.devices[i].uuid, kUuidBytes);
  for (const auto& uuid : slice.neighbours) valid = valid && ends(uuid, sizeof uuid);
  if (!valid) return Status(Code::kInvalidData, "tesserad described a slice that cannot be");
  return slice;
}

}  // namespace tessera::vgpu

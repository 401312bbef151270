// Packets over a Unix SOCK_SEQPACKET socket.
#pragma once

#include <sys/types.h>

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "common/fd.h"
#include "common/status.h"

namespace tessera::node {

// Clients that have connected and are not accepted yet: as many as the daemon serves, so that a rush, or one
// that comes while the daemon waits for the driver, is not turned away. The kernel cuts it to somaxconn.
inline constexpr int kListenQueue = 1024;

struct Peer {
  pid_t pid = 0;
  uid_t uid = 0;
};

// Listens on `path` with mode 0600, replacing a socket left behind there. The caller holds the instance lock
// (instance.h), so nobody listens on what is replaced. Anything but a socket at `path` is left alone.
Result<UniqueFd> listen_on(const std::string& path);

// Connects and makes sure that the other end is ours or root's. kUnavailable if nobody listens.
Result<UniqueFd> connect_to(const std::string& path);

Result<Peer> peer_of(int socket);
// The peer's process, immune to reuse of its pid (SO_PEERPIDFD; pidfd_open on kernels before 6.5).
Result<UniqueFd> peer_pidfd(int socket, pid_t pid);

enum class SendResult { kSent, kWouldBlock, kClosed };
SendResult send_packet(int socket, std::string_view packet, std::span<const int> descriptors = {});

enum class ReceiveResult { kPacket, kWouldBlock, kClosed, kTooLong };
// One packet into `buffer` (of kMaxMessageBytes); descriptors that come along are closed by the kernel. An
// empty packet cannot be told from the end of the stream and counts as that.
ReceiveResult receive_packet(int socket, std::span<std::byte> buffer, size_t& size);

}  // namespace tessera::node

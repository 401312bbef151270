#include "remote/front/control.h"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "remote/transport/passed_files.h"

namespace tessera::remote {
namespace {

constexpr uint8_t kConnectionMessage = 1;
constexpr uint8_t kEndMessage = 2;

struct Message {
  uint8_t kind = 0;
  std::array<std::byte, kPreambleBytes> preamble{};
};
static_assert(sizeof(Message) == 1 + kPreambleBytes);

Status send_message(int control, const Message& message, std::span<const int> files) {
  return pass_files(control, std::as_bytes(std::span(&message, 1)), files);
}

}  // namespace

Result<ControlPair> make_control() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
    return Status::from_errno(errno, "cannot make a pair of sockets");
  return ControlPair{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

Status hand_over(int control, const Returning& connection) {
  const int file = connection.socket.get();
  return send_message(control, {kConnectionMessage, encode(connection.preamble)}, std::span(&file, 1));
}

Status ask_to_end(int control) { return send_message(control, {kEndMessage, {}}, {}); }

Result<ControlEvent> receive_control(int control) {
  ControlEvent event;
  pollfd entry{control, POLLIN, 0};
  if (poll(&entry, 1, 0) <= 0) return event;
  Message message;
  UniqueFd file;
  TESSERA_ASSIGN_OR_RETURN(
      const size_t count,
      take_files(control, std::as_writable_bytes(std::span(&message, 1)), std::span(&file, 1)));
  if (count == 0) {
    event.kind = ControlEvent::Kind::kGone;
  } else if (message.kind == kEndMessage) {
    event.kind = ControlEvent::Kind::kEnd;
  } else if (count == sizeof message && message.kind == kConnectionMessage && file) {
    TESSERA_ASSIGN_OR_RETURN(event.connection.preamble, decode_preamble(message.preamble));
    event.connection.socket = std::move(file);
    event.kind = ControlEvent::Kind::kConnection;
  } else {
    return Status(Code::kInternal, "the server's front says something that its sessions do not know");
  }
  return event;
}

}  // namespace tessera::remote

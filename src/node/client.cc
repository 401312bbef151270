#include "node/client.h"

#include <sys/socket.h>
#include <sys/time.h>

#include <array>

#include "node/messages.h"

namespace tessera::node {
namespace {

constexpr time_t kAnswerSeconds = 15;  // longer than the daemon waits for a driver that does not answer
constexpr size_t kMaxAnswerBytes = 16 * 1024 * 1024;

constexpr Code kCodes[] = {Code::kInvalidArgument, Code::kInvalidData,      Code::kNotFound,
                           Code::kAlreadyExists,   Code::kPermissionDenied, Code::kResourceExhausted,
                           Code::kUnavailable,     Code::kUnsupported,      Code::kFailedPrecondition,
                           Code::kDeadlineExceeded};

Code code_of(const std::string& name) {
  for (Code code : kCodes) {
    if (name == code_name(code)) return code;
  }
  return Code::kInternal;
}

Result<std::string> read_answer(int socket, uint32_t request) {
  std::string text;
  std::array<std::byte, vgpu::kMaxMessageBytes> buffer;
  for (;;) {
    size_t size = 0;
    switch (receive_packet(socket, buffer, size)) {
      case ReceiveResult::kWouldBlock:
        return Status::error(Code::kDeadlineExceeded, "tesserad did not answer within %d s",
                             static_cast<int>(kAnswerSeconds));
      case ReceiveResult::kClosed:
        return Status(Code::kUnavailable, "tesserad closed the connection");
      case ReceiveResult::kTooLong:
        return Status(Code::kInvalidData, "tesserad's answer breaks the protocol");
      case ReceiveResult::kPacket:
        break;
    }
    ByteSpan packet = ByteSpan(buffer).first(size);
    auto header = read_at<vgpu::MessageHeader>(packet, 0);
    if (!header || header->magic != vgpu::kLeaseMagic || header->payload_bytes != size - sizeof *header) {
      return Status(Code::kInvalidData, "tesserad's answer breaks the protocol");
    }
    std::string_view payload(reinterpret_cast<const char*>(buffer.data()) + sizeof *header,
                             header->payload_bytes);
    if (header->type == vgpu::MessageType::kError) {
      return Status(Code::kUnavailable, "tesserad closed the connection: " + std::string(payload));
    }
    if (header->type != vgpu::MessageType::kControlReply || header->request != request ||
        text.size() > kMaxAnswerBytes) {
      return Status(Code::kInvalidData, "tesserad's answer breaks the protocol");
    }
    text += payload;
    // An answer ends with the first packet that is not full.
    if (payload.size() < kMaxPayloadBytes) return text;
  }
}

}  // namespace

Result<ControlClient> ControlClient::connect(const std::string& socket_path) {
  TESSERA_ASSIGN_OR_RETURN(UniqueFd socket, connect_to(socket_path));
  timeval patience{kAnswerSeconds, 0};
  if (setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0) {
    return Status::from_errno(errno, "cannot set a time-out");
  }
  return ControlClient(std::move(socket));
}

Result<Json> ControlClient::ask(const Json& request) {
  std::string text = json_text(request);
  if (text.size() > kMaxPayloadBytes) return Status(Code::kInvalidArgument, "the request is too long");
  uint32_t number = next_request_++;
  std::string packet = encode_message(vgpu::MessageType::kControl, number, text);
  // A daemon that turns us away may have said why before it closed: that is worth reading.
  bool sent = send_packet(socket_.get(), packet) == SendResult::kSent;
  TESSERA_ASSIGN_OR_RETURN(std::string answer_text, read_answer(socket_.get(), number));
  if (!sent) return Status(Code::kUnavailable, "tesserad closed the connection");
  auto answer = parse_json_object(answer_text);
  if (!answer) return Status(Code::kInvalidData, "tesserad's answer is no JSON object");
  if (!json_bool(*answer, "ok")) {
    return Status(code_of(json_string(*answer, "code")), json_string(*answer, "message"));
  }
  return *answer;
}

}  // namespace tessera::node

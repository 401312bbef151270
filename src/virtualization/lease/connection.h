// One connection to the node daemon, packet by packet. Not thread-safe, except that one thread may receive
// while others, holding a lock of theirs, send.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/bytes.h"
#include "common/status.h"
#include "virtualization/lease/own_socket.h"
#include "virtualization/lease/protocol.h"

namespace tessera::vgpu {

using SliceToken = std::array<uint8_t, kTokenBytes>;
// From the text in TESSERA_SLICE: 64 hexadecimal digits.
Result<SliceToken> parse_slice_token(std::string_view text);

struct Packet {
  MessageHeader header;
  std::vector<std::byte> payload;
  std::vector<UniqueFd> descriptors;

  // The payload of an answer of that type; an Error message of the daemon becomes the status.
  template <typename T>
  Result<T> as(MessageType type) const {
    TESSERA_RETURN_IF_ERROR(check(type, sizeof(T)));
    return *read_at<T>(payload, 0);
  }

 private:
  Status check(MessageType type, size_t bytes) const;
};

class Connection {
 public:
  // Connects and makes sure that the listener is this user's or root's: a stranger must not grant us budget.
  static Result<Connection> open(const std::string& socket_path);

  // Fails rather than waits for long: a daemon that does not read is as good as gone.
  Status send(MessageType type, uint32_t request, ByteSpan payload);
  template <typename T>
  Status send_struct(MessageType type, uint32_t request, const T& payload) {
    return send(type, request, std::as_bytes(std::span(&payload, 1)));
  }

  // Waits for a packet; negative: without limit. kUnavailable once the daemon has gone, or the program has
  // closed our descriptor.
  Result<Packet> receive(int timeout_ms);

  int descriptor() const { return socket_.get(); }
  // False once the program has closed our descriptor: its number must not be used any more.
  bool usable() const { return socket_.ours(); }
  // Async-signal-safe.
  void close() { socket_.close_if_ours(); }

 private:
  explicit Connection(UniqueFd socket) : socket_(std::move(socket)) {}
  Status wait(int timeout_ms);

  OwnSocket socket_;
};

// The answer to Attach or Observe, checked: 1 to kMaxDevicesPerSlice devices, texts that end.
Result<AttachedReply> checked_slice(const Packet& packet);

inline constexpr int kAnswerTimeoutMs = 10'000;  // generous: a recall takes the daemon 0.2 s

}  // namespace tessera::vgpu

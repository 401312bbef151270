#include "remote/program/damage.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "common/fd.h"
#include "remote/link/link.h"
#include "remote/session/messages.h"
#include "remote/transport/socket_transport.h"

namespace tessera::remote {
namespace {

Bytes32 some_bytes(uint8_t start) {
  Bytes32 bytes;
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(start + 7 * i);
  return bytes;
}

std::vector<HandshakeMessage> one_of_each() {
  SessionId session;
  session.fill(std::byte{0x5a});
  return {Challenge{3, some_bytes(1)},
          Hello{Method::kToken, some_bytes(2), some_bytes(3), "alice", R"({"memory_bytes":[1]})"},
          Return{some_bytes(4), some_bytes(5)},
          Answer{session, some_bytes(6), some_bytes(7)},
          Refusal{Code::kPermissionDenied, "no"},
          Confirmation{some_bytes(8)}};
}

Result<HandshakeMessage> decode(ByteSpan frame) {
  if (frame.size() < kFrameHeaderBytes) return Status(Code::kInvalidData, "no header");
  TESSERA_ASSIGN_OR_RETURN(const FrameHeader header, decode_frame_header(frame.first(kFrameHeaderBytes)));
  if (header.payload_bytes != frame.size() - kFrameHeaderBytes)
    return Status(Code::kInvalidData, "not as long as it says");
  return decode_handshake_message(header.type, frame.subspan(kFrameHeaderBytes));
}

// `decodes_to_same`: whether those bytes are taken for the original. What is at the end and kept for later
// versions is not looked at by this one.
template <typename Same>
void damage(std::vector<std::byte> bytes, const std::string& what, Same decodes_to_same, DamageCheck& check,
            std::vector<std::string>& failures, size_t kept_for_later = 0) {
  if (!decodes_to_same(bytes)) {
    failures.push_back(what + " does not come back as it was");
    return;
  }
  ++check.round_trips;
  const auto expect_caught = [&](ByteSpan damaged, const char* how, size_t where) {
    ++check.damaged;
    if (!decodes_to_same(damaged)) {
      ++check.caught;
    } else {
      failures.push_back(what + " " + how + " at " + std::to_string(where) + " is taken for whole");
    }
  };
  for (size_t cut = 0; cut < bytes.size(); ++cut) expect_caught(ByteSpan(bytes).first(cut), "cut", cut);
  for (size_t bit = 0; bit < (bytes.size() - kept_for_later) * 8; ++bit) {
    const auto turned = static_cast<std::byte>(1U << (bit % 8));
    bytes[bit / 8] ^= turned;
    expect_caught(bytes, "with a bit turned round", bit);
    bytes[bit / 8] ^= turned;
  }
}

template <typename Bytes>
std::vector<std::byte> vector_of(const Bytes& bytes) {
  const auto view = std::as_bytes(std::span(bytes));
  return {view.begin(), view.end()};
}

struct Ends {
  UniqueFd one, other;
};
Ends make_ends() {
  int ends[2] = {-1, -1};
  (void)socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends);
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

LinkOptions checked() {
  LinkOptions options;
  options.checked = true;
  return options;
}

// What a link writes for these bytes, as it lies on the connection. The peer's beginning is needed for it.
std::vector<std::byte> on_the_wire(ByteSpan payload) {
  Ends ends = make_ends();
  Ends beginning = make_ends();
  std::vector<std::byte> start(sizeof(LinkFrame)), written(4096);
  {
    Link peer(SocketTransport::create(std::move(beginning.one), "unix").value(), checked());
    (void)peer.flush();
    (void)recv(beginning.other.get(), start.data(), start.size(), 0);
  }
  (void)::send(ends.other.get(), start.data(), start.size(), MSG_NOSIGNAL);
  Link link(SocketTransport::create(std::move(ends.one), "unix").value(), checked());
  (void)link.readable(std::chrono::milliseconds(0));
  {
    Link::Sender sender(link);
    sender.append(payload);
    (void)sender.flush();
  }
  const ssize_t count = recv(ends.other.get(), written.data(), written.size(), 0);
  written.resize(count < 0 ? 0 : static_cast<size_t>(count));
  return written;
}

}  // namespace

DamageCheck check_handshake(std::vector<std::string>& failures) {
  DamageCheck check;
  check.what = "handshake";
  for (const HandshakeMessage& message : one_of_each()) {
    damage(
        vector_of(encode(message)), "handshake message " + std::to_string(message.index()),
        [&](ByteSpan bytes) {
          const auto decoded = decode(bytes);
          return decoded.ok() && *decoded == message;
        },
        check, failures);
  }
  Preamble preamble;
  preamble.kind = ConnectionKind::kResume;
  preamble.session.fill(std::byte{0x33});
  damage(
      vector_of(encode(preamble)), "the preamble",
      [&](ByteSpan bytes) {
        const auto decoded = decode_preamble(bytes);
        return decoded.ok() && *decoded == preamble;
      },
      check, failures);
  const Greeting greeting{kWireVersion, Verdict::kFull};
  damage(
      vector_of(encode(greeting)), "the greeting",
      [&](ByteSpan bytes) {
        const auto decoded = decode_greeting(bytes);
        return decoded.ok() && decoded->version == greeting.version && decoded->verdict == greeting.verdict;
      },
      check, failures, 1);
  return check;
}

DamageCheck check_frames(std::vector<std::string>& failures) {
  DamageCheck check;
  check.what = "frames";
  const auto sent = vector_of(some_bytes(9));
  // A link that reads them to the end of its connection.
  const auto reads_as_sent = [&](ByteSpan wire) {
    Ends ends = make_ends();
    if (::send(ends.other.get(), wire.data(), wire.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(wire.size()))
      return false;
    (void)shutdown(ends.other.get(), SHUT_WR);
    Link link(SocketTransport::create(std::move(ends.one), "unix").value(), checked());
    std::vector<std::byte> got(sent.size());
    return link.read(got).ok() && got == sent;
  };
  damage(on_the_wire(sent), "a stream", reads_as_sent, check, failures);
  return check;
}

}  // namespace tessera::remote

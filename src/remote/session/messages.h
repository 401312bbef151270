// What is said between the greeting and the session itself, each in a frame:
//
//   frame: bytes of the payload (2), type (1), zero (1), payload
//
// The server begins with a Challenge. A new session: Hello, then Answer or Refusal. One that is there:
// Return, then Answer or Refusal, and after kResume the client's Confirmation. Numbers are little-endian;
// texts have their length before them.
#pragma once

#include <string>
#include <variant>

#include "remote/session/preamble.h"
#include "remote/session/proof.h"

namespace tessera::remote {

inline constexpr size_t kFrameHeaderBytes = 4;
inline constexpr size_t kMostPayloadBytes = 4092;
inline constexpr size_t kMostIdentityBytes = 64;
inline constexpr size_t kMostWishesBytes = 3072;
inline constexpr size_t kMostReasonBytes = 512;

// How a client shows who it is.
enum class Method : uint8_t { kNone = 1, kToken = 2, kCertificate = 4 };

struct Challenge {
  uint8_t methods = 0;  // any of Method
  Nonce nonce{};
  bool operator==(const Challenge&) const = default;
};
struct Hello {
  Method method = Method::kNone;
  Nonce nonce{};
  Proof proof{};         // by the token; without one by no key
  std::string identity;  // empty: the only one there is, or the certificate's
  std::string wishes;    // JSON for whoever makes the session
  bool operator==(const Hello&) const = default;
};
struct Return {
  Nonce nonce{};
  Proof proof{};  // by the session's secret
  bool operator==(const Return&) const = default;
};
struct Answer {
  SessionId session{};
  Secret masked_secret{};
  Proof proof{};  // by the same key as the client's
  bool operator==(const Answer&) const = default;
};
struct Refusal {
  Code code = Code::kInternal;
  std::string reason;
  bool operator==(const Refusal&) const = default;
};
struct Confirmation {
  Proof proof{};  // by the new secret
  bool operator==(const Confirmation&) const = default;
};

using HandshakeMessage = std::variant<Challenge, Hello, Return, Answer, Refusal, Confirmation>;

// A whole frame. Texts that are too long are cut.
std::string encode(const HandshakeMessage& message);

struct FrameHeader {
  uint8_t type = 0;
  size_t payload_bytes = 0;  // kMostPayloadBytes at most
};
// kInvalidData where it is none.
Result<FrameHeader> decode_frame_header(ByteSpan bytes);
// kInvalidData where the payload is not exactly one message of that type.
Result<HandshakeMessage> decode_handshake_message(uint8_t type, ByteSpan payload);

// Collects one frame, never a byte beyond it: what follows is somebody else's.
class FrameCollector {
 public:
  // Where the next bytes go; empty once the frame is whole.
  std::span<std::byte> wanted();
  // `count` of them are there. kInvalidData for a header that is none.
  Status filled(size_t count);
  bool whole() const { return has_header_ && filled_ == bytes_.size(); }
  // Of a whole frame; ready for the next one afterwards.
  Result<HandshakeMessage> take();

 private:
  std::string bytes_ = std::string(kFrameHeaderBytes, '\0');  // of the header, then of the payload
  size_t filled_ = 0;
  bool has_header_ = false;
  FrameHeader header_;
};

}  // namespace tessera::remote

#include "remote/session/preamble.h"

#include <algorithm>
#include <cstring>

namespace tessera::remote {
namespace {

constexpr char kPreambleMagic[8] = {'T', 'S', 'R', 'W', 'I', 'R', 'E', '\0'};
constexpr std::byte kChecksums{1};
constexpr char kGreetingMagic[4] = {'T', 'S', 'R', 'G'};

Status not_ours() { return {Code::kInvalidData, "the other side does not speak Tessera's protocol"}; }

}  // namespace

std::array<std::byte, kPreambleBytes> encode(const Preamble& preamble) {
  std::array<std::byte, kPreambleBytes> bytes{};
  std::memcpy(bytes.data(), kPreambleMagic, 8);
  std::memcpy(bytes.data() + 8, &preamble.version, 2);
  bytes[10] = static_cast<std::byte>(preamble.kind);
  bytes[11] = static_cast<std::byte>(preamble.flavour);
  bytes[12] = preamble.checksums ? kChecksums : std::byte{0};
  std::memcpy(bytes.data() + 16, preamble.session.data(), preamble.session.size());
  return bytes;
}

Result<Preamble> decode_preamble(ByteSpan bytes) {
  if (bytes.size() != kPreambleBytes || std::memcmp(bytes.data(), kPreambleMagic, 8) != 0) return not_ours();
  Preamble preamble;
  preamble.version = *read_at<uint16_t>(bytes, 8);
  if (preamble.version != kWireVersion) return preamble;
  const auto kind = static_cast<uint8_t>(bytes[10]), flavour = static_cast<uint8_t>(bytes[11]);
  if (kind < 1 || kind > 3 || flavour < 1 || flavour > 4) return not_ours();
  if ((*read_at<uint32_t>(bytes, 12) & ~static_cast<uint32_t>(kChecksums)) != 0) return not_ours();
  preamble.checksums = bytes[12] == kChecksums;
  preamble.kind = static_cast<ConnectionKind>(kind);
  preamble.flavour = static_cast<Flavour>(flavour);
  std::memcpy(preamble.session.data(), bytes.data() + 16, preamble.session.size());
  if (preamble.kind == ConnectionKind::kNew && preamble.session != SessionId{}) return not_ours();
  return preamble;
}

std::array<std::byte, kGreetingBytes> encode(const Greeting& greeting) {
  std::array<std::byte, kGreetingBytes> bytes{};
  std::memcpy(bytes.data(), kGreetingMagic, 4);
  std::memcpy(bytes.data() + 4, &greeting.version, 2);
  bytes[6] = static_cast<std::byte>(greeting.verdict);
  return bytes;
}

Result<Greeting> decode_greeting(ByteSpan bytes) {
  if (bytes.size() != kGreetingBytes || std::memcmp(bytes.data(), kGreetingMagic, 4) != 0) return not_ours();
  Greeting greeting;
  greeting.version = *read_at<uint16_t>(bytes, 4);
  const auto verdict = static_cast<uint8_t>(bytes[6]);
  if (verdict > static_cast<uint8_t>(Verdict::kEnding)) return not_ours();
  greeting.verdict = static_cast<Verdict>(verdict);
  return greeting;
}

Status status_of(const Greeting& greeting) {
  switch (greeting.verdict) {
    case Verdict::kWelcome:
      return Status();
    case Verdict::kOtherVersion:
      return Status::error(
          Code::kUnsupported,
          "the server speaks version %u of the protocol and this client version %u: install the same "
          "Tessera on both",
          greeting.version, kWireVersion);
    case Verdict::kNoSuchSession:
      return {Code::kNotFound,
              "the server has no such session: it has ended, or the server was started anew"};
    case Verdict::kFull:
      return {
          Code::kResourceExhausted,
          "the server has as many sessions as it takes ('tessera serve --max-sessions'); try again later"};
    case Verdict::kWantsTls:
      return {Code::kPermissionDenied, "the server wants TLS: name it as tls://host:port"};
    case Verdict::kNoTls:
      return {Code::kFailedPrecondition,
              "the server has no certificate: name it as tcp://host:port, or start it with --tls-cert and "
              "--tls-key"};
    case Verdict::kTooFast:
      return {Code::kUnavailable, "the server has had too many connections of this kind in a short time"};
    case Verdict::kWrongPlace:
      return {Code::kInvalidArgument, "the server listens there, but not for this kind of connection"};
    case Verdict::kEnding:
      return {Code::kUnavailable, "the server is about to end"};
  }
  return not_ours();
}

}  // namespace tessera::remote

#include "remote/session/messages.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace tessera::remote {
namespace {

constexpr auto kLastCode = static_cast<uint8_t>(Code::kInternal);

Status malformed(const char* what) {
  return Status::error(Code::kInvalidData, "a message of the handshake is wrong: %s", what);
}

class Writer {
 public:
  void number(uint16_t value) { raw(&value, sizeof value); }
  void byte(uint8_t value) { raw(&value, sizeof value); }
  void bytes(ByteSpan value) { raw(value.data(), value.size()); }
  void text(const std::string& value, size_t most) {
    const size_t count = std::min(value.size(), most);
    number(static_cast<uint16_t>(count));
    raw(value.data(), count);
  }
  std::string take() && { return std::move(bytes_); }

 private:
  void raw(const void* data, size_t count) { bytes_.append(static_cast<const char*>(data), count); }
  std::string bytes_;
};

// After the first thing that is not there, nothing is.
class Reader {
 public:
  explicit Reader(ByteSpan bytes) : bytes_(bytes) {}

  uint16_t number() { return value<uint16_t>(); }
  uint8_t byte() { return value<uint8_t>(); }
  template <size_t size>
  void bytes(std::array<std::byte, size>& into) {
    into = value<std::array<std::byte, size>>();
  }
  std::string text(size_t most) {
    const size_t count = number();
    const auto piece = slice_at(bytes_, at_, count);
    if (!good_ || count > most || !piece) {
      good_ = false;
      return "";
    }
    at_ += count;
    return {reinterpret_cast<const char*>(piece->data()), count};
  }
  bool at_end() const { return good_ && at_ == bytes_.size(); }

 private:
  template <typename T>
  T value() {
    const auto read = good_ ? read_at<T>(bytes_, at_) : std::nullopt;
    good_ = read.has_value();
    at_ += good_ ? sizeof(T) : 0;
    return read.value_or(T{});
  }

  const ByteSpan bytes_;
  size_t at_ = 0;
  bool good_ = true;
};

void write(Writer& to, const Challenge& message) {
  to.byte(message.methods);
  to.bytes(message.nonce);
}
void write(Writer& to, const Hello& message) {
  to.byte(static_cast<uint8_t>(message.method));
  to.bytes(message.nonce);
  to.bytes(message.proof);
  to.text(message.identity, kMostIdentityBytes);
  to.text(message.wishes, kMostWishesBytes);
}
void write(Writer& to, const Return& message) {
  to.bytes(message.nonce);
  to.bytes(message.proof);
}
void write(Writer& to, const Answer& message) {
  to.bytes(message.session);
  to.bytes(message.masked_secret);
  to.bytes(message.proof);
}
void write(Writer& to, const Refusal& message) {
  to.byte(static_cast<uint8_t>(message.code));
  to.text(message.reason, kMostReasonBytes);
}
void write(Writer& to, const Confirmation& message) { to.bytes(message.proof); }

Result<HandshakeMessage> read_challenge(Reader& from) {
  Challenge message;
  message.methods = from.byte();
  from.bytes(message.nonce);
  return HandshakeMessage(message);
}

Result<HandshakeMessage> read_hello(Reader& from) {
  Hello message;
  const uint8_t method = from.byte();
  if (method != 1 && method != 2 && method != 4) return malformed("an unknown way to show who one is");
  message.method = static_cast<Method>(method);
  from.bytes(message.nonce);
  from.bytes(message.proof);
  message.identity = from.text(kMostIdentityBytes);
  message.wishes = from.text(kMostWishesBytes);
  return HandshakeMessage(std::move(message));
}

Result<HandshakeMessage> read_return(Reader& from) {
  Return message;
  from.bytes(message.nonce);
  from.bytes(message.proof);
  return HandshakeMessage(message);
}

Result<HandshakeMessage> read_answer(Reader& from) {
  Answer message;
  from.bytes(message.session);
  from.bytes(message.masked_secret);
  from.bytes(message.proof);
  return HandshakeMessage(message);
}

Result<HandshakeMessage> read_refusal(Reader& from) {
  Refusal message;
  const uint8_t code = from.byte();
  if (code == 0 || code > kLastCode) return malformed("an unknown reason to refuse");
  message.code = static_cast<Code>(code);
  message.reason = from.text(kMostReasonBytes);
  // It goes to a terminal.
  for (char& c : message.reason)
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) c = ' ';
  return HandshakeMessage(std::move(message));
}

Result<HandshakeMessage> read_confirmation(Reader& from) {
  Confirmation message;
  from.bytes(message.proof);
  return HandshakeMessage(message);
}

// By type, which is the message's place in the variant.
constexpr Result<HandshakeMessage> (*kReaders[])(Reader&) = {read_challenge, read_hello,   read_return,
                                                             read_answer,    read_refusal, read_confirmation};
static_assert(std::size(kReaders) == std::variant_size_v<HandshakeMessage>);

}  // namespace

std::string encode(const HandshakeMessage& message) {
  Writer payload;
  std::visit([&](const auto& one) { write(payload, one); }, message);
  const std::string bytes = std::move(payload).take();
  Writer frame;
  frame.number(static_cast<uint16_t>(bytes.size()));
  frame.byte(static_cast<uint8_t>(message.index()));
  frame.byte(0);
  return std::move(frame).take() + bytes;
}

Result<FrameHeader> decode_frame_header(ByteSpan bytes) {
  Reader from(bytes);
  FrameHeader header;
  header.payload_bytes = from.number();
  header.type = from.byte();
  const uint8_t zero = from.byte();
  if (!from.at_end() || zero != 0 || header.type >= std::size(kReaders)) return malformed("no such message");
  if (header.payload_bytes > kMostPayloadBytes) return malformed("it is larger than 4 KiB");
  return header;
}

Result<HandshakeMessage> decode_handshake_message(uint8_t type, ByteSpan payload) {
  if (type >= std::size(kReaders)) return malformed("no such message");
  Reader from(payload);
  auto message = kReaders[type](from);
  if (message.ok() && !from.at_end()) return malformed("its parts do not fit");
  return message;
}

std::span<std::byte> FrameCollector::wanted() {
  return std::as_writable_bytes(std::span(bytes_)).subspan(filled_);
}

Status FrameCollector::filled(size_t count) {
  filled_ += count;
  if (has_header_ || filled_ < kFrameHeaderBytes) return Status();
  TESSERA_ASSIGN_OR_RETURN(header_, decode_frame_header(std::as_bytes(std::span(bytes_))));
  has_header_ = true;
  bytes_.assign(header_.payload_bytes, '\0');
  filled_ = 0;
  return Status();
}

Result<HandshakeMessage> FrameCollector::take() {
  auto message = decode_handshake_message(header_.type, std::as_bytes(std::span(bytes_)));
  *this = FrameCollector();
  return message;
}

}  // namespace tessera::remote

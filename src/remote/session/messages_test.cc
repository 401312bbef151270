#include "remote/session/messages.h"

#include <gtest/gtest.h>

namespace tessera::remote {
namespace {

ByteSpan bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

Bytes32 some(int value) {
  Bytes32 bytes;
  bytes.fill(static_cast<std::byte>(value));
  return bytes;
}

std::vector<HandshakeMessage> one_of_each() {
  SessionId session;
  session.fill(std::byte{9});
  return {Challenge{5, some(1)},
          Hello{Method::kToken, some(2), some(3), "alice", R"({"mem":"1GiB"})"},
          Return{some(4), some(5)},
          Answer{session, some(6), some(7)},
          Refusal{Code::kPermissionDenied, "no"},
          Confirmation{some(8)}};
}

// In pieces of `step` bytes, as sockets give them.
Result<HandshakeMessage> collect(ByteSpan bytes, size_t step) {
  FrameCollector frame;
  while (!frame.whole()) {
    const size_t count = std::min({frame.wanted().size(), step, bytes.size()});
    if (count == 0) return Status(Code::kUnavailable, "no more");
    std::copy_n(bytes.begin(), count, frame.wanted().begin());
    bytes = bytes.subspan(count);
    TESSERA_RETURN_IF_ERROR(frame.filled(count));
  }
  if (!bytes.empty()) return Status(Code::kInternal, "bytes are left");
  return frame.take();
}

TEST(Preamble, IsReadAsItWasWritten) {
  Preamble preamble{kWireVersion, ConnectionKind::kResume, Flavour::kShm, {}};
  preamble.session.fill(std::byte{7});
  EXPECT_EQ(*decode_preamble(encode(preamble)), preamble);
  preamble.checksums = true;
  EXPECT_EQ(*decode_preamble(encode(preamble)), preamble);
  EXPECT_EQ(*decode_preamble(encode(Preamble{})), Preamble{});
}

TEST(Preamble, WhatNobodySendsIsRefused) {
  const auto good = encode(Preamble{});
  const size_t fixed[] = {0,  7,  10, 11,
                          12, 15, 16, 31};  // the magic, kind, flavour, options, and a new session's id
  for (const size_t at : fixed) {
    auto bad = good;
    bad[at] ^= std::byte{0x40};
    EXPECT_FALSE(decode_preamble(bad).ok()) << at;
  }
  EXPECT_FALSE(decode_preamble(ByteSpan(good).first(31)).ok());
}

TEST(Preamble, AnotherVersionIsToldAsThat) {
  auto later = encode(Preamble{});
  later.back() = std::byte{1};
  later[8] = std::byte{kWireVersion + 1};
  later[10] = std::byte{99};
  const auto preamble = decode_preamble(later);
  ASSERT_TRUE(preamble.ok());
  EXPECT_EQ(preamble->version, kWireVersion + 1);
}

TEST(Greeting, EveryVerdictHasItsWords) {
  EXPECT_TRUE(status_of(*decode_greeting(encode(Greeting{}))).ok());
  for (int verdict = 1; verdict <= 8; ++verdict) {
    const auto greeting = decode_greeting(encode(Greeting{kWireVersion, static_cast<Verdict>(verdict)}));
    ASSERT_TRUE(greeting.ok());
    EXPECT_FALSE(status_of(*greeting).ok());
    EXPECT_EQ(status_of(*greeting).message().find("not speak"), std::string::npos);
  }
  auto bad = encode(Greeting{});
  bad[6] = std::byte{9};
  EXPECT_FALSE(decode_greeting(bad).ok());
}

TEST(Messages, AreReadAsTheyWereWritten) {
  for (const HandshakeMessage& message : one_of_each()) {
    const std::string bytes = encode(message);
    for (const size_t step : {1, 3, 5000}) {
      const auto read = collect(bytes_of(bytes), step);
      ASSERT_TRUE(read.ok()) << read.status().message();
      EXPECT_TRUE(*read == message) << message.index();
    }
  }
}

TEST(Messages, EveryCutAndEveryByteTooMuchIsRefused) {
  for (const HandshakeMessage& message : one_of_each()) {
    const std::string payload = encode(message).substr(kFrameHeaderBytes);
    const auto type = static_cast<uint8_t>(message.index());
    for (size_t count = 0; count < payload.size(); ++count)
      EXPECT_FALSE(decode_handshake_message(type, bytes_of(payload.substr(0, count))).ok()) << count;
    EXPECT_FALSE(decode_handshake_message(type, bytes_of(payload + "x")).ok());
  }
  EXPECT_FALSE(decode_handshake_message(6, {}).ok());
}

TEST(Messages, AFrameTooLargeIsRefusedBeforeItIsCollected) {
  const std::string header = {'\xfd', '\x0f', 1, 0};  // 4093 bytes
  EXPECT_FALSE(decode_frame_header(bytes_of(header)).ok());
  EXPECT_EQ(collect(bytes_of(header), 100).status().code(), Code::kInvalidData);
  Hello hello;
  hello.wishes = std::string(5000, 'w');
  hello.identity = std::string(5000, 'i');
  const auto cut = collect(bytes_of(encode(HandshakeMessage(hello))), 5000);
  ASSERT_TRUE(cut.ok());
  EXPECT_EQ(std::get<Hello>(*cut).wishes.size(), kMostWishesBytes);
}

TEST(Messages, WhatAServerSaysCannotDriveATerminal) {
  const auto read = collect(bytes_of(encode(HandshakeMessage(Refusal{Code::kInternal, "a\033[2J\nb"}))), 9);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(std::get<Refusal>(*read).reason, "a [2J b");
}

}  // namespace
}  // namespace tessera::remote

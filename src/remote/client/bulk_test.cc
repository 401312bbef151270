#include "remote/client/bulk.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cstring>
#include <random>

#include "remote/transport/socket_transport.h"
#include "remote/wire/copy.h"

namespace tessera::remote {
namespace {

// Both ends of a link, in one thread: what is sent fits into the socket.
struct Ends {
  std::unique_ptr<Link> client, server;
  Ends() {
    int sockets[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sockets), 0);
    client =
        std::make_unique<Link>(SocketTransport::create(UniqueFd(sockets[0]), "unix").value(), LinkOptions());
    server =
        std::make_unique<Link>(SocketTransport::create(UniqueFd(sockets[1]), "unix").value(), LinkOptions());
    EXPECT_TRUE(client->flush().ok());  // its first frame
  }
  void send(const PieceHeader& header, ByteSpan stored) const {
    EXPECT_TRUE(server->readable(std::chrono::nanoseconds(0)).ok());
    Link::Sender sender(*server);
    sender.append(std::as_bytes(std::span(&header, 1)));
    sender.append(stored);
    const std::byte padding[8] = {};
    sender.append(ByteSpan(padding, (8 - stored.size() % 8) % 8));
    EXPECT_TRUE(sender.flush().ok());
  }
};

std::vector<std::byte> repeated(size_t bytes) {
  std::vector<std::byte> all(bytes);
  for (size_t i = 0; i < bytes; ++i) all[i] = static_cast<std::byte>(i / 64 % 7);
  return all;
}

std::vector<std::byte> coded(ByteSpan piece) {
  memory::PageCodec codec;
  std::vector<uint8_t> stored(memory::PageCodec::bound(piece.size()));
  stored.resize(codec
                    .encode({memory::Compression::kLz4, 1},
                            std::span(reinterpret_cast<const uint8_t*>(piece.data()), piece.size()), stored)
                    .value());
  const auto bytes = std::as_bytes(std::span(stored));
  return {bytes.begin(), bytes.end()};
}

TEST(Bulk, APayloadComesInPiecesOfAnyForm) {
  const Ends ends;
  Bulk bulk(*ends.client);
  const auto one = repeated(10'001), two = repeated(70'003);
  const auto stored = coded(two);
  ASSERT_LT(stored.size(), two.size());
  ends.send({10'001, PieceForm::kPlain, 10'001}, one);
  ends.send({70'003, PieceForm::kCoded, stored.size()}, stored);
  std::vector<std::byte> space(80'004);
  ASSERT_TRUE(bulk.read_payload(space).ok());
  EXPECT_EQ(memcmp(space.data(), one.data(), one.size()), 0);
  EXPECT_EQ(memcmp(space.data() + one.size(), two.data(), two.size()), 0);
}

TEST(Bulk, PiecesThatMakeNoSenseAreRefused) {
  const auto page = repeated(5000);
  auto good = coded(page), damaged = good;
  damaged.back() ^= std::byte{0xff};
  damaged[damaged.size() / 2] ^= std::byte{0xff};
  const auto size = static_cast<uint32_t>(good.size());
  const struct {
    PieceHeader header;
    ByteSpan stored;
  } wrong[] = {
      {{0, PieceForm::kPlain, 0}, {}},
      {{5001, PieceForm::kPlain, 5001}, {}},         // more than is wanted
      {{100, PieceForm::kPlain, 50}, {}},            // less than it is
      {{100, PieceForm::kPlain, ~uint64_t{0}}, {}},  //
      {{100, PieceForm::kCoded, 100}, {}},           // not smaller
      {{100, PieceForm::kCoded, ~uint64_t{0}}, {}},  //
      {{5000, static_cast<PieceForm>(77), 5000}, {}},
      {{5000, PieceForm::kArea, 0}, {}},        //
      {{4999, PieceForm::kCoded, size}, good},  // not what its header says
      {{5000, PieceForm::kCoded, size - 8}, ByteSpan(good).first(size - 8)},
      {{5000, PieceForm::kCoded, 0}, {}},
      {{5000, PieceForm::kCoded, damaged.size()}, damaged},
  };
  for (const auto& [header, stored] : wrong) {
    const Ends ends;
    Bulk bulk(*ends.client);
    ends.send(header, stored);
    std::vector<std::byte> space(5000);
    const Status status = bulk.read_payload(space);
    const bool same = memcmp(space.data(), page.data(), page.size()) == 0;
    EXPECT_TRUE(!status.ok() || (header.stored == damaged.size() && !same))
        << header.bytes << " " << header.stored;
  }
}

// Bytes of any kind come out as they went in, whatever the encoder thinks of the way.
TEST(PieceEncoder, WhatItEncodesIsTheSameAgain) {
  const Ends ends;
  PieceEncoder encoder;
  memory::PageCodec codec;
  std::mt19937_64 random(1);
  encoder.begin();
  for (int i = 0; i < 50; ++i) {
    auto piece = i % 3 == 0 ? std::vector<std::byte>(100'000) : repeated(100'000);
    if (i % 3 == 2)
      for (auto& byte : piece) byte = static_cast<std::byte>(random());
    const ByteSpan stored = encoder.encode(piece);
    encoder.sent(ends.client->peer_had());
    if (stored.empty()) {
      EXPECT_NE(i % 3, 0) << "zeros are nothing on any way";
      continue;
    }
    EXPECT_LT(stored.size(), piece.size());
    std::vector<uint8_t> back(piece.size());
    ASSERT_TRUE(
        codec.decode(std::span(reinterpret_cast<const uint8_t*>(stored.data()), stored.size()), back).ok());
    EXPECT_EQ(memcmp(back.data(), piece.data(), back.size()), 0);
  }
  encoder.give_up();
  EXPECT_TRUE(encoder.encode(std::vector<std::byte>(100'000)).empty());
}

}  // namespace
}  // namespace tessera::remote

#include "remote/link/stripes.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cstring>
#include <random>
#include <thread>

#include "remote/transport/socket_transport.h"

namespace tessera::remote {
namespace {

std::unique_ptr<Link> link_over(int socket) {
  return std::make_unique<Link>(SocketTransport::create(UniqueFd(socket), "unix").value(), LinkOptions());
}

// Both ends, of so many connections.
struct Ends {
  Stripes one, other;
  explicit Ends(size_t count) {
    for (size_t i = 0; i < count; ++i) {
      int sockets[2];
      EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sockets), 0);
      EXPECT_TRUE(one.add(link_over(sockets[0])).ok());
      EXPECT_TRUE(other.add(link_over(sockets[1])).ok());
    }
  }
};

std::vector<std::byte> content(uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::byte> bytes(1 + random() % 200'000);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

// A hundred pieces, taken in their order.
void send_and_take(Stripes& from, Stripes& to, size_t among) {
  std::thread sender([&] {
    for (uint64_t i = 0; i < 100; ++i) EXPECT_EQ(from.send(content(i), among).value(), i + 1);
    EXPECT_TRUE(from.drain().ok());
  });
  for (uint64_t i = 0; i < 100; ++i) EXPECT_EQ(to.take(i + 1).value(), content(i));
  sender.join();
}

TEST(Stripes, PiecesComeAsTheyWereSentBothWaysAtOnce) {
  for (const size_t count : {1u, 3u}) {
    Ends ends(count);
    EXPECT_EQ(ends.one.count(), count);
    std::thread back([&] { send_and_take(ends.other, ends.one, 1); });
    send_and_take(ends.one, ends.other, count);
    back.join();
    EXPECT_GT(ends.one.peer_had(), 0u);
  }
}

TEST(Stripes, TheEndOfOneIsTheEndOfAll) {
  Ends ends(2);
  std::thread waits([&] { EXPECT_FALSE(ends.one.take(1).ok()); });
  ends.other.end(Status(Code::kUnavailable, "enough"));
  waits.join();
  EXPECT_FALSE(ends.one.send(content(1), 2).ok());
  EXPECT_FALSE(ends.one.drain().ok());
  EXPECT_EQ(ends.one.count(), 0u);
}

TEST(Stripes, ThereIsABoundOfThem) {
  Ends ends(Stripes::kMost);
  int sockets[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sockets), 0);
  EXPECT_EQ(ends.one.add(link_over(sockets[0])).code(), Code::kResourceExhausted);
  close(sockets[1]);
}

// One that sends what makes no sense ends it; pieces that nobody takes are few.
TEST(Stripes, HostilePiecesAreRefused) {
  const struct {
    uint64_t number, bytes;
  } heads[] = {{1, 0}, {1, Stripes::kMostPieceBytes + 1}, {1, ~uint64_t{0}}};
  for (const auto& head : heads) {
    Stripes stripes;
    int sockets[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sockets), 0);
    ASSERT_TRUE(stripes.add(link_over(sockets[0])).ok());
    const auto hostile = link_over(sockets[1]);
    EXPECT_TRUE(hostile->readable(std::chrono::seconds(1)).ok());
    Link::Sender sender(*hostile);
    sender.append(std::as_bytes(std::span(&head, 1)));
    EXPECT_TRUE(sender.flush().ok());
    EXPECT_FALSE(stripes.take(1).ok());
  }
}

}  // namespace
}  // namespace tessera::remote

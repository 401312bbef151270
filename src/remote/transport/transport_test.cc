// What a Transport promises, of every kind.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <functional>
#include <numeric>
#include <random>
#include <thread>
#include <vector>

#include "remote/testing/certificates.h"
#include "remote/transport/dial.h"
#include "remote/transport/shm_transport.h"
#include "remote/transport/socket_transport.h"
#include "remote/transport/tls_transport.h"

namespace tessera::remote {
namespace {

constexpr std::chrono::seconds kPatience(20);

struct Pair {
  std::unique_ptr<Transport> client, server;
};

std::pair<UniqueFd, UniqueFd> socket_pair() {
  int ends[2];
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

std::pair<UniqueFd, UniqueFd> tcp_pair() {
  Address address{Flavour::kTcp, "127.0.0.1", 0, ""};
  auto listening = listen_at(address, 1);
  EXPECT_TRUE(listening.ok());
  address.port = bound_port((*listening)[0].get()).value();
  auto client = dial(address, monotonic_ns() + 10'000'000'000);
  EXPECT_TRUE(client.ok());
  EXPECT_TRUE(poll_socket((*listening)[0].get(), Transport::kReadable, kPatience).ok());
  UniqueFd server(accept4((*listening)[0].get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  EXPECT_TRUE(static_cast<bool>(server));
  return {std::move(*client), std::move(server)};
}

Pair plain_pair(std::pair<UniqueFd, UniqueFd> ends, const char* kind) {
  return {SocketTransport::create(std::move(ends.first), kind).value(),
          SocketTransport::create(std::move(ends.second), kind).value()};
}

Pair shm_pair() {
  auto [client, server] = socket_pair();
  auto offered = ShmTransport::offer(std::move(client), ShmTransport::kLeastRingBytes);
  EXPECT_TRUE(offered.ok());
  auto accepted = ShmTransport::accept(std::move(server), kPatience);
  EXPECT_TRUE(accepted.ok()) << accepted.status().message();
  return {std::move(*offered), std::move(*accepted)};
}

// Both ends take their steps in turn. The error of the first that fails.
Status shake_hands(TlsTransport& client, TlsTransport& server) {
  unsigned client_wants = 1, server_wants = 1;
  while (client_wants != 0 || server_wants != 0) {
    if (client_wants != 0) {
      TESSERA_ASSIGN_OR_RETURN(client_wants, client.handshake());
    }
    if (server_wants != 0) {
      TESSERA_ASSIGN_OR_RETURN(server_wants, server.handshake());
    }
  }
  return Status();
}

Pair tls_pair() {
  static Certificates certificates;  // its folder goes with the process
  static const auto files = certificates.issue("localhost");
  auto [client_socket, server_socket] = tcp_pair();
  auto client = TlsTransport::create(std::move(client_socket),
                                     TlsContext::client({certificates.ca(), "", ""}).value(), "127.0.0.1");
  auto server = TlsTransport::create(std::move(server_socket),
                                     TlsContext::server({files.certificate, files.key, ""}).value(), "");
  const Status status = shake_hands(**client, **server);
  EXPECT_TRUE(status.ok()) << status.message();
  return {std::move(*client), std::move(*server)};
}

struct Kind {
  const char* name;
  Pair (*make)();
};
const Kind kKinds[] = {{"tcp", [] { return plain_pair(tcp_pair(), "tcp"); }},
                       {"unix", [] { return plain_pair(socket_pair(), "unix"); }},
                       {"tls", tls_pair},
                       {"shm", shm_pair}};

class EveryTransport : public testing::TestWithParam<Kind> {};
INSTANTIATE_TEST_SUITE_P(Transports, EveryTransport, testing::ValuesIn(kKinds),
                         [](const auto& of) { return std::string(of.param.name); });

std::vector<std::byte> some_bytes(size_t count, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::byte> bytes(count);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

// All of `bytes`, in sends of several pieces of odd sizes; waits where there is no room.
Status send_all(Transport& transport, std::span<std::byte> bytes, uint64_t seed) {
  std::mt19937_64 random(seed);
  while (!bytes.empty()) {
    std::vector<iovec> pieces;
    size_t at = 0;
    for (size_t i = 0; i < 1 + random() % 8 && at < bytes.size(); ++i) {
      const size_t count =
          std::min<size_t>(bytes.size() - at, random() % 4 == 0 ? random() % 200'000 : random() % 50);
      pieces.push_back({bytes.data() + at, count});
      at += count;
    }
    // What was not taken has to begin the next one.
    if (bytes.size() - at > 0) pieces.push_back({bytes.data() + at, bytes.size() - at});
    TESSERA_ASSIGN_OR_RETURN(const size_t taken, transport.send(pieces));
    bytes = bytes.subspan(taken);
    if (taken > 0) continue;
    TESSERA_ASSIGN_OR_RETURN(const unsigned ready, transport.wait(Transport::kWritable, kPatience));
    if (ready == 0) return Status(Code::kDeadlineExceeded, "no room");
  }
  return Status();
}

Result<std::vector<std::byte>> receive_all(Transport& transport, size_t count, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::byte> bytes(count);
  for (size_t done = 0; done < count;) {
    const size_t most = random() % 4 == 0 ? 300'000 : 1 + random() % 100;
    const size_t space = std::min(count - done, most);
    TESSERA_ASSIGN_OR_RETURN(const size_t received, transport.receive(std::span(bytes).subspan(done, space)));
    done += received;
    if (received > 0) continue;
    TESSERA_ASSIGN_OR_RETURN(const unsigned ready, transport.wait(Transport::kReadable, kPatience));
    if (ready == 0) return Status(Code::kDeadlineExceeded, "nothing comes");
  }
  return bytes;
}

TEST_P(EveryTransport, CarriesBytesBothWaysAtOnce) {
  const Pair pair = GetParam().make();
  EXPECT_STREQ(pair.client->kind(), GetParam().name);
  std::vector<std::byte> up = some_bytes(3'000'000, 1), down = some_bytes(2'000'000, 2);
  Status sent_up, sent_down;
  Result<std::vector<std::byte>> got_up(Status(Code::kInternal, "")), got_down(Status(Code::kInternal, ""));
  {
    std::jthread a([&] { sent_up = send_all(*pair.client, up, 3); });
    std::jthread b([&] { sent_down = send_all(*pair.server, down, 4); });
    std::jthread c([&] { got_up = receive_all(*pair.server, up.size(), 5); });
    std::jthread d([&] { got_down = receive_all(*pair.client, down.size(), 6); });
  }
  EXPECT_TRUE(sent_up.ok()) << sent_up.message();
  EXPECT_TRUE(sent_down.ok()) << sent_down.message();
  ASSERT_TRUE(got_up.ok()) << got_up.status().message();
  ASSERT_TRUE(got_down.ok()) << got_down.status().message();
  EXPECT_TRUE(*got_up == up);
  EXPECT_TRUE(*got_down == down);
}

TEST_P(EveryTransport, NeverWaitsByItself) {
  const Pair pair = GetParam().make();
  std::array<std::byte, 10> space;
  EXPECT_EQ(*pair.client->receive(space), 0u);
  EXPECT_EQ(*pair.client->wait(Transport::kReadable, std::chrono::nanoseconds(0)), 0u);
  EXPECT_EQ(*pair.client->wait(Transport::kReadable, std::chrono::milliseconds(1)), 0u);
  EXPECT_EQ(*pair.client->wait(Transport::kReadable | Transport::kWritable, kPatience), Transport::kWritable);
  // Nobody reads: it is full at some time, and says so.
  std::vector<std::byte> bytes(100'000);
  const iovec piece{bytes.data(), bytes.size()};
  size_t taken = 1;
  for (int i = 0; i < 100'000 && taken > 0; ++i) taken = pair.client->send(std::span(&piece, 1)).value();
  EXPECT_EQ(taken, 0u);
  EXPECT_EQ(*pair.client->wait(Transport::kWritable, std::chrono::milliseconds(1)), 0u);
  EXPECT_EQ(*pair.server->wait(Transport::kReadable, kPatience), Transport::kReadable);
}

TEST_P(EveryTransport, WhatWasSentBeforeTheEndArrives) {
  Pair pair = GetParam().make();
  std::vector<std::byte> bytes = some_bytes(1000, 7);
  ASSERT_TRUE(send_all(*pair.client, bytes, 8).ok());
  pair.client->shutdown();
  pair.client.reset();
  const auto received = receive_all(*pair.server, bytes.size(), 9);
  ASSERT_TRUE(received.ok()) << received.status().message();
  EXPECT_TRUE(*received == bytes);
  const auto more = receive_all(*pair.server, 1, 10);
  ASSERT_FALSE(more.ok());
  EXPECT_EQ(more.status().code(), Code::kUnavailable);
}

TEST_P(EveryTransport, APeerThatIsGoneIsSeenByWhoeverWaits) {
  Pair pair = GetParam().make();
  Result<std::vector<std::byte>> received(Status(Code::kInternal, ""));
  Status sent;
  std::vector<std::byte> much = some_bytes(8'000'000, 11);
  {
    std::jthread reader([&] { received = receive_all(*pair.server, 1, 12); });
    std::jthread writer([&] { sent = send_all(*pair.server, much, 13); });
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    pair.client.reset();
  }
  EXPECT_EQ(received.status().code(), Code::kUnavailable) << received.status().message();
  EXPECT_EQ(sent.code(), Code::kUnavailable) << sent.message();
}

TEST_P(EveryTransport, OnesOwnEndWakesWhoeverWaits) {
  const Pair pair = GetParam().make();
  Result<std::vector<std::byte>> received(Status(Code::kInternal, ""));
  {
    std::jthread reader([&] { received = receive_all(*pair.server, 1, 14); });
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    pair.server->shutdown();
    pair.server->shutdown();
  }
  EXPECT_EQ(received.status().code(), Code::kUnavailable) << received.status().message();
  const iovec piece{const_cast<char*>("x"), 1};
  EXPECT_EQ(pair.server->send(std::span(&piece, 1)).status().code(), Code::kUnavailable);
}

TEST_P(EveryTransport, ManyShortAnswers) {
  const Pair pair = GetParam().make();
  constexpr int kRounds = 2'000;
  std::jthread echo([&] {
    for (int i = 0; i < kRounds; ++i) {
      auto request = receive_all(*pair.server, 24, 15);
      if (!request.ok() || !send_all(*pair.server, *request, 16).ok()) break;
    }
  });
  for (int i = 0; i < kRounds; ++i) {
    std::vector<std::byte> request = some_bytes(24, static_cast<uint64_t>(i));
    ASSERT_TRUE(send_all(*pair.client, request, 17).ok());
    const auto answer = receive_all(*pair.client, 24, 18);
    ASSERT_TRUE(answer.ok()) << i << ": " << answer.status().message();
    ASSERT_TRUE(*answer == request) << i;
  }
}

TEST(TlsTransport, WithoutItsKeyGoesOnAndShakesNoMoreHands) {
  Certificates certificates;
  const auto files = certificates.issue("localhost");
  const auto trust = TlsContext::client({certificates.ca(), "", ""}).value();
  const auto own = TlsContext::server({files.certificate, files.key, ""}).value();
  const auto connect = [&]() -> std::pair<std::unique_ptr<TlsTransport>, std::unique_ptr<TlsTransport>> {
    auto [client, server] = tcp_pair();
    return {TlsTransport::create(std::move(client), trust, "127.0.0.1").value(),
            TlsTransport::create(std::move(server), own, "").value()};
  };
  auto [client, server] = connect();
  ASSERT_TRUE(shake_hands(*client, *server).ok());
  server->forget_key();
  std::vector<std::byte> bytes = some_bytes(100'000, 19);
  for (auto [from, to] : {std::pair(client.get(), server.get()), std::pair(server.get(), client.get())}) {
    std::jthread sender([&, from = from] { EXPECT_TRUE(send_all(*from, bytes, 20).ok()); });
    const auto received = receive_all(*to, bytes.size(), 21);
    ASSERT_TRUE(received.ok()) << received.status().message();
    EXPECT_TRUE(*received == bytes);
  }
  auto [another, same] = connect();
  EXPECT_FALSE(shake_hands(*another, *same).ok());
}

// --- By a key that both have

class TlsByKey : public testing::Test {
 protected:
  static TlsContext::Key some(int value) {
    TlsContext::Key key;
    key.fill(static_cast<std::byte>(value));
    return key;
  }
  // A client that has (name, key), and a server that has the key 2 by the name 1.
  Status meet(int name, int key) {
    auto [client, server] = tcp_pair();
    const auto find = [](ByteSpan said) -> std::optional<TlsContext::Key> {
      const TlsContext::Key its = some(1);
      if (!std::equal(said.begin(), said.end(), its.begin(), its.end())) return std::nullopt;
      return some(2);
    };
    client_ = TlsTransport::create(std::move(client),
                                   TlsContext::client_by_key({some(name), some(key)}).value(), "127.0.0.1")
                  .value();
    server_ = TlsTransport::create(std::move(server), TlsContext::server_by_key(find).value(), "").value();
    return shake_hands(*client_, *server_);
  }

  std::unique_ptr<TlsTransport> client_, server_;
};

TEST_F(TlsByKey, BothComputeTheSameBinding) {
  const Status met = meet(1, 2);
  ASSERT_TRUE(met.ok()) << met.message();
  EXPECT_EQ(client_->channel_binding().value(), server_->channel_binding().value());
  EXPECT_EQ(server_->peer_name(), "");
}
TEST_F(TlsByKey, AnotherKeyOrNameIsRefused) {
  EXPECT_FALSE(meet(1, 3).ok());
  EXPECT_FALSE(meet(3, 2).ok());
}

}  // namespace
}  // namespace tessera::remote

// Processes that attach again over real sockets, and what they may claim.
#include "harness.h"

namespace tessera::node {
namespace {

constexpr uint64_t kLimit = 1000;

struct Attached {
  explicit Attached(TestDaemon& daemon, const Token& token) : client(daemon.path()) {
    client.attach(token);
    auto reply = client.receive<vgpu::AttachedReply>(daemon, vgpu::MessageType::kAttached);
    EXPECT_TRUE(reply);
    if (reply) lease = reply->lease;
  }
  uint64_t reserve(TestDaemon& daemon, uint64_t bytes) {
    client.reserve(bytes, bytes);
    auto reply = client.receive<vgpu::ReservedReply>(daemon, vgpu::MessageType::kReserved);
    return reply ? reply->granted_bytes : 0;
  }
  TestClient client;
  uint64_t lease = 0;
};

void reattach(TestClient& client, const Token& token, uint64_t lease, std::vector<uint64_t> held) {
  vgpu::ReattachRequest request{};
  std::copy(token.begin(), token.end(), request.token);
  request.lease = lease;
  request.device_count = static_cast<uint32_t>(held.size());
  std::copy(held.begin(), held.end(), request.held_bytes);
  client.send(encode_struct(vgpu::MessageType::kReattach, 1, request));
}

TEST(Reattach, TheLeaseGoesOn) {
  TestDaemon daemon;
  Token token = daemon.open_slice(kLimit);
  Attached before(daemon, token);
  ASSERT_EQ(before.reserve(daemon, 600), 600U);
  before.client.close();
  ASSERT_TRUE(daemon.until([&] { return daemon->connections() == 0; }));
  EXPECT_EQ(daemon.granted(), 600U) << "the process lives, and may use it";
  TestClient again(daemon.path());
  reattach(again, token, before.lease, {250});
  auto reply = again.receive<vgpu::AttachedReply>(daemon, vgpu::MessageType::kAttached);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->lease, before.lease);
  EXPECT_TRUE(again.pages[0] && again.pages[1]);
  EXPECT_EQ(daemon.granted(), 250U) << "it gave the rest back while nobody listened";
  EXPECT_EQ(daemon.ledger().leases().size(), 1U);
  EXPECT_TRUE(daemon.ledger().check().ok());
}

TEST(Reattach, AClaimBeyondTheLimitIsRefused) {
  TestDaemon daemon;
  Token token = daemon.open_slice(kLimit);
  Attached other(daemon, token);
  ASSERT_EQ(other.reserve(daemon, 600), 600U);
  for (uint64_t claim : {uint64_t{401}, UINT64_MAX}) {
    TestClient liar(daemon.path());
    reattach(liar, token, 999, {claim});
    EXPECT_NE(liar.error(daemon).find("more than its limit leaves"), std::string::npos);
    EXPECT_EQ(daemon.granted(), 600U);
  }
  TestClient honest(daemon.path());
  reattach(honest, token, 999, {400});
  ASSERT_TRUE(honest.receive<vgpu::AttachedReply>(daemon, vgpu::MessageType::kAttached));
  EXPECT_EQ(daemon.granted(), kLimit) << "booked as if it had asked for it";
  EXPECT_TRUE(daemon.ledger().check().ok());
}

TEST(Reattach, AnothersLeaseIsNotTakenOver) {
  TestDaemon daemon;
  Token token = daemon.open_slice(kLimit);
  Attached owner(daemon, token);
  ASSERT_EQ(owner.reserve(daemon, 600), 600U);
  uint64_t lease = owner.lease;
  pid_t thief = in_child([&] {
    TestClient client(daemon.path());
    reattach(client, token, lease, {0});
    std::string packet = client.receive(true);
    auto reply = decode_struct<vgpu::AttachedReply>(std::as_bytes(std::span<const char>(packet)),
                                                    vgpu::MessageType::kAttached);
    return reply && reply->lease != lease ? 0 : 1;
  });
  EXPECT_EQ(wait_for(daemon, thief), 0) << "it got a lease of its own";
  EXPECT_TRUE(daemon.until([&] { return daemon.ledger().leases().size() == 1; }));
  EXPECT_EQ(daemon.granted(), 600U);
  EXPECT_EQ(owner.reserve(daemon, 100), 100U);
}

TEST(Reattach, AnotherSlicesLeaseIsNotTakenOver) {
  TestDaemon daemon;
  Token first = daemon.open_slice(kLimit, 1);
  Token second = daemon.open_slice(kLimit, 2);
  Attached before(daemon, first);
  ASSERT_EQ(before.reserve(daemon, 600), 600U);
  TestClient again(daemon.path());
  reattach(again, second, before.lease, {100});
  auto reply = again.receive<vgpu::AttachedReply>(daemon, vgpu::MessageType::kAttached);
  ASSERT_TRUE(reply);
  EXPECT_NE(reply->lease, before.lease);
  EXPECT_EQ(daemon.granted(), 700U);
}

TEST(Reattach, BrokenMessagesEndTheConnection) {
  TestDaemon daemon;
  Token token = daemon.open_slice(kLimit);
  for (size_t devices : {size_t{0}, size_t{2}}) {
    TestClient client(daemon.path());
    reattach(client, token, 1, std::vector<uint64_t>(devices));
    EXPECT_NE(client.error(daemon).find("devices are claimed"), std::string::npos) << devices;
  }
  TestClient client(daemon.path());
  vgpu::ReattachRequest request{};
  request.device_count = UINT32_MAX;
  client.send(encode_struct(vgpu::MessageType::kReattach, 1, request));
  EXPECT_NE(client.error(daemon).find("Reattach names"), std::string::npos);
  EXPECT_TRUE(daemon.until([&] { return daemon.ledger().leases().empty(); }));
  EXPECT_TRUE(daemon.ledger().check().ok());
}

}  // namespace
}  // namespace tessera::node

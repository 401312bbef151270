// Clients that break the rules lose their connection and nothing else happens.
#include <random>

#include "harness.h"

namespace tessera::node {
namespace {

using vgpu::MessageType;

size_t open_files() {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++count;
  return count;
}

class HostileTest : public ::testing::Test {
 protected:
  std::string answer_to(const std::string& packet, bool attach_first) {
    TestClient client(daemon_.path());
    if (attach_first) {
      client.attach(token_);
      EXPECT_TRUE(client.receive<vgpu::AttachedReply>(daemon_, MessageType::kAttached));
    }
    client.send(packet);
    return client.error(daemon_);
  }

  TestDaemon daemon_;
  Token token_ = daemon_.open_slice(1000);
};

TEST_F(HostileTest, EveryBrokenRuleIsNamed) {
  struct Case {
    std::string packet;
    bool attach_first;
    const char* error;
  };
  vgpu::AttachRequest stranger{};
  vgpu::AttachRequest again{};
  std::copy(token_.begin(), token_.end(), again.token);
  auto reserve = [](uint32_t device) {
    return encode_struct(MessageType::kReserve, 1,
                         vgpu::ReserveRequest{device, vgpu::BudgetKind::kLimit, 1, 1, 0, {}});
  };
  const Case cases[] = {
      {"x", false, "too short"},
      {std::string(vgpu::kMaxMessageBytes + 1, 'x'), false, "too long"},
      {std::string(100, 'x'), false, "not a lease message"},
      {encode_struct(MessageType::kAttach, 1, stranger), false, "no such slice"},
      {encode_struct(MessageType::kAttach, 1, again), true, "has its part already"},
      {reserve(0), false, "must be Attach"},
      {reserve(1), true, "not in the slice"},
      {reserve(16), true, "out of range"},
      {encode_struct(MessageType::kReserve, 1,
                     vgpu::ReserveRequest{0, vgpu::BudgetKind::kResident, 1, 1, 0, {}}),
       true, "limits are all there is"},
      {encode_struct(MessageType::kReserve, 1,
                     vgpu::ReserveRequest{0, static_cast<vgpu::BudgetKind>(7), 1, 1, 0, {}}),
       true, "no budget of kind 7"},
      {encode_struct(MessageType::kRelease, 0, vgpu::ReleaseNotice{0, vgpu::BudgetKind::kLimit, 1}), true,
       "1 bytes given back"},
      {encode_struct(MessageType::kRelease, 0, vgpu::ReleaseNotice{1, vgpu::BudgetKind::kLimit, 0}), true,
       "not in the slice"},
      {encode_struct(MessageType::kRecalled, 9, vgpu::RecalledReply{0, vgpu::BudgetKind::kLimit, 0, 0, 0, 0}),
       true, "answers no recall"},
      {encode_struct(MessageType::kQuery, 9, vgpu::QueryRequest{7, 0}), true, "not in the slice"},
      {encode_message(MessageType::kControl, 1, "{}"), true, "connection of their own"},
      {encode_message(MessageType::kControl, 1, "no json"), false, "must be a JSON object"},
      {encode_message(MessageType::kControl, 1, "[]"), false, "must be a JSON object"},
      {encode_message(MessageType::kControl, 1, R"({"op":7})"), false, "knows no request"},
      {encode_message(MessageType::kControl, 1, std::string(60'000, '[')), false, "must be a JSON object"},
  };
  for (const Case& entry : cases) {
    EXPECT_NE(answer_to(entry.packet, entry.attach_first).find(entry.error), std::string::npos)
        << entry.error;
  }
  EXPECT_TRUE(daemon_.until([&] { return daemon_->connections() == 0; }));
  EXPECT_TRUE(daemon_.ledger().leases().empty());
}

TEST_F(HostileTest, RandomPacketsNeverHurt) {
  std::mt19937 dice(3);
  const MessageType types[] = {MessageType::kAttach,        MessageType::kObserve,  MessageType::kReserve,
                               MessageType::kRelease,       MessageType::kRecalled, MessageType::kQuery,
                               MessageType::kListProcesses, MessageType::kControl};
  for (int round = 0; round < 300; ++round) {
    TestClient client(daemon_.path());
    uint32_t first = dice() % 4;
    if (first < 2) client.attach(token_);
    if (first == 2) client.observe(token_);
    for (int i = 0; i < 10; ++i) {
      std::string payload(dice() % 40, '\0');
      for (char& byte : payload) byte = static_cast<char>(dice() % 3 == 0 ? dice() : 0);
      client.send(encode_message(types[dice() % std::size(types)], dice() % 3, payload));
    }
    ASSERT_TRUE((*daemon_).step(0).ok());
    ASSERT_TRUE(daemon_.ledger().check().ok()) << daemon_.ledger().check().message();
  }
  EXPECT_TRUE(daemon_.until([&] { return daemon_->connections() == 0; }));
}

TEST_F(HostileTest, SentDescriptorsAreNotKept) {
  TestClient client(daemon_.path());
  client.attach(token_);
  ASSERT_TRUE(client.receive<vgpu::AttachedReply>(daemon_, MessageType::kAttached));
  size_t before = open_files();
  int files[] = {0, 0, 0};
  std::string packet = encode_struct(MessageType::kQuery, 1, vgpu::QueryRequest{0, 0});
  ASSERT_EQ(send_packet(client.descriptor(), packet, files), SendResult::kSent);
  ASSERT_TRUE(client.receive<vgpu::UsageReply>(daemon_, MessageType::kUsage));
  EXPECT_EQ(open_files(), before);
}

TEST_F(HostileTest, WhoDoesNotReadIsDropped) {
  for (uint8_t i = 0; i < 100; ++i) daemon_.open_slice(1000, static_cast<uint8_t>(100 + i));
  TestClient client(daemon_.path());
  EXPECT_TRUE(daemon_.until([&] {
    send_packet(client.descriptor(), encode_message(MessageType::kControl, 1, R"({"op":"slices"})"));
    return daemon_->connections() == 0;
  }));
}

TEST_F(HostileTest, ConnectionsAreBoundedAndFilesComeBack) {
  size_t before = open_files();
  {
    std::vector<std::unique_ptr<TestClient>> clients;
    for (size_t i = 0; i < kMaxConnections / 4; ++i) {
      clients.push_back(std::make_unique<TestClient>(daemon_.path()));
      if (i % 2 == 0) clients.back()->attach(token_);
      ASSERT_TRUE((*daemon_).step(0).ok());
    }
    EXPECT_TRUE(daemon_.until([&] { return daemon_->connections() == clients.size(); }));
  }
  EXPECT_TRUE(daemon_.until([&] { return daemon_->connections() == 0; }));
  EXPECT_EQ(open_files(), before);
}

}  // namespace
}  // namespace tessera::node

// Connections that look at a slice and hold nothing of it.
#include <sys/mman.h>

#include <csignal>
#include <vector>

#include "harness.h"

namespace tessera::node {
namespace {

using vgpu::MessageType;

class ObserverTest : public ::testing::Test {
 protected:
  std::unique_ptr<TestClient> observing(const Token& token) {
    auto client = std::make_unique<TestClient>(daemon_.path());
    client->observe(token);
    reply_ = client->receive<vgpu::AttachedReply>(daemon_, MessageType::kAttached);
    EXPECT_TRUE(reply_);
    return client;
  }
  // A process that reserved `bytes` and says that it uses `used`.
  std::unique_ptr<TestClient> attached(const Token& token, uint64_t bytes, uint64_t used) {
    auto client = std::make_unique<TestClient>(daemon_.path());
    client->attach(token);
    EXPECT_TRUE(client->receive<vgpu::AttachedReply>(daemon_, MessageType::kAttached));
    client->reserve(bytes, bytes);
    EXPECT_TRUE(client->receive<vgpu::ReservedReply>(daemon_, MessageType::kReserved));
    void* page =
        mmap(nullptr, vgpu::kPageBytes, PROT_READ | PROT_WRITE, MAP_SHARED, client->pages[0].get(), 0);
    EXPECT_NE(page, MAP_FAILED);
    static_cast<vgpu::CounterPage*>(page)->devices[0].used_bytes = used;
    munmap(page, vgpu::kPageBytes);
    return client;
  }
  std::vector<int32_t> processes(TestClient& client) {
    client.list_processes();
    auto reply = client.receive<vgpu::ProcessesReply>(daemon_, MessageType::kProcesses);
    EXPECT_TRUE(reply);
    return reply ? std::vector<int32_t>(reply->pids, reply->pids + reply->count) : std::vector<int32_t>();
  }
  // A child with a lease that waits to be killed.
  pid_t child_with_lease(const Token& token) {
    size_t before = daemon_.ledger().leases().size();
    pid_t child = in_child([&] {
      TestClient client(daemon_.path());
      client.attach(token);
      return pause();
    });
    EXPECT_TRUE(daemon_.until([&] { return daemon_.ledger().leases().size() > before; }));
    return child;
  }
  void end(pid_t child) {
    kill(child, SIGKILL);
    wait_for(daemon_, child);
  }

  TestDaemon daemon_;
  Token token_ = daemon_.open_slice(1000);
  std::optional<vgpu::AttachedReply> reply_;
};

TEST_F(ObserverTest, IsToldTheSliceAndHoldsNothing) {
  auto client = observing(token_);
  EXPECT_EQ(reply_->device_count, 1U);
  EXPECT_STREQ(reply_->devices[0].uuid, kUuid);
  EXPECT_EQ(reply_->devices[0].limit_bytes, 1000U);
  EXPECT_FALSE(client->pages[0]);
  EXPECT_FALSE(client->pages[1]);
  EXPECT_TRUE(daemon_.ledger().leases().empty());
  EXPECT_TRUE(processes(*client).empty());
}

TEST_F(ObserverTest, UseIsThatOfAllProcessesBoundedByTheirGrants) {
  auto honest = attached(token_, 500, 300);
  auto liar = attached(token_, 200, uint64_t{1} << 60);
  auto client = observing(token_);
  client->query(0);
  auto usage = client->receive<vgpu::UsageReply>(daemon_, MessageType::kUsage);
  ASSERT_TRUE(usage);
  EXPECT_EQ(client->last_request, 2U);
  EXPECT_EQ(usage->limit_bytes, 1000U);
  EXPECT_EQ(usage->used_bytes, 500U);
  EXPECT_EQ(usage->granted_bytes, 700U);
}

TEST_F(ObserverTest, ListsTheProcessesOfItsSliceOnly) {
  Token other = daemon_.open_slice(1000, 2);
  pid_t neighbour = child_with_lease(other);
  pid_t own = child_with_lease(token_);
  auto client = observing(token_);
  EXPECT_EQ(processes(*client), std::vector<int32_t>{own});
  EXPECT_EQ(processes(*observing(other)), std::vector<int32_t>{neighbour});
  end(own);
  EXPECT_TRUE(daemon_.until([&] { return daemon_.ledger().leases().size() == 1; }));
  EXPECT_TRUE(processes(*client).empty());
  end(neighbour);
}

TEST_F(ObserverTest, AProcessWithSeveralLeasesIsListedOnce) {
  auto closed = attached(token_, 100, 0);
  closed->close();
  auto again = attached(token_, 100, 0);
  ASSERT_EQ(daemon_.ledger().leases().size(), 2U);
  EXPECT_EQ(processes(*observing(token_)), std::vector<int32_t>{getpid()});
}

TEST_F(ObserverTest, IsClosedWhenTheSliceEnds) {
  auto client = observing(token_);
  auto leaves_first = observing(token_);
  leaves_first->close();
  ASSERT_TRUE(daemon_.until([&] { return daemon_->connections() == 1; }));
  daemon_->leases().drop_holder(daemon_.ledger().slices().begin()->first);
  EXPECT_TRUE(daemon_.ledger().slices().empty());
  EXPECT_TRUE(client->receive(daemon_).empty());
  EXPECT_TRUE(client->ended());
  EXPECT_TRUE(daemon_.until([&] { return daemon_->connections() == 0; }));
}

TEST_F(ObserverTest, ObserversAreBoundedPerSlice) {
  std::vector<std::unique_ptr<TestClient>> clients;
  for (size_t i = 0; i < kMaxObserversPerSlice; ++i) clients.push_back(observing(token_));
  TestClient refused(daemon_.path());
  refused.observe(token_);
  EXPECT_EQ(refused.error(daemon_), "slice 'test-1' has 512 observers, its most");
  clients.pop_back();
  ASSERT_TRUE(daemon_.until([&] { return daemon_->connections() == clients.size(); }));
  clients.push_back(observing(token_));
}

TEST_F(ObserverTest, AWrongTokenIsRefused) {
  TestClient client(daemon_.path());
  Token stranger{};
  client.observe(stranger);
  EXPECT_NE(client.error(daemon_).find("no such slice"), std::string::npos);
}

TEST_F(ObserverTest, WhatNeedsALeaseIsABrokenRule) {
  vgpu::AttachRequest token{};
  std::copy(token_.begin(), token_.end(), token.token);
  struct Case {
    std::string packet;
    const char* error;
  };
  const Case cases[] = {
      {encode_struct(MessageType::kReserve, 1,
                     vgpu::ReserveRequest{0, vgpu::BudgetKind::kLimit, 1, 1, 0, {}}),
       "only looks"},
      {encode_struct(MessageType::kRelease, 0, vgpu::ReleaseNotice{0, vgpu::BudgetKind::kLimit, 0}),
       "only looks"},
      {encode_struct(MessageType::kRecalled, 1, vgpu::RecalledReply{0, vgpu::BudgetKind::kLimit, 0, 0, 0, 0}),
       "only looks"},
      {encode_struct(MessageType::kAttach, 1, token), "has its part already"},
      {encode_struct(MessageType::kObserve, 1, token), "has its part already"},
      {encode_struct(MessageType::kQuery, 1, vgpu::QueryRequest{1, 0}), "not in the slice"},
      {encode_message(MessageType::kControl, 1, R"({"op":"slices"})"), "connection of their own"},
  };
  for (const Case& entry : cases) {
    auto client = observing(token_);
    client->send(entry.packet);
    EXPECT_NE(client->error(daemon_).find(entry.error), std::string::npos) << entry.error;
  }
  EXPECT_TRUE(daemon_.until([&] { return daemon_->connections() == 0; }));
  EXPECT_EQ(daemon_.granted(), 0U);
}

TEST_F(ObserverTest, WhatAnObserverAsksALeaseDoesNot) {
  auto client = attached(token_, 100, 0);
  client->list_processes();
  EXPECT_EQ(client->error(daemon_), "only an observer lists processes");
}

}  // namespace
}  // namespace tessera::node

// What processes and tools are promised, over real sockets.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/un.h>

#include <csignal>

#include "harness.h"

namespace tessera::node {
namespace {

using vgpu::MessageType;

class DaemonTest : public ::testing::Test {
 protected:
  std::unique_ptr<TestClient> attached(const Token& token) {
    auto client = std::make_unique<TestClient>(daemon_.path());
    client->attach(token);
    reply_ = client->receive<vgpu::AttachedReply>(daemon_, MessageType::kAttached);
    EXPECT_TRUE(reply_);
    return client;
  }
  uint64_t reserve(TestClient& client, uint64_t needed, uint64_t wanted) {
    client.reserve(needed, wanted);
    auto reply = client.receive<vgpu::ReservedReply>(daemon_, MessageType::kReserved);
    EXPECT_TRUE(reply);
    return reply ? reply->granted_bytes : 0;
  }
  // A child that attaches and reserves `bytes`, then does as `then` says.
  pid_t child_with_lease(const Token& token, uint64_t bytes, const std::function<int(TestClient&)>& then) {
    return in_child([&] {
      TestClient client(daemon_.path());
      client.attach(token);
      client.receive(true);
      client.reserve(bytes, bytes);
      client.receive(true);
      return then(client);
    });
  }

  TestDaemon daemon_;
  std::optional<vgpu::AttachedReply> reply_;
};

// A machine of two packages and nodes, taken for this one; the GPU is at node 1.
int32_t node_told(const std::string& driver_kind) {
  setenv("HWLOC_THISSYSTEM", "1", 1);
  Result<Machine> machine = Machine::read_xml(read_file(TWO_SOCKETS, 1 << 16).value());
  unsetenv("HWLOC_THISSYSTEM");
  EXPECT_TRUE(machine.ok());
  TestDaemon daemon(uint64_t{1} << 30, driver_kind, std::move(machine).value());
  TestClient client(daemon.path());
  client.attach(daemon.open_slice(1 << 20));
  const auto reply = client.receive<vgpu::AttachedReply>(daemon, MessageType::kAttached);
  return reply ? reply->devices[0].numa_node : -2;
}

TEST(Placement, AttachTellsTheNodeThatIsNearestToTheGpu) {
  EXPECT_EQ(node_told("nvidia"), 1);
  EXPECT_EQ(node_told("software"), vgpu::kNoNumaNode);
}

TEST_F(DaemonTest, AttachTellsTheSliceAndHandsPagesOver) {
  auto client = attached(daemon_.open_slice(1 << 20));
  EXPECT_EQ(reply_->device_count, 1U);
  EXPECT_EQ(reply_->devices[0].numa_node, vgpu::kNoNumaNode);
  EXPECT_STREQ(reply_->devices[0].uuid, kUuid);
  EXPECT_STREQ(reply_->slice_name, "test-1");
  EXPECT_EQ(reply_->devices[0].limit_bytes, 1U << 20);
  void* counters = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, client->pages[0].get(), 0);
  ASSERT_NE(counters, MAP_FAILED);
  void* grants = mmap(nullptr, 4096, PROT_READ, MAP_SHARED, client->pages[1].get(), 0);
  ASSERT_NE(grants, MAP_FAILED);
  EXPECT_EQ(mmap(nullptr, 4096, PROT_WRITE, MAP_SHARED, client->pages[1].get(), 0), MAP_FAILED);
  EXPECT_EQ(static_cast<vgpu::GrantPage*>(grants)->devices[0].limit_bytes, 1U << 20);

  reserve(*client, 1000, 1000);
  static_cast<vgpu::CounterPage*>(counters)->devices[0].used_bytes = 600;
  client->send(encode_struct(MessageType::kQuery, 5, vgpu::QueryRequest{0, 0}));
  auto usage = client->receive<vgpu::UsageReply>(daemon_, MessageType::kUsage);
  ASSERT_TRUE(usage);
  EXPECT_EQ(client->last_request, 5U);
  EXPECT_EQ(usage->used_bytes, 600U);
  EXPECT_EQ(usage->granted_bytes, 1000U);
  munmap(counters, 4096);
  munmap(grants, 4096);
}

TEST_F(DaemonTest, AConnectionWhosePartIsOverIsNotANewOne) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
  UniqueFd other(ends[1]);
  bool changed = false;
  Connection connection(UniqueFd(ends[0]), Peer{}, 0, changed);
  EXPECT_TRUE(connection.is_new());
  connection.lease = 1;
  EXPECT_FALSE(connection.is_new());
  // What the end of the lease's process does: it must not look like a client that never said anything.
  connection.lease = 0;
  connection.mark_closing();
  EXPECT_FALSE(connection.is_new());
  EXPECT_TRUE(changed);
}

TEST_F(DaemonTest, ARushOfClientsWaitsInTheQueue) {
  // More than the 128 that listeners commonly queue, before the daemon takes a step.
  constexpr size_t kRush = 500;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  ASSERT_LT(daemon_.path().size(), sizeof address.sun_path);
  daemon_.path().copy(address.sun_path, sizeof address.sun_path - 1);
  std::vector<UniqueFd> clients;
  for (size_t i = 0; i < kRush; ++i) {
    clients.emplace_back(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    ASSERT_EQ(connect(clients.back().get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0)
        << "client " << i << ": " << strerror(errno);
  }
  EXPECT_TRUE(daemon_.until([&] { return daemon_->connections() == kRush; }));
  clients.clear();
  EXPECT_TRUE(daemon_.until([&] { return daemon_->connections() == 0; }));
}

TEST_F(DaemonTest, GrantsTrimRefuseAndComeBack) {
  auto client = attached(daemon_.open_slice(1600));  // a chunk is 100
  EXPECT_EQ(reserve(*client, 1550, 2000), 1600U);
  EXPECT_EQ(reserve(*client, 1, 1), 0U);
  client->release(1600);
  EXPECT_EQ(reserve(*client, 10, 500), 110U);
  EXPECT_EQ(daemon_.granted(), 110U);
}

TEST_F(DaemonTest, RecallMovesBudgetBetweenProcesses) {
  Token token = daemon_.open_slice(1000);
  auto a = attached(token);
  auto b = attached(token);
  EXPECT_EQ(reserve(*a, 1000, 1000), 1000U);
  b->reserve(300, 300);
  auto recall = a->receive<vgpu::RecallNotice>(daemon_, MessageType::kRecall);
  ASSERT_TRUE(recall);
  EXPECT_EQ(recall->bytes, 300U);
  a->recalled(a->last_request, 300);
  auto reply = b->receive<vgpu::ReservedReply>(daemon_, MessageType::kReserved);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->granted_bytes, 300U);
}

TEST_F(DaemonTest, ASilentProcessDelaysARefusalAndNobodyElse) {
  Token token = daemon_.open_slice(1000);
  auto a = attached(token);
  auto b = attached(token);
  auto other = attached(daemon_.open_slice(1000, 2));
  reserve(*a, 1000, 1000);
  uint64_t start_ns = monotonic_ns();
  b->reserve(300, 300);
  EXPECT_EQ(reserve(*other, 10, 10), 10U);
  EXPECT_LT(monotonic_ns() - start_ns, kRecallTimeoutNs);
  auto reply = b->receive<vgpu::ReservedReply>(daemon_, MessageType::kReserved);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->granted_bytes, 0U);
  EXPECT_GE(monotonic_ns() - start_ns, kRecallTimeoutNs);
}

TEST_F(DaemonTest, TurnsWithoutPauseHideNoOtherDeadline) {
  Token token = daemon_.open_slice(1000);
  auto silent = attached(token);
  auto asks = attached(token);
  auto busy = attached(daemon_.open_slice(1000, 2));
  reserve(*silent, 1000, 1000);
  asks->reserve(300, 300);
  std::string refusal;
  EXPECT_TRUE(daemon_.until([&] {
    busy->send(encode_struct(MessageType::kWake, 0, vgpu::GateNotice{0, 0}));
    refusal = asks->receive();
    return !refusal.empty();
  }));
}

TEST_F(DaemonTest, AKilledProcessGivesEverythingBackAtOnce) {
  Token token = daemon_.open_slice(1000);
  pid_t child = child_with_lease(token, 1000, [](TestClient&) { return pause(); });
  ASSERT_TRUE(daemon_.until([&] { return daemon_.granted() == 1000; }));
  auto waiting = attached(token);
  waiting->reserve(500, 500);
  kill(child, SIGKILL);
  auto reply = waiting->receive<vgpu::ReservedReply>(daemon_, MessageType::kReserved);
  ASSERT_TRUE(reply);
  if (reply->granted_bytes == 0) {
    // A machine under load may take longer to end the process than the recall waits; once it has ended, all
    // is back.
    ASSERT_TRUE(daemon_.until([&] { return daemon_.granted() == 0; }));
    EXPECT_EQ(reserve(*waiting, 500, 500), 500U);
  } else {
    EXPECT_EQ(reply->granted_bytes, 500U);
  }
  EXPECT_EQ(daemon_.granted(), 500U);
  wait_for(daemon_, child);
}

TEST_F(DaemonTest, AForkedChildCannotKeepADeadProcessesLease) {
  Token token = daemon_.open_slice(1000);
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_NONBLOCK), 0);
  pid_t child = child_with_lease(token, 1000, [&](TestClient& client) {
    // The grandchild holds a copy of the descriptor until it sees its end.
    if (fork() == 0) {
      [[maybe_unused]] ssize_t count = write(ends[1], "f", 1);
      bool ended = client.receive(true).empty() && client.ended();
      count = write(ends[1], ended ? "e" : "x", 1);
      _exit(0);
    }
    return pause();
  });
  char seen = 0;
  auto saw = [&](char wanted) {
    return daemon_.until([&] { return read(ends[0], &seen, 1) == 1; }) && seen == wanted;
  };
  ASSERT_TRUE(saw('f'));
  EXPECT_EQ(daemon_.granted(), 1000U);
  kill(child, SIGKILL);
  EXPECT_TRUE(daemon_.until([&] { return daemon_.granted() == 0; }));
  EXPECT_TRUE(daemon_.ledger().leases().empty());
  EXPECT_TRUE(saw('e'));
  wait_for(daemon_, child);
  close(ends[0]);
  close(ends[1]);
}

TEST_F(DaemonTest, ClosingWhileAliveKeepsTheGrantsUntilTheEnd) {
  Token token = daemon_.open_slice(1000);
  pid_t child = child_with_lease(token, 800, [&](TestClient& client) {
    client.close();
    TestClient again(daemon_.path());  // a new lease beside the old one: not the same bytes again
    again.attach(token);
    again.receive(true);
    again.reserve(300, 300);
    std::string packet = again.receive(true);
    auto reply = decode_struct<vgpu::ReservedReply>(std::as_bytes(std::span<const char>(packet)),
                                                    MessageType::kReserved);
    return reply && reply->granted_bytes == 0 ? pause() : 1;
  });
  ASSERT_TRUE(daemon_.until([&] { return daemon_.ledger().leases().size() == 2; }));
  EXPECT_EQ(daemon_.granted(), 800U);
  kill(child, SIGKILL);
  EXPECT_EQ(wait_for(daemon_, child), SIGKILL);
  EXPECT_TRUE(daemon_.until([&] { return daemon_.ledger().leases().empty(); }));
  EXPECT_EQ(daemon_.granted(), 0U);
}

TEST_F(DaemonTest, ClosingWithNothingGrantedEndsTheLease) {
  auto client = attached(daemon_.open_slice(1000));
  reserve(*client, 100, 100);
  client->release(100);
  client->close();
  EXPECT_TRUE(daemon_.until([&] { return daemon_.ledger().leases().empty(); }));
}

TEST_F(DaemonTest, ExecGivesEverythingBackThoughTheProcessLives) {
  Token token = daemon_.open_slice(1000);
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  pid_t child = child_with_lease(token, 1000, [&](TestClient&) {
    char go;
    if (read(ends[0], &go, 1) != 1) return 1;
    execl("/bin/sleep", "sleep", "60", nullptr);
    return 1;
  });
  EXPECT_TRUE(daemon_.until([&] { return daemon_.granted() == 1000; }));
  EXPECT_EQ(write(ends[1], "g", 1), 1);
  EXPECT_TRUE(daemon_.until([&] { return daemon_.granted() == 0; }));
  EXPECT_EQ(waitpid(child, nullptr, WNOHANG), 0) << "it should live";
  kill(child, SIGKILL);
  wait_for(daemon_, child);
  close(ends[0]);
  close(ends[1]);
}

TEST_F(DaemonTest, ToolsMakeListAndFinishSlices) {
  pid_t child = in_child([&] {
    auto client = ControlClient::connect(daemon_.path());
    Json create;
    create["op"] = "create_slice";
    create["program"] = "app";
    create["memory_bytes"] = Json::array({1000});
    auto slice = client->ask(create);
    if (!slice.ok() || !parse_token(json_string(*slice, "token"))) return 1;
    if (client->ask(create).ok()) return 2;  // one per connection
    TestClient process(daemon_.path());
    process.attach(*parse_token(json_string(*slice, "token")));
    if (process.receive(true).empty()) return 3;
    auto other = ControlClient::connect(daemon_.path());
    Json ask;
    ask["op"] = "slices";
    auto slices = other->ask(ask);
    if (!slices.ok() || json_array((*slices)["slices"][0], "processes").size() != 1) return 4;
    ask["op"] = "gpus";
    auto gpus = other->ask(ask);
    if (!gpus.ok() || json_uint((*gpus)["gpus"][0], "total_bytes") != uint64_t{1} << 30) return 5;
    ask["op"] = "finish_slice";
    auto finished = client->ask(ask);
    return finished.ok() && json_uint(*finished, "processes_left") == 1U ? 0 : 6;
  });
  EXPECT_EQ(wait_for(daemon_, child), 0);
  EXPECT_TRUE(daemon_.until([&] { return daemon_.ledger().slices().empty(); }));
}

TEST_F(DaemonTest, LongAnswersTravelInParts) {
  for (size_t i = 0; i < kMaxSlices; ++i)
    daemon_.open_slice(1000, static_cast<uint8_t>(i), std::string(40, 'p'));
  pid_t child = in_child([&] {
    auto client = ControlClient::connect(daemon_.path());
    Json ask;
    ask["op"] = "slices";
    auto slices = client->ask(ask);
    if (!slices.ok() || json_text(*slices).size() <= vgpu::kMaxMessageBytes) return 1;
    if (json_array(*slices, "slices").size() != kMaxSlices) return 2;
    ask["op"] = "create_slice";
    return client->ask(ask).status().code() == Code::kResourceExhausted ? 0 : 3;
  });
  EXPECT_EQ(wait_for(daemon_, child), 0);
}

}  // namespace
}  // namespace tessera::node

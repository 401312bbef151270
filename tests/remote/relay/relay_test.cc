#include "tests/remote/relay/relay.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <atomic>
#include <functional>
#include <thread>

#include "common/clock.h"
#include "remote/session/exchange.h"
#include "remote/transport/dial.h"
#include "remote/transport/socket_transport.h"

namespace tessera::remote {
namespace {

uint64_t soon() { return monotonic_ns() + 10'000'000'000; }

// A server that sends everything back, a relay before it, and what runs them.
class Network {
 public:
  explicit Network(const Conditions& conditions, uint64_t seed = 1) {
    Address any{Flavour::kTcp, "127.0.0.1", 0, ""};
    listening_ = std::move(listen_at(any, 16).value()[0]);
    Address server = any;
    server.port = bound_port(listening_.get()).value();
    relay_ = Relay::create(any, server, conditions, seed).value();
    relaying_ = std::jthread([this](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        if (std::atomic<const std::function<void(Relay&)>*>* task = &task_; task->load() != nullptr) {
          (*task->load())(*relay_);
          task->store(nullptr);
        }
        EXPECT_TRUE(relay_->step(1'000'000).ok());
      }
    });
    echoing_ = std::jthread([this](const std::stop_token& stop) { echo(stop); });
  }

  // In the relay's own thread.
  void with_relay(const std::function<void(Relay&)>& task) {
    task_ = &task;
    while (task_.load() != nullptr) std::this_thread::yield();
  }
  std::unique_ptr<SocketTransport> connect() {
    const Address address{Flavour::kTcp, "127.0.0.1", relay_->port(), ""};
    return SocketTransport::create(dial(address, soon()).value(), "tcp").value();
  }

 private:
  void echo(const std::stop_token& stop) {
    std::vector<std::jthread> sessions;
    while (!stop.stop_requested()) {
      if (poll_socket(listening_.get(), Transport::kReadable, std::chrono::milliseconds(5)).value() == 0)
        continue;
      UniqueFd socket(accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      sessions.emplace_back(
          [made = std::make_shared<UniqueFd>(std::move(socket))](const std::stop_token& ended) {
            auto transport = SocketTransport::create(std::move(*made), "tcp").value();
            std::vector<std::byte> space(65536);
            while (!ended.stop_requested()) {
              const auto count = transport->receive(space);
              if (!count.ok() || !send_all(*transport, ByteSpan(space).first(*count), soon()).ok()) return;
              if (*count == 0) (void)transport->wait(Transport::kReadable, std::chrono::milliseconds(5));
            }
          });
    }
  }

  UniqueFd listening_;
  std::unique_ptr<Relay> relay_;
  std::atomic<const std::function<void(Relay&)>*> task_{nullptr};
  std::jthread relaying_, echoing_;
};

// What comes back for `text`; shorter where the connection has ended before.
std::string echoed(Transport& transport, const std::string& text) {
  std::string back(text.size(), '\0');
  size_t sent = 0, received = 0;
  while (received < text.size()) {
    const iovec piece{const_cast<char*>(text.data()) + sent, text.size() - sent};
    const auto count = sent < text.size() ? transport.send(std::span(&piece, 1)) : Result<size_t>(size_t{0});
    const auto got = transport.receive(std::as_writable_bytes(std::span(back)).subspan(received));
    if (!count.ok() || !got.ok()) break;
    sent += *count;
    received += *got;
    if (*count + *got != 0) continue;
    const unsigned wanted = Transport::kReadable | (sent < text.size() ? Transport::kWritable : 0U);
    if (transport.wait(wanted, std::chrono::seconds(10)).value() == 0) break;
  }
  return back.substr(0, received);
}

std::string numbered_text(size_t bytes) {
  std::string text;
  for (int i = 0; text.size() < bytes; ++i) text += std::to_string(i) + ",";
  text.resize(bytes);
  return text;
}

TEST(Relay, PassesOnWhatItGetsHoweverItCutsIt) {
  Conditions cut;
  cut.split = true;
  cut.jitter_ns = 100'000;
  Conditions merged;
  merged.merge_ns = 1'000'000;
  merged.delay_ns = 500'000;
  Conditions narrow;
  narrow.bytes_per_second = 50'000'000;
  const std::string text = numbered_text(300'000);
  for (const Conditions& conditions : {Conditions{}, cut, merged, narrow}) {
    Network network(conditions);
    EXPECT_EQ(echoed(*network.connect(), text), text);
  }
}

TEST(Relay, NothingComesBeforeItsTime) {
  Conditions slow;
  slow.delay_ns = 5'000'000;
  Network network(slow);
  auto connection = network.connect();
  const uint64_t before = monotonic_ns();
  EXPECT_EQ(echoed(*connection, "x"), "x");
  EXPECT_GE(monotonic_ns() - before, 2 * slow.delay_ns);
}

TEST(Relay, IsNoWiderThanItIsSaidToBe) {
  Conditions narrow;
  narrow.bytes_per_second = 10'000'000;
  Network network(narrow);
  auto connection = network.connect();
  const uint64_t before = monotonic_ns();
  const std::string text = numbered_text(500'000);
  EXPECT_EQ(echoed(*connection, text), text);
  EXPECT_GE(monotonic_ns() - before, 50'000'000u);
}

TEST(Relay, CorruptsTheSameBytesForTheSameSeed) {
  Conditions bad;
  bad.corrupt_every = 10'000;
  const std::string text = numbered_text(200'000);
  std::string first;
  for (int run = 0; run < 2; ++run) {
    Network network(bad, 7);
    const std::string back = echoed(*network.connect(), text);
    ASSERT_EQ(back.size(), text.size());
    EXPECT_NE(back, text);
    EXPECT_TRUE(run == 0 || back == first);
    first = back;
  }
  Network other(bad, 8);
  EXPECT_NE(echoed(*other.connect(), text), first);
}

TEST(Relay, EndsConnectionsWhereThePlanSays) {
  for (const bool reset : {false, true}) {
    Conditions bad;
    (reset ? bad.reset_every : bad.drop_every) = 50'000;
    Network network(bad, 3);
    const std::string text = numbered_text(5'000'000);
    EXPECT_LT(echoed(*network.connect(), text).size(), text.size());
    // The next one has a plan of its own.
    EXPECT_EQ(echoed(*network.connect(), "x"), "x");
  }
}

TEST(Relay, CutsRefusesAndHolds) {
  Network network({});
  auto connection = network.connect();
  EXPECT_EQ(echoed(*connection, "a"), "a");
  network.with_relay([](Relay& relay) { relay.cut(true); });
  EXPECT_EQ(echoed(*connection, "b"), "");
  network.with_relay([](Relay& relay) { relay.refuse(true); });
  EXPECT_EQ(echoed(*network.connect(), "c"), "");
  network.with_relay([](Relay& relay) { relay.refuse(false); });
  connection = network.connect();
  EXPECT_EQ(echoed(*connection, "d"), "d");
  network.with_relay([](Relay& relay) { relay.hold(true); });
  ASSERT_TRUE(send_all(*connection, std::string_view("e"), soon()).ok());
  EXPECT_EQ(connection->wait(Transport::kReadable, std::chrono::milliseconds(50)).value(), 0u);
  network.with_relay([](Relay& relay) { relay.hold(false); });
  char byte = 0;
  EXPECT_TRUE(receive_exactly(*connection, std::as_writable_bytes(std::span(&byte, 1)), soon()).ok());
  EXPECT_EQ(byte, 'e');
}

}  // namespace
}  // namespace tessera::remote

// Connections of strangers: what they cost, and that they keep nobody out.
#include "remote/front/testing/test_front.h"

namespace tessera::remote {
namespace {

// A connection of which only these bytes come: whether the front has dropped it.
bool is_dropped(const TestFront& front, const std::string& bytes) {
  auto socket = dial(front.at(Flavour::kTcp), soon());
  auto transport = SocketTransport::create(std::move(socket).value(), "tcp").value();
  if (!send_all(*transport, bytes, soon()).ok()) return true;
  std::array<std::byte, 4096> space;
  for (const uint64_t end = soon(); monotonic_ns() < end;) {
    if (!transport->receive(space).ok()) return true;
    (void)transport->wait(Transport::kReadable, std::chrono::milliseconds(50));
  }
  return false;
}

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST(Front, WhatMakesNoSenseIsDropped) {
  TestFront front;
  front.options.handshake_ns = 300'000'000;
  front.start();
  const std::string preamble = text_of(encode(Preamble{}));
  EXPECT_TRUE(is_dropped(front, "GET / HTTP/1.1\r\nHost: gpu-box\r\n\r\n"));
  EXPECT_TRUE(is_dropped(front, preamble + std::string("\xff\xff\x01\x00", 4) + std::string(70'000, 'x')));
  EXPECT_TRUE(is_dropped(front, preamble + std::string(1000, '\0')));
  EXPECT_TRUE(is_dropped(front, preamble + encode(HandshakeMessage(Return{}))));
  EXPECT_TRUE(is_dropped(front, preamble.substr(0, 31)));  // in time
  EXPECT_TRUE(is_dropped(front, preamble));
  EXPECT_TRUE(front.open(Flavour::kTcp).ok());
}

// Exact, where statm lags behind.
uint64_t resident_bytes(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/smaps_rollup");
  uint64_t kibibytes = 0;
  for (std::string word; file >> word;)
    if (word == "Rss:") file >> kibibytes;
  EXPECT_GT(kibibytes, 0u);
  return kibibytes * 1024;
}

size_t threads_of(pid_t pid) {
  size_t count = 0;
  for ([[maybe_unused]] const auto& task :
       std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task"))
    ++count;
  return count;
}

// As many connections as that, each with `bytes` sent.
std::vector<UniqueFd> connections(const TestFront& front, size_t count, const std::string& bytes) {
  std::vector<UniqueFd> all;
  while (all.size() < count) {
    auto socket = dial(front.at(Flavour::kTcp), soon());
    if (!socket.ok()) continue;
    if (!bytes.empty()) {
      EXPECT_EQ(send(socket->get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
                static_cast<ssize_t>(bytes.size()));
    }
    all.push_back(std::move(*socket));
  }
  return all;
}

// Whether the front still has it.
bool is_kept(const UniqueFd& socket) {
  char bytes[64];
  ssize_t count;
  do {
    count = recv(socket.get(), bytes, sizeof bytes, MSG_DONTWAIT);
  } while (count > 0);  // the greeting
  return count < 0 && errno == EAGAIN;
}

// AddressSanitizer and its like keep what was freed.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr uint64_t kMostIdleBytes = 400'000'000;
#else
constexpr uint64_t kMostIdleBytes = 20'000'000;
#endif

TEST(Front, AThousandIdleConnectionsCostNoProcessAndLittleMemory) {
  allow_descriptors(8192);
  Certificates certificates;
  TestFront front;
  front.use_tls(certificates, false);
  front.options.handshake_ns = 60'000'000'000;
  front.start();
  ASSERT_TRUE(front.open(Flavour::kTls, {"", "", certificates.ca(), "", ""}).ok());
  ASSERT_TRUE(comes_true([&] { return children_of(front.pid()) == 0; }));
  const uint64_t before = resident_bytes(front.pid());
  const std::string tls = text_of(encode(Preamble{kWireVersion, ConnectionKind::kNew, Flavour::kTls, {}}));
  const auto silent = connections(front, 400, "");
  const auto begun = connections(front, 300, tls.substr(0, 20));
  const auto greeted = connections(front, 300, tls);
  const auto plain = connections(front, 300, text_of(encode(Preamble{})));
  // Others get in, and by then the front has seen all of these.
  ASSERT_TRUE(front.open(Flavour::kTcp).ok());
  ASSERT_TRUE(comes_true([&] { return children_of(front.pid()) == 0; }));
  const uint64_t after = resident_bytes(front.pid());
  for (const auto* all : {&silent, &begun, &greeted, &plain})
    EXPECT_TRUE(std::all_of(all->begin(), all->end(), is_kept));
  EXPECT_LT(after - std::min(before, after), kMostIdleBytes);
  EXPECT_EQ(threads_of(front.pid()), 1u);
  RecordProperty("resident_bytes_more", std::to_string(after - std::min(before, after)));
  printf("1300 idle connections: %llu bytes\n",
         static_cast<unsigned long long>(after - std::min(before, after)));
}

TEST(Front, WhoeverComesIsLetInHoweverManyAreIdle) {
  allow_descriptors(8192);
  TestFront front;
  front.options.most_unauthenticated = 100;
  front.options.handshake_ns = 60'000'000'000;
  front.start();
  const auto idle = connections(front, 1000, "");
  EXPECT_TRUE(front.open(Flavour::kTcp).ok());
}

TEST(Front, HandshakesHalfDoneAreBounded) {
  Certificates certificates;
  TestFront front;
  front.use_tls(certificates, false);
  front.options.most_handshakes = 20;
  front.options.handshake_ns = 60'000'000'000;
  front.start();
  const std::string tls = text_of(encode(Preamble{kWireVersion, ConnectionKind::kNew, Flavour::kTls, {}}));
  const uint64_t before = resident_bytes(front.pid());
  // The first bytes of a ClientHello, of which no more comes.
  const auto half =
      connections(front, 500, tls + std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03", 10));
  EXPECT_TRUE(front.open(Flavour::kTls, {"", "", certificates.ca(), "", ""}).ok());
  EXPECT_LT(resident_bytes(front.pid()) - before, kMostIdleBytes);
}

}  // namespace
}  // namespace tessera::remote

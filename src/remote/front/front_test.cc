// A front in a process of its own, as it forks; its clients are the tests.
#include "remote/front/front.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "common/clock.h"
#include "common/log.h"
#include "remote/front/testing/echo_session.h"
#include "remote/session/client.h"
#include "remote/session/exchange.h"
#include "remote/testing/certificates.h"
#include "remote/transport/dial.h"
#include "remote/transport/socket_transport.h"

namespace tessera::remote {
namespace {

const std::string kToken = "a token of thirty-two characters";

uint64_t soon() { return monotonic_ns() + 10'000'000'000; }

// What the front's process tells the test once it listens.
struct Listening {
  uint16_t port = 0;
};

class TestFront {
 public:
  TestFront() {
    char name[] = "/tmp/tessera-front-XXXXXX";
    folder_ = mkdtemp(name);
    options.addresses = {{Flavour::kTcp, "127.0.0.1", 0, ""}, {Flavour::kShm, "", 0, folder_ + "/s"}};
    options.nobody_may_in = true;
    options.hooks.run = run_echo_session;
  }
  ~TestFront() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
    std::filesystem::remove_all(folder_);
  }

  void start() {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    pid_ = fork();
    ASSERT_GE(pid_, 0);
    if (pid_ == 0) _exit(run(ends[1]));
    close(ends[1]);
    Listening listening;
    ASSERT_EQ(read(ends[0], &listening, sizeof listening), static_cast<ssize_t>(sizeof listening));
    close(ends[0]);
    port_ = listening.port;
  }

  Address at(Flavour flavour) const {
    return is_local(flavour) ? Address{flavour, "", 0, folder_ + "/s"}
                             : Address{flavour, "127.0.0.1", port_, ""};
  }
  Result<Opened> open(Flavour flavour, const Credentials& credentials = {},
                      const std::string& wishes = "{}") {
    return open_session(at(flavour), credentials, wishes, soon());
  }

  void add_token(const std::string& name, const std::string& token, uint32_t sessions = 0, double rate = 0) {
    Identity identity;
    identity.name = name;
    identity.token = token;
    identity.sessions = sessions;
    identity.connections_per_second = rate;
    ASSERT_TRUE(options.identities.add(identity).ok());
    options.nobody_may_in = false;
  }
  void use_tls(Certificates& certificates, bool ask_clients) {
    const auto files = certificates.issue("localhost");
    options.tls =
        TlsContext::server({files.certificate, files.key, ask_clients ? certificates.ca() : ""}).value();
  }

  pid_t pid() const { return pid_; }
  // Its exit status; it has been asked to end by then.
  int join() {
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    return status;
  }

  FrontOptions options;

 private:
  int run(int report) {
    log_set_level(LogLevel::kError);
    sigset_t terminate;
    sigemptyset(&terminate);
    sigaddset(&terminate, SIGTERM);
    sigprocmask(SIG_BLOCK, &terminate, nullptr);
    const UniqueFd stop(signalfd_for(terminate));
    options.stop_descriptor = stop.get();
    auto front = Front::create(std::move(options));
    if (!front.ok()) return 1;
    const Listening listening{(*front)->addresses()[0].port};
    if (write(report, &listening, sizeof listening) != static_cast<ssize_t>(sizeof listening)) return 1;
    return (*front)->run().ok() ? 0 : 1;
  }

  std::string folder_;
  uint16_t port_ = 0;
  pid_t pid_ = -1;
};

// What comes back for what is sent: the same, from the session's process.
std::string echo(Transport& transport, const std::string& text) {
  std::string back(text.size(), '\0');
  Status sent;
  std::jthread sending([&] { sent = send_all(transport, text, soon()); });
  const Status status = receive_exactly(transport, std::as_writable_bytes(std::span(back)), soon());
  sending.join();
  return status.ok() && sent.ok() ? back : status.message() + sent.message();
}

std::string question(Transport& transport, char what) {
  // The answer to a question has 32 bytes, filled up with zeros.
  if (!send_all(transport, std::string(1, what), soon()).ok()) return "cannot send";
  std::string back(32, '\0');
  if (!receive_exactly(transport, std::as_writable_bytes(std::span(back)), soon()).ok()) return "no answer";
  return back.c_str();
}

bool comes_true(const std::function<bool()>& condition) {
  for (const uint64_t end = soon(); monotonic_ns() < end;) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return false;
}

bool is_alive(pid_t pid) { return kill(pid, 0) == 0; }

TEST(Front, GivesEachSessionAProcess) {
  TestFront front;
  front.start();
  for (const Flavour flavour : {Flavour::kTcp, Flavour::kShm, Flavour::kUnix}) {
    auto a = front.open(flavour), b = front.open(flavour);
    ASSERT_TRUE(a.ok()) << a.status().message();
    ASSERT_TRUE(b.ok()) << b.status().message();
    EXPECT_NE(a->session, b->session);
    EXPECT_EQ(echo(*a->transport, "hello"), "hello");
    EXPECT_NE(question(*a->transport, kAskPid), question(*b->transport, kAskPid));
    EXPECT_EQ(question(*b->transport, kAskIdentity), "local");
    EXPECT_EQ(echo(*b->transport, std::string(300'000, 'x')), std::string(300'000, 'x'));
    const pid_t pid = std::stoi(question(*a->transport, kAskPid));
    a->transport.reset();
    EXPECT_TRUE(comes_true([&] { return !is_alive(pid); })) << "a session outlives its client";
  }
}

TEST(Front, TellsTheSessionWhatTheClientWishes) {
  TestFront front;
  front.start();
  auto opened = front.open(Flavour::kTcp, {}, "{\"mem\":\"1GiB\"}");
  ASSERT_TRUE(opened.ok());
  EXPECT_EQ(question(*opened->transport, kAskWishes), "{\"mem\":\"1GiB\"}");
}

TEST(Front, TlsAndTokens) {
  Certificates certificates;
  TestFront front;
  front.use_tls(certificates, false);
  front.options.wants_tls = true;
  front.add_token("alice", kToken);
  front.start();
  Credentials alice{"alice", kToken, certificates.ca(), "", ""};
  auto opened = front.open(Flavour::kTls, alice);
  ASSERT_TRUE(opened.ok()) << opened.status().message();
  EXPECT_EQ(question(*opened->transport, kAskIdentity), "alice");
  EXPECT_EQ(echo(*opened->transport, std::string(100'000, 'y')), std::string(100'000, 'y'));
  // Nothing in the session's process knows anybody's token.
  EXPECT_EQ(question(*opened->transport, kAskTokens), "0");

  const Status plain = front.open(Flavour::kTcp, alice).status();
  EXPECT_NE(plain.message().find("tls://"), std::string::npos) << plain.message();
  alice.token = "another token of many characters";
  const Status wrong = front.open(Flavour::kTls, alice).status();
  EXPECT_EQ(wrong.code(), Code::kPermissionDenied);
  EXPECT_NE(wrong.message().find("no such identity with this token"), std::string::npos) << wrong.message();
  alice.token = "";
  const Status none = front.open(Flavour::kTls, alice).status();
  EXPECT_NE(none.message().find("--token-file"), std::string::npos) << none.message();
}

TEST(Front, CertificatesOfClients) {
  Certificates certificates, others;
  TestFront front;
  front.use_tls(certificates, true);
  front.options.nobody_may_in = false;
  front.start();
  const auto alice = certificates.issue("alice");
  auto opened = front.open(Flavour::kTls, {"", "", certificates.ca(), alice.certificate, alice.key});
  ASSERT_TRUE(opened.ok()) << opened.status().message();
  EXPECT_EQ(question(*opened->transport, kAskIdentity), "alice");
  const Status none = front.open(Flavour::kTls, {"", "", certificates.ca(), "", ""}).status();
  EXPECT_NE(none.message().find("--tls-cert"), std::string::npos) << none.message();
  const auto mallory = others.issue("alice");
  EXPECT_FALSE(front.open(Flavour::kTls, {"", "", certificates.ca(), mallory.certificate, mallory.key}).ok());
}

TEST(Front, ATokenWorksWithoutTlsAndTellsNobodyTheSecret) {
  TestFront front;
  front.add_token("alice", kToken);
  front.start();
  EXPECT_TRUE(front.open(Flavour::kTcp, {"alice", kToken, "", "", ""}).ok());
  EXPECT_TRUE(front.open(Flavour::kShm, {"", kToken, "", "", ""}).ok());
  const Status tls = front.open(Flavour::kTls, {"alice", kToken, "", "", ""}).status();
  EXPECT_NE(tls.message().find("no certificate"), std::string::npos) << tls.message();
}

TEST(Front, AClientComesBackToItsSession) {
  Certificates certificates;
  TestFront front;
  front.use_tls(certificates, false);
  front.start();
  const Credentials credentials{"", "", certificates.ca(), "", ""};
  for (const Flavour flavour : {Flavour::kTcp, Flavour::kTls, Flavour::kShm}) {
    auto opened = front.open(flavour, credentials);
    ASSERT_TRUE(opened.ok()) << opened.status().message();
    question(*opened->transport, kStayWithoutConnection);
    const std::string pid = question(*opened->transport, kAskPid);
    const Secret first = opened->secret;
    for (int round = 0; round < 3; ++round) {
      opened->transport->shutdown();
      auto back = resume_session(front.at(flavour), credentials, opened->session, opened->secret, soon());
      ASSERT_TRUE(back.ok()) << back.status().message();
      EXPECT_EQ(question(**back, kAskPid), pid);
      opened->transport = std::move(*back);
    }
    Secret stolen = first;
    EXPECT_EQ(resume_session(front.at(flavour), credentials, opened->session, stolen, soon()).status().code(),
              Code::kPermissionDenied);
    auto stripe = open_stripe(front.at(flavour), credentials, opened->session, opened->secret, soon());
    ASSERT_TRUE(stripe.ok()) << stripe.status().message();
    EXPECT_EQ(question(*opened->transport, kAskPid), pid);
    question(*opened->transport, kEndNow);
  }
  SessionId nobody{};
  Secret secret{};
  EXPECT_EQ(resume_session(front.at(Flavour::kTcp), {}, nobody, secret, soon()).status().code(),
            Code::kNotFound);
}

TEST(Front, WhatCannotBePreparedIsRefusedWithItsReason) {
  TestFront front;
  front.options.hooks.prepare = [](SessionStart& start) {
    return start.wishes == "{}"
               ? Status()
               : Status(Code::kResourceExhausted, "GPU 0 has 1GiB left, and 2GiB are asked for");
  };
  front.start();
  const Status status = front.open(Flavour::kTcp, {}, "{\"mem\":\"2GiB\"}").status();
  EXPECT_EQ(status.code(), Code::kResourceExhausted);
  EXPECT_NE(status.message().find("GPU 0 has 1GiB left"), std::string::npos) << status.message();
  EXPECT_TRUE(front.open(Flavour::kTcp).ok());
}

TEST(Front, SessionsAreBoundedForEachIdentityAndInAll) {
  TestFront front;
  front.options.most_sessions = 3;
  front.add_token("alice", kToken, 2);
  front.add_token("bob", kToken + "b");
  front.start();
  const Credentials alice{"alice", kToken, "", "", ""}, bob{"bob", kToken + "b", "", "", ""};
  auto one = front.open(Flavour::kTcp, alice), two = front.open(Flavour::kTcp, alice);
  ASSERT_TRUE(one.ok() && two.ok());
  const Status third = front.open(Flavour::kTcp, alice).status();
  EXPECT_EQ(third.code(), Code::kResourceExhausted);
  EXPECT_NE(third.message().find("2 sessions"), std::string::npos) << third.message();
  auto his = front.open(Flavour::kTcp, bob);
  ASSERT_TRUE(his.ok());
  const Status full = front.open(Flavour::kTcp, bob).status();
  EXPECT_NE(full.message().find("--max-sessions"), std::string::npos) << full.message();
  one->transport.reset();
  EXPECT_TRUE(comes_true([&] { return front.open(Flavour::kTcp, alice).ok(); }));
}

TEST(Front, SessionsBeginNoFasterThanTheyMay) {
  TestFront front;
  front.add_token("alice", kToken, 0, 0.001);
  front.start();
  const Credentials alice{"alice", kToken, "", "", ""};
  EXPECT_TRUE(front.open(Flavour::kTcp, alice).ok());
  const Status second = front.open(Flavour::kTcp, alice).status();
  EXPECT_EQ(second.code(), Code::kResourceExhausted);
  EXPECT_NE(second.message().find("a second"), std::string::npos) << second.message();
}

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

size_t children_of(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/task/" + std::to_string(pid) + "/children");
  size_t count = 0;
  for (int child; file >> child;) ++count;
  return count;
}

size_t threads_of(pid_t pid) {
  size_t count = 0;
  for ([[maybe_unused]] const auto& task :
       std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task"))
    ++count;
  return count;
}

void allow_descriptors(rlim_t count) {
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  if (limit.rlim_cur >= count) return;
  limit.rlim_cur = std::min(count, limit.rlim_max);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  ASSERT_GE(limit.rlim_cur, count);
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

constexpr uint64_t kMostIdleBytes = 20'000'000;

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

TEST(Front, SessionsTogetherHaveNoMoreThanTheLink) {
  TestFront front;
  constexpr uint64_t kRate = 20'000'000;
  front.options.bandwidth.download = kRate;
  front.start();
  const std::string text(2'000'000, 'x');
  constexpr size_t kClients = 3;
  std::vector<Opened> all;
  for (size_t i = 0; i < kClients; ++i) {
    all.push_back(front.open(Flavour::kTcp).value());
    question(*all.back().transport, kAskPid);
  }
  const uint64_t before = monotonic_ns();
  std::vector<std::jthread> clients;
  for (Opened& opened : all) clients.emplace_back([&] { EXPECT_EQ(echo(*opened.transport, text), text); });
  clients.clear();
  const uint64_t bursts = kClients * SessionBandwidth::kBurstBytes;
  EXPECT_GE(monotonic_ns() - before, (kClients * text.size() - bursts) * 1'000'000'000 / kRate * 9 / 10);
}

TEST(Front, EndsItsSessionsWhenItEnds) {
  TestFront front;
  front.options.ending_ns = 200'000'000;
  front.start();
  auto willing = front.open(Flavour::kTcp), deaf = front.open(Flavour::kShm);
  ASSERT_TRUE(willing.ok() && deaf.ok());
  question(*deaf->transport, kIgnoreTheFront);
  const pid_t pids[] = {std::stoi(question(*willing->transport, kAskPid)),
                        std::stoi(question(*deaf->transport, kAskPid))};
  kill(front.pid(), SIGTERM);
  EXPECT_EQ(front.join(), 0);
  for (const pid_t pid : pids) EXPECT_FALSE(is_alive(pid));
  EXPECT_FALSE(std::filesystem::exists(front.at(Flavour::kShm).path));
}

TEST(Front, ASessionSeesThatItsFrontHasGone) {
  TestFront front;
  front.start();
  auto opened = front.open(Flavour::kTcp);
  ASSERT_TRUE(opened.ok());
  const pid_t pid = std::stoi(question(*opened->transport, kAskPid));
  kill(front.pid(), SIGKILL);
  front.join();
  EXPECT_TRUE(comes_true([&] { return !is_alive(pid); }));
}

}  // namespace
}  // namespace tessera::remote

// Sessions whose process was there before them.
#include <stdlib.h>

#include <fstream>

#include "remote/front/testing/test_front.h"

namespace tessera::remote {
namespace {

std::vector<pid_t> all_children(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/task/" + std::to_string(pid) + "/children");
  std::vector<pid_t> found;
  for (pid_t child; file >> child;) found.push_back(child);
  return found;
}

// The only child that is none of `sessions`, once there is one; 0 where there never is.
pid_t spare_of(const TestFront& front, const std::vector<pid_t>& sessions = {}) {
  pid_t spare = 0;
  comes_true([&] {
    for (const pid_t child : all_children(front.pid()))
      if (std::find(sessions.begin(), sessions.end(), child) == sessions.end()) spare = child;
    return spare != 0;
  });
  return spare;
}

pid_t pid_of(const Opened& session) { return std::stoi(question(*session.transport, kAskPid)); }

TEST(Spare, BecomesTheNextSessionAndIsReplaced) {
  TestFront front;
  front.options.keeps_spare = true;
  front.start();
  std::vector<pid_t> sessions;
  std::vector<Opened> open;
  for (const Flavour flavour : {Flavour::kTcp, Flavour::kUnix, Flavour::kShm}) {
    const pid_t spare = spare_of(front, sessions);
    ASSERT_NE(spare, 0);
    auto opened = front.open(flavour, {}, "{\"mem\":\"1GiB\"}");
    ASSERT_TRUE(opened.ok()) << opened.status().message();
    EXPECT_EQ(pid_of(*opened), spare);
    EXPECT_EQ(question(*opened->transport, kAskWishes), "{\"mem\":\"1GiB\"}");
    EXPECT_EQ(question(*opened->transport, kAskIdentity), "local");
    EXPECT_EQ(echo(*opened->transport, std::string(300'000, 'x')), std::string(300'000, 'x'));
    sessions.push_back(spare);
    open.push_back(std::move(*opened));
  }
  ASSERT_NE(spare_of(front, sessions), 0);
  EXPECT_EQ(children_of(front.pid()), sessions.size() + 1) << "one waits, not more";
  open.clear();
  for (const pid_t session : sessions) EXPECT_TRUE(comes_true([&] { return !is_alive(session); }));
}

TEST(Spare, HasTheIdentityOfItsClientAndIsFoundAgain) {
  TestFront front;
  front.options.keeps_spare = true;
  front.add_token("alice", kToken);
  front.start();
  const pid_t spare = spare_of(front);
  auto opened = front.open(Flavour::kTcp, {"alice", kToken, "", "", ""});
  ASSERT_TRUE(opened.ok()) << opened.status().message();
  EXPECT_EQ(pid_of(*opened), spare);
  EXPECT_EQ(question(*opened->transport, kAskIdentity), "alice");
  EXPECT_EQ(question(*opened->transport, kAskTokens), "0");
  question(*opened->transport, kStayWithoutConnection);
  opened->transport->shutdown();
  auto back = resume_session(front.at(Flavour::kTcp), {"alice", kToken, "", "", ""}, opened->session,
                             opened->secret, soon());
  ASSERT_TRUE(back.ok()) << back.status().message();
  EXPECT_EQ(question(**back, kAskPid), std::to_string(spare));
}

TEST(Spare, SessionsAreEachPreparedInAnEnvironmentOfTheirOwn) {
  constexpr const char* kSlice = "TESSERA_TEST_SLICE";
  TestFront front;
  front.options.keeps_spare = true;
  front.options.hooks.prepare = [](SessionStart& start) {
    if (getenv(kSlice) != nullptr) return Status(Code::kInternal, "in another's slice");
    setenv(kSlice, start.wishes.c_str(), 1);
    return Status();
  };
  front.options.hooks.run = [](SessionStart start) {
    const char* const slice = getenv(kSlice);
    const std::string wishes = start.wishes;
    return slice != nullptr && slice == wishes ? run_echo_session(std::move(start)) : 1;
  };
  front.start();
  std::vector<pid_t> sessions;
  std::vector<Opened> open;
  for (const char* const wishes : {"{}", "{\"mem\":\"1GiB\"}", "{\"sm\":5}"}) {
    const pid_t spare = spare_of(front, sessions);
    auto opened = front.open(Flavour::kTcp, {}, wishes);
    ASSERT_TRUE(opened.ok()) << opened.status().message();
    EXPECT_EQ(pid_of(*opened), spare);
    sessions.push_back(spare);
    open.push_back(std::move(*opened));
  }
}

TEST(Spare, IsNotSpentByWhoIsNotLetIn) {
  TestFront front;
  front.options.keeps_spare = true;
  front.add_token("alice", kToken, 1);
  front.start();
  const pid_t spare = spare_of(front);
  for (int i = 0; i < 5; ++i)
    EXPECT_FALSE(front.open(Flavour::kTcp, {"alice", "no token of anybody here", "", "", ""}).ok());
  EXPECT_EQ(all_children(front.pid()), std::vector<pid_t>{spare});
  auto first = front.open(Flavour::kTcp, {"alice", kToken, "", "", ""});
  ASSERT_TRUE(first.ok());
  const pid_t next = spare_of(front, {spare});
  const Status second = front.open(Flavour::kTcp, {"alice", kToken, "", "", ""}).status();
  EXPECT_NE(second.message().find("as many as it may have"), std::string::npos) << second.message();
  EXPECT_TRUE(is_alive(next));
  EXPECT_EQ(children_of(front.pid()), 2u);
}

TEST(Spare, HoldsNoDescriptorOfTheFront) {
  TestFront front;
  front.options.keeps_spare = true;
  front.add_token("alice", kToken);
  front.start();
  const pid_t spare = spare_of(front);
  const std::string folder = "/proc/" + std::to_string(spare) + "/fd";
  EXPECT_TRUE(comes_true([&] {
    size_t beyond = 0;  // standard streams
    for (const auto& entry : std::filesystem::directory_iterator(folder))
      beyond += std::stoi(entry.path().filename()) > 2 ? 1 : 0;
    return beyond == 1;
  })) << "more than its way to the front";
}

TEST(Spare, OneThatIsKilledIsReplacedAfterTheNextSession) {
  TestFront front;
  front.options.keeps_spare = true;
  front.start();
  const pid_t killed = spare_of(front);
  kill(killed, SIGKILL);
  EXPECT_TRUE(comes_true([&] { return !is_alive(killed); })) << "it is not waited for";
  usleep(200'000);
  EXPECT_EQ(children_of(front.pid()), 0u) << "what is killed would be made again and again";
  auto opened = front.open(Flavour::kTcp);
  ASSERT_TRUE(opened.ok()) << opened.status().message();
  const pid_t session = pid_of(*opened);
  EXPECT_NE(spare_of(front, {session}), 0);
}

TEST(Spare, ThereIsNoneWhereNoSessionMayBegin) {
  TestFront front;
  front.options.keeps_spare = true;
  front.options.most_sessions = 1;
  front.start();
  const pid_t first = spare_of(front);
  auto opened = front.open(Flavour::kTcp);
  ASSERT_TRUE(opened.ok());
  EXPECT_EQ(pid_of(*opened), first);
  usleep(200'000);
  EXPECT_EQ(children_of(front.pid()), 1u);
  opened->transport.reset();
  EXPECT_NE(spare_of(front, {first}), 0);
}

TEST(Spare, EndsWithTheServerHoweverThatEnds) {
  for (const int signal : {SIGTERM, SIGKILL}) {
    TestFront front;
    front.options.keeps_spare = true;
    front.start();
    const pid_t spare = spare_of(front);
    kill(front.pid(), signal);
    front.join();
    EXPECT_TRUE(comes_true([&] { return !is_alive(spare); })) << signal;
  }
}

TEST(Spare, TlsSessionsAreForkedAndLeaveIt) {
  Certificates certificates;
  TestFront front;
  front.options.keeps_spare = true;
  front.use_tls(certificates, false);
  front.start();
  const pid_t spare = spare_of(front);
  auto opened = front.open(Flavour::kTls, {"", "", certificates.ca(), "", ""});
  ASSERT_TRUE(opened.ok()) << opened.status().message();
  EXPECT_NE(pid_of(*opened), spare);
  EXPECT_TRUE(is_alive(spare));
  EXPECT_EQ(question(*opened->transport, kAskIdentity), "local");
}

}  // namespace
}  // namespace tessera::remote

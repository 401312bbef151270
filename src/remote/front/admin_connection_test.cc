#include "remote/front/admin_connection.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

namespace tessera::remote {
namespace {

struct Pair {
  UniqueFd client;
  AdminConnection server;

  static Pair make() {
    int ends[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    return {UniqueFd(ends[0]), AdminConnection(UniqueFd(ends[1]), 0)};
  }
  void say(const std::string& text) {
    ASSERT_EQ(send(client.get(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
  }
  std::string hear() {
    char bytes[4096];
    const ssize_t count = recv(client.get(), bytes, sizeof bytes, 0);
    return count <= 0 ? "" : std::string(bytes, static_cast<size_t>(count));
  }
};

std::string repeat(const std::string& question) { return "you said " + question; }

TEST(AdminConnection, ALineIsAnsweredWithALine) {
  Pair pair = Pair::make();
  EXPECT_TRUE(pair.server.step(repeat));
  pair.say("what ");
  EXPECT_TRUE(pair.server.step(repeat));
  EXPECT_FALSE(pair.server.is_answering());
  pair.say("now?\nand more");
  EXPECT_FALSE(pair.server.step(repeat)) << "it is over once the answer has gone";
  EXPECT_EQ(pair.hear(), "you said what now?\n");
}

TEST(AdminConnection, AnAnswerThatNobodyReadsWaitsForNobody) {
  Pair pair = Pair::make();
  pair.say("?\n");
  const auto long_answer = [](const std::string&) { return std::string(8 << 20, 'x'); };
  EXPECT_TRUE(pair.server.step(long_answer));
  EXPECT_TRUE(pair.server.is_answering());
  size_t heard = 0;
  bool goes_on = true;
  while (goes_on || heard < (8 << 20) + 1) {
    const std::string piece = pair.hear();
    heard += piece.size();
    if (goes_on) goes_on = pair.server.step(long_answer);
    if (!goes_on && piece.empty()) break;
  }
  EXPECT_EQ(heard, (size_t{8} << 20) + 1);
}

TEST(AdminConnection, WhoTalksTooMuchOrLeavesIsDropped) {
  Pair talker = Pair::make();
  bool goes_on = true;
  size_t said = 0;
  while (goes_on && said <= 2 * AdminConnection::kMostQuestionBytes) {
    talker.say(std::string(1024, 'x'));
    said += 1024;
    goes_on = talker.server.step(repeat);
  }
  EXPECT_FALSE(goes_on);
  EXPECT_LE(said, AdminConnection::kMostQuestionBytes + 8192);
  Pair leaver = Pair::make();
  leaver.client.reset();
  EXPECT_FALSE(leaver.server.step(repeat));
}

TEST(AdminConnection, TheServersOwnUserMayAsk) {
  Pair pair = Pair::make();
  EXPECT_TRUE(AdminConnection::check_peer(pair.client.get()).ok());
  if (geteuid() != 0) return;
  // Somebody else's server: root may ask it, the other way round it may not.
  ASSERT_EQ(seteuid(12345), 0);
  const bool root_may = AdminConnection::check_peer(pair.client.get()).ok();
  ASSERT_EQ(seteuid(0), 0);
  EXPECT_TRUE(root_may);
  ASSERT_EQ(seteuid(12345), 0);
  Pair strangers = Pair::make();
  ASSERT_EQ(seteuid(0), 0);
  ASSERT_EQ(seteuid(54321), 0);
  const Status refused = AdminConnection::check_peer(strangers.client.get());
  ASSERT_EQ(seteuid(0), 0);
  EXPECT_EQ(refused.code(), Code::kPermissionDenied);
}

}  // namespace
}  // namespace tessera::remote

// Sessions, from their clients' side.
#include <sys/socket.h>

#include "remote/front/testing/test_front.h"

namespace tessera::remote {
namespace {

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

TEST(Front, AThousandSessionsAtOnce) {
  allow_descriptors(8192);
  TestFront front;
  front.options.most_sessions = 1000;
  front.start();
  std::vector<Opened> all;
  while (all.size() < 1000) {
    auto opened = front.open(all.size() % 2 == 0 ? Flavour::kTcp : Flavour::kUnix);
    ASSERT_TRUE(opened.ok()) << all.size() << ": " << opened.status().message();
    all.push_back(std::move(*opened));
  }
  EXPECT_EQ(children_of(front.pid()), 1000u);
  EXPECT_EQ(front.open(Flavour::kTcp).status().code(), Code::kResourceExhausted);
  for (size_t i = 0; i < all.size(); i += 50)
    EXPECT_EQ(echo(*all[i].transport, "still here"), "still here") << i;
  all.clear();
  EXPECT_TRUE(comes_true([&] { return children_of(front.pid()) == 0; }));
  EXPECT_TRUE(front.open(Flavour::kTcp).ok());
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

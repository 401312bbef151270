// The client's end of a lease against a peer that speaks the protocol.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <random>

#include "test_daemon.h"
#include "virtualization/lease/account.h"

namespace tessera::vgpu {
namespace {

constexpr uint64_t kMiB = 1 << 20;

std::unique_ptr<Account> open_account(test::TestDaemon& daemon) {
  auto account = Account::open(daemon.socket_path(), daemon.token());
  EXPECT_TRUE(account.ok()) << account.status().message();
  return std::move(account).value();
}

template <typename Condition>
bool eventually(Condition condition) {
  for (int i = 0; i < 2000; ++i) {
    if (condition()) return true;
    usleep(1000);
  }
  return false;
}

TEST(Lease, TokensAre64HexadecimalDigits) {
  EXPECT_TRUE(parse_slice_token(std::string(64, 'F')).ok());
  EXPECT_FALSE(parse_slice_token("").ok());
  EXPECT_FALSE(parse_slice_token(std::string(63, 'a')).ok());
  EXPECT_FALSE(parse_slice_token(std::string(63, 'a') + "g").ok());
}

TEST(Lease, ChargesUpToTheLimitExactly) {
  test::TestDaemon daemon;
  auto account = open_account(daemon);
  EXPECT_STREQ(account->slice_name(), "test");
  EXPECT_EQ(account->limit_bytes(0), 64 * kMiB);
  EXPECT_TRUE(account->charge(0, 63 * kMiB).ok());
  EXPECT_TRUE(account->charge(0, kMiB).ok());
  Status refused = account->charge(0, 1);
  EXPECT_EQ(refused.code(), Code::kResourceExhausted);
  EXPECT_NE(refused.message().find("64MiB of 64MiB"), std::string::npos) << refused.message();
  EXPECT_EQ(account->slice_used_bytes(0), 64 * kMiB);
  EXPECT_EQ(daemon.counters().refusals, 1u);
  account->credit(0, kMiB);
  EXPECT_TRUE(account->charge(0, kMiB).ok());
  account->credit(0, 64 * kMiB);
  EXPECT_EQ(daemon.counters().used_bytes, 0u);
  EXPECT_EQ(daemon.counters().peak_bytes, 64 * kMiB);
  // All but a chunk goes back.
  EXPECT_TRUE(eventually([&] { return daemon.granted_bytes() == kMiB; }));
}

TEST(Lease, RecallsGiveBackWhatIsAtHandAndNoMore) {
  test::TestDaemon daemon;
  auto account = open_account(daemon);
  ASSERT_TRUE(account->charge(0, kMiB / 2).ok());  // a chunk ahead is at hand
  EXPECT_EQ(daemon.recall(kMiB / 4), kMiB / 4);
  EXPECT_EQ(daemon.recall(64 * kMiB), kMiB - kMiB / 4);
  EXPECT_EQ(daemon.recall(1), 0u);
  EXPECT_EQ(daemon.granted_bytes(), kMiB / 2);
  EXPECT_TRUE(account->charge(0, kMiB).ok());
}

TEST(Lease, UnderALoweredLimitNothingAtHandIsUsed) {
  test::TestDaemon daemon;
  auto account = open_account(daemon);
  ASSERT_TRUE(account->charge(0, 2 * kMiB).ok());  // a chunk ahead is at hand
  daemon.set_limit(kMiB);
  daemon.set_lowered(true);
  EXPECT_EQ(account->charge(0, 1).code(), Code::kResourceExhausted);
  EXPECT_TRUE(eventually([&] { return daemon.granted_bytes() == 2 * kMiB; }));
  account->credit(0, kMiB / 2);
  EXPECT_TRUE(eventually([&] { return daemon.granted_bytes() == 2 * kMiB - kMiB / 2; }));
  EXPECT_EQ(account->charge(0, 1).code(), Code::kResourceExhausted);
  account->credit(0, kMiB);
  daemon.set_lowered(false);
  EXPECT_TRUE(account->charge(0, kMiB / 2).ok());
}

TEST(Lease, ThreadsTogetherNeverExceedTheLimit) {
  test::TestDaemon daemon({8 * kMiB, kMiB, {"GPU-00000000-0000-0000-0000-000000000000"}});
  auto account = open_account(daemon);
  std::atomic<uint64_t> total{0};
  std::atomic<bool> exceeded{false};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(t);
      for (int i = 0; i < 400; ++i) {
        uint64_t bytes = 1 + random() % (2 * kMiB);
        if (!account->charge(0, bytes).ok()) continue;
        if (total.fetch_add(bytes) + bytes > 8 * kMiB) exceeded = true;
        total.fetch_sub(bytes);
        account->credit(0, bytes);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(exceeded);
  EXPECT_EQ(daemon.counters().used_bytes, 0u);
  EXPECT_LE(daemon.counters().peak_bytes, 8 * kMiB);
}

TEST(Lease, WrongTokenAndNobodyThereAreRefusedWithAReason) {
  test::TestDaemon daemon;
  SliceToken wrong{};
  auto refused = Account::open(daemon.socket_path(), wrong);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.status().message().find("no slice has this token"), std::string::npos);
  auto nobody = Account::open(daemon.socket_path() + "x", daemon.token());
  ASSERT_FALSE(nobody.ok());
  EXPECT_NE(nobody.status().message().find("no tesserad"), std::string::npos);
  EXPECT_FALSE(Account::open(std::string(200, 'x'), wrong).ok());
}

TEST(Lease, WithoutTheDaemonWhatIsGrantedGoesOnServing) {
  test::TestDaemon daemon;
  auto account = open_account(daemon);
  ASSERT_TRUE(account->charge(0, kMiB).ok());
  daemon.stop();
  EXPECT_TRUE(account->charge(0, kMiB).ok());
  EXPECT_EQ(account->charge(0, 4 * kMiB).code(), Code::kUnavailable);
  EXPECT_EQ(account->slice_used_bytes(0), 2 * kMiB);
  account->credit(0, 2 * kMiB);
  EXPECT_TRUE(account->charge(0, 2 * kMiB).ok());
}

TEST(Lease, AForkedChildCanAttachAnewAndItsParentGoesOn) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "ThreadSanitizer ends a forked child that starts threads";
#endif
  test::TestDaemon daemon;
  auto account = open_account(daemon);
  ASSERT_TRUE(account->charge(0, kMiB).ok());
  pid_t child = fork();
  if (child == 0) {
    account->abandon_in_child();
    auto own = Account::open(daemon.socket_path(), daemon.token());
    bool good = own.ok() && own.value()->charge(0, kMiB).ok();
    _exit(good ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(account->charge(0, 8 * kMiB).ok());
  EXPECT_TRUE(eventually([&] { return daemon.connection_count() == 1; }));
}

}  // namespace
}  // namespace tessera::vgpu

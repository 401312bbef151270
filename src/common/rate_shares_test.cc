#include "common/rate_shares.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>

#include "common/token_bucket.h"

namespace tessera {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;
constexpr uint64_t kMillisecond = 1'000'000;

TEST(TokenBucket, NeverLetsMoreGoThanRateAndBurst) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 50; ++round) {
    const uint64_t rate = 1000 + random() % 2'000'000'000, burst = 1 + random() % 1'000'000;
    uint64_t now = random() % (uint64_t{1} << 62), gone = 0;
    const uint64_t start = now;
    TokenBucket bucket(rate, burst, now);
    for (int step = 0; step < 1000; ++step) {
      now += random() % kMillisecond;
      gone += bucket.take(random() % (2 * burst), now);
      const auto most = static_cast<unsigned __int128>(rate) * (now - start) / kSecond + burst;
      ASSERT_LE(gone, most);
    }
  }
}

TEST(TokenBucket, WhoeverWaitsAsLongAsItSaysGetsItsRateToOnePercent) {
  std::mt19937_64 random(2);
  for (int round = 0; round < 50; ++round) {
    const uint64_t rate = 100'000 + random() % 10'000'000'000, burst = std::max<uint64_t>(rate / 500, 1500);
    TokenBucket bucket(rate, burst, 0);
    bucket.take(burst, 0);
    uint64_t now = 0, gone = 0;
    while (true) {
      const uint64_t wanted = 1 + random() % burst;
      const uint64_t next = bucket.when(wanted, now);
      ASSERT_GE(next, now);
      if (next > kSecond) break;
      now = next;
      ASSERT_EQ(bucket.take(wanted, now), wanted) << "woken too early";
      gone += wanted;
    }
    EXPECT_NEAR(static_cast<double>(gone), static_cast<double>(rate), 0.01 * static_cast<double>(rate));
  }
}

TEST(TokenBucket, ClocksMayStandStillAndRatesMayBeNone) {
  TokenBucket bucket(1000, 500, kSecond);
  EXPECT_EQ(bucket.take(400, kSecond), 400u);
  EXPECT_EQ(bucket.take(400, 0), 100u);
  EXPECT_EQ(bucket.when(1, kSecond), kSecond + kMillisecond);
  bucket.set_rate(0, kSecond);
  EXPECT_EQ(bucket.when(1, 2 * kSecond), UINT64_MAX);
}

uint64_t sum(const std::vector<uint64_t>& rates) {
  return std::accumulate(rates.begin(), rates.end(), uint64_t{0});
}

RateClaim claim(uint64_t guaranteed, uint64_t ceiling, uint32_t weight, uint64_t wanted = UINT64_MAX) {
  return {{guaranteed, ceiling, weight}, wanted};
}

TEST(RateShares, LendsWhatOthersLeave) {
  const RateClaim both[] = {claim(600, UINT64_MAX, 100), claim(400, UINT64_MAX, 100)};
  EXPECT_EQ(share_rate(1000, both), (std::vector<uint64_t>{600, 400}));
  const RateClaim idle[] = {claim(600, UINT64_MAX, 100, 0), claim(400, UINT64_MAX, 100)};
  EXPECT_EQ(share_rate(1000, idle), (std::vector<uint64_t>{0, 1000}));
  const RateClaim ceiling[] = {claim(600, UINT64_MAX, 100, 100), claim(400, 500, 100)};
  EXPECT_EQ(share_rate(1000, ceiling), (std::vector<uint64_t>{100, 500}));
  const RateClaim weights[] = {claim(0, UINT64_MAX, 300), claim(0, UINT64_MAX, 100)};
  EXPECT_EQ(share_rate(1000, weights), (std::vector<uint64_t>{750, 250}));
  const RateClaim promised_twice[] = {claim(1500, UINT64_MAX, 1), claim(500, UINT64_MAX, 1)};
  EXPECT_EQ(share_rate(1000, promised_twice), (std::vector<uint64_t>{750, 250}));
  EXPECT_TRUE(share_rate(1000, {}).empty());
}

TEST(RateShares, KeepEveryPromiseWhateverIsClaimed) {
  std::mt19937_64 random(3);
  const auto any = [&](uint64_t most) { return random() % 5 == 0 ? UINT64_MAX : random() % most; };
  for (int round = 0; round < 5000; ++round) {
    const uint64_t total = any(1'000'000);
    std::vector<RateClaim> claims;
    for (size_t i = random() % 20; i > 0; --i)
      claims.push_back(
          claim(any(200'000), any(400'000), static_cast<uint32_t>(random() % 1000), any(400'000)));
    const std::vector<uint64_t> rates = share_rate(total, claims);
    ASSERT_EQ(rates.size(), claims.size());
    const uint64_t given = sum(rates), bound = std::min(total, uint64_t{1} << 48);
    ASSERT_LE(given, bound);
    uint64_t promised = 0;
    bool all_full = true;
    for (size_t i = 0; i < claims.size(); ++i) {
      const uint64_t most = std::min({claims[i].wanted, claims[i].terms.ceiling, uint64_t{1} << 48});
      ASSERT_LE(rates[i], most);
      promised += std::min(claims[i].terms.guaranteed, most);
      all_full = all_full && rates[i] == most;
    }
    // Nothing is left over while somebody wants more, but what rounding loses: a byte a second for each.
    ASSERT_TRUE(all_full || bound - given <= claims.size());
    for (size_t i = 0; promised <= bound && i < claims.size(); ++i) {
      const uint64_t most = std::min({claims[i].wanted, claims[i].terms.ceiling, uint64_t{1} << 48});
      ASSERT_GE(rates[i], std::min(claims[i].terms.guaranteed, most));
    }
  }
}

// What tenants get in `seconds` of virtual time, each with the sessions of its claim: shares are made anew
// every 10 ms of what sessions wanted in the 10 ms before, and buckets hold them.
class Link {
 public:
  Link(uint64_t total, std::vector<TenantClaim> tenants) : total_(total), tenants_(std::move(tenants)) {
    for (const TenantClaim& tenant : tenants_) {
      gone_.emplace_back(tenant.sessions.size());
      buckets_.emplace_back(tenant.sessions.size(), TokenBucket(0, kBurst, 0));
    }
  }

  void run(uint64_t until_ns) {
    for (auto& of_tenant : gone_) std::fill(of_tenant.begin(), of_tenant.end(), 0);
    for (; now_ns_ < until_ns; now_ns_ += kTick) {
      if (now_ns_ % (10 * kTick) == 0) share();
      for (size_t i = 0; i < tenants_.size(); ++i)
        for (size_t j = 0; j < tenants_[i].sessions.size(); ++j) {
          const uint64_t wanted = tenants_[i].sessions[j].wanted;
          gone_[i][j] += buckets_[i][j].take(std::min<uint64_t>(wanted / 1000, kBurst), now_ns_);
        }
    }
  }
  std::vector<TenantClaim>& tenants() { return tenants_; }
  double gone(size_t tenant) const { return static_cast<double>(sum(gone_[tenant])); }
  double gone(size_t tenant, size_t session) const { return static_cast<double>(gone_[tenant][session]); }

 private:
  static constexpr uint64_t kTick = kMillisecond, kBurst = 200'000;

  void share() {
    const auto rates = share_rates(total_, tenants_);
    for (size_t i = 0; i < rates.size(); ++i)
      for (size_t j = 0; j < rates[i].size(); ++j) buckets_[i][j].set_rate(rates[i][j], now_ns_);
  }

  const uint64_t total_;
  std::vector<TenantClaim> tenants_;
  std::vector<std::vector<uint64_t>> gone_;
  std::vector<std::vector<TokenBucket>> buckets_;
  uint64_t now_ns_ = 0;
};

TEST(Link, RatesHoldToOnePercentOverASecond) {
  constexpr uint64_t kTotal = 125'000'000;
  Link link(kTotal, {{{50'000'000, UINT64_MAX, 100}, {claim(0, UINT64_MAX, 100), claim(0, UINT64_MAX, 300)}},
                     {{25'000'000, 30'000'000, 100}, {claim(0, UINT64_MAX, 100)}},
                     {{0, UINT64_MAX, 100}, {claim(0, UINT64_MAX, 100)}}});
  link.run(kSecond);  // the burst of the beginning goes
  link.run(2 * kSecond);
  const auto near = [](double got, double wanted) { EXPECT_NEAR(got, wanted, 0.01 * wanted); };
  // 50 M of left are lent alike, the second up to its ceiling: 5 M of that; the others have 22.5 M each.
  near(link.gone(1), 30e6);
  near(link.gone(0), 50e6 + 22.5e6);
  near(link.gone(2), 22.5e6);
  near(link.gone(0, 0), 72.5e6 / 4);
  near(link.gone(0, 1), 72.5e6 * 3 / 4);
  // The first has nothing to send: others have it, within the second.
  for (RateClaim& session : link.tenants()[0].sessions) session.wanted = 0;
  link.run(3 * kSecond);
  near(link.gone(1), 30e6);
  near(link.gone(2), 95e6);
  // And it has it back as soon as it wants it.
  for (RateClaim& session : link.tenants()[0].sessions) session.wanted = UINT64_MAX;
  link.run(4 * kSecond);
  EXPECT_GE(link.gone(0), 0.99 * 72.5e6);
}

TEST(Link, RandomTenantsGetWhatTheyArePromisedAndTheLinkIsFull) {
  std::mt19937_64 random(4);
  for (int round = 0; round < 20; ++round) {
    constexpr uint64_t kTotal = 100'000'000;
    std::vector<TenantClaim> tenants;
    const size_t count = 2 + random() % 6;
    for (size_t i = 0; i < count; ++i) {
      TenantClaim tenant{{random() % (kTotal / count), UINT64_MAX, static_cast<uint32_t>(1 + random() % 500)},
                         {}};
      for (size_t j = 1 + random() % 3; j > 0; --j) tenant.sessions.push_back(claim(0, UINT64_MAX, 100));
      tenants.push_back(tenant);
    }
    Link link(kTotal, tenants);
    link.run(kSecond);
    link.run(2 * kSecond);
    double all = 0;
    for (size_t i = 0; i < count; ++i) {
      EXPECT_GE(link.gone(i), 0.99 * static_cast<double>(tenants[i].terms.guaranteed));
      EXPECT_GT(link.gone(i), 0);  // nobody starves
      all += link.gone(i);
    }
    EXPECT_NEAR(all, static_cast<double>(kTotal), 0.01 * static_cast<double>(kTotal));
  }
}

}  // namespace
}  // namespace tessera

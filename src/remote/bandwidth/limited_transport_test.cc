#include "remote/bandwidth/limited_transport.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <random>
#include <thread>

#include "common/clock.h"
#include "remote/bandwidth/bandwidth_board.h"
#include "remote/session/exchange.h"
#include "remote/testing/certificates.h"
#include "remote/transport/shm_transport.h"
#include "remote/transport/socket_transport.h"

namespace tessera::remote {
namespace {

uint64_t soon() { return monotonic_ns() + 20'000'000'000; }

std::pair<UniqueFd, UniqueFd> socket_pair() {
  int ends[2];
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

// A client, and the server's end of a session with that page.
struct Limited {
  std::unique_ptr<Transport> client, server;
  SharedBandwidthPage page = make_bandwidth_page().value();
  std::shared_ptr<SessionBandwidth> bandwidth = std::make_shared<SessionBandwidth>(page.get());

  explicit Limited(Flavour flavour) {
    auto [one, other] = socket_pair();
    if (flavour == Flavour::kShm) {
      client = ShmTransport::offer(std::move(one)).value();
      limit(ShmTransport::accept(std::move(other), std::chrono::seconds(5)).value());
    } else if (flavour == Flavour::kTls) {
      begin_tls(std::move(one), std::move(other));
    } else {
      client = SocketTransport::create(std::move(one), "unix").value();
      limit(SocketTransport::create(std::move(other), "unix").value());
    }
  }

 private:
  void limit(std::unique_ptr<Transport> inner) {
    server = std::make_unique<LimitedTransport>(std::move(inner), bandwidth);
  }
  void begin_tls(UniqueFd one, UniqueFd other) {
    Certificates certificates;
    const auto files = certificates.issue("localhost");
    const auto trust = TlsContext::client({certificates.ca(), "", ""}).value();
    const auto own = TlsContext::server({files.certificate, files.key, ""}).value();
    std::unique_ptr<Transport> inner;
    std::jthread serving([&] { inner = start_tls(std::move(other), own, "", soon()).value(); });
    client = start_tls(std::move(one), trust, "localhost", soon()).value();
    serving.join();
    limit(std::move(inner));
  }
};

std::vector<std::byte> some_bytes(size_t count) {
  std::mt19937_64 random(1);
  std::vector<std::byte> bytes(count);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

// Both ways at once; how long it took.
uint64_t exchange(Limited& limited, const std::vector<std::byte>& bytes) {
  const uint64_t before = monotonic_ns();
  std::vector<std::byte> down(bytes.size()), up(bytes.size());
  {
    std::jthread a([&] { EXPECT_TRUE(send_all(*limited.server, bytes, soon()).ok()); });
    std::jthread b([&] { EXPECT_TRUE(receive_exactly(*limited.server, up, soon()).ok()); });
    std::jthread c([&] { EXPECT_TRUE(send_all(*limited.client, bytes, soon()).ok()); });
    EXPECT_TRUE(receive_exactly(*limited.client, down, soon()).ok());
  }
  EXPECT_TRUE(down == bytes);
  EXPECT_TRUE(up == bytes);
  return monotonic_ns() - before;
}

class EveryLimited : public testing::TestWithParam<Flavour> {};
INSTANTIATE_TEST_SUITE_P(Flavours, EveryLimited,
                         testing::Values(Flavour::kUnix, Flavour::kTls, Flavour::kShm),
                         [](const auto& of) { return std::string(flavour_name(of.param)); });

TEST_P(EveryLimited, NothingIsLostAndNothingIsFasterThanItMayBe) {
  Limited limited(GetParam());
  const std::vector<std::byte> bytes = some_bytes(3'000'000);
  exchange(limited, bytes);  // without a limit
  constexpr uint64_t kRate = 20'000'000;
  limited.page->download.rate = limited.page->upload.rate = kRate;
  const uint64_t took_ns = exchange(limited, bytes);
  EXPECT_GE(took_ns, (bytes.size() - SessionBandwidth::kBurstBytes) * 1'000'000'000 / kRate);
  EXPECT_EQ(limited.page->download.gone, 2 * bytes.size());
  EXPECT_EQ(limited.page->upload.gone, 2 * bytes.size());
  EXPECT_GT(limited.page->download.held_up, 0u);
}

TEST(Limited, AnEndIsSeenWhateverTheRate) {
  Limited limited(Flavour::kUnix);
  limited.page->download.rate = limited.page->upload.rate = 1;
  std::vector<std::byte> bytes(SessionBandwidth::kBurstBytes + 1);
  Status sent;
  std::jthread sending([&] { sent = send_all(*limited.server, bytes, monotonic_ns() + 300'000'000); });
  sending.join();
  EXPECT_EQ(sent.code(), Code::kDeadlineExceeded);
  limited.client.reset();
  std::array<std::byte, 10> space;
  EXPECT_EQ(receive_exactly(*limited.server, space, soon()).code(), Code::kUnavailable);
}

TEST(Limited, SeveralConnectionsOfASessionShareItsRate) {
  Limited limited(Flavour::kUnix);
  auto [one, other] = socket_pair();
  auto client = SocketTransport::create(std::move(one), "unix").value();
  LimitedTransport stripe(SocketTransport::create(std::move(other), "unix").value(), limited.bandwidth);
  constexpr uint64_t kRate = 10'000'000;
  limited.page->download.rate = kRate;
  const std::vector<std::byte> bytes = some_bytes(1'000'000);
  std::vector<std::byte> a(bytes.size()), b(bytes.size());
  const uint64_t before = monotonic_ns();
  {
    std::jthread first([&] { EXPECT_TRUE(send_all(*limited.server, bytes, soon()).ok()); });
    std::jthread second([&] { EXPECT_TRUE(send_all(stripe, bytes, soon()).ok()); });
    std::jthread reading([&] { EXPECT_TRUE(receive_exactly(*limited.client, a, soon()).ok()); });
    EXPECT_TRUE(receive_exactly(*client, b, soon()).ok());
  }
  EXPECT_GE(monotonic_ns() - before,
            (2 * bytes.size() - SessionBandwidth::kBurstBytes) * 1'000'000'000 / kRate);
  EXPECT_TRUE(a == bytes && b == bytes);
}

TEST(BandwidthBoard, WhoIsHeldUpGetsWhatOthersLeave) {
  BandwidthOptions options;
  options.download = 10'000'000;
  options.identities["alice"].download.guaranteed = 6'000'000;
  options.identities["carol"].upload.ceiling = 5'000;
  const auto alice = make_bandwidth_page().value(), bob = make_bandwidth_page().value();
  BandwidthBoard board;
  uint64_t now_ns = 1'000'000'000;
  board.add(1, "alice", alice.get());
  board.add(2, "bob", bob.get());
  const auto tick = [&] { board.share(options, now_ns += BandwidthBoard::kPeriodNs); };
  tick();
  bob->download.held_up = 1;
  tick();
  EXPECT_GE(bob->download.rate, 8'900'000u);  // alice has headroom to begin
  EXPECT_GT(alice->download.rate, 0u);
  alice->download.held_up = 1;
  bob->download.held_up = 2;
  tick();
  EXPECT_GE(alice->download.rate, 6'000'000u);
  EXPECT_LE(alice->download.rate + bob->download.rate, options.download);
  EXPECT_EQ(alice->upload.rate, BandwidthPage::kUnlimited);
  board.add(3, "carol", bob.get());
  tick();
  EXPECT_LE(bob->upload.rate, 5'000u);
}

TEST(LimitedArea, WhatGoesThroughSharedSlotsCountsAndIsHeldUp) {
  Limited limited(Flavour::kShm);
  EXPECT_NE(limited.server->area_in(), nullptr);
  EXPECT_TRUE(limited.server->is_area_open());
  limited.server->count_area(100, 200);
  EXPECT_EQ(limited.page->download.gone.load(), 100u);
  EXPECT_EQ(limited.page->upload.gone.load(), 200u);
  constexpr uint64_t kRate = 20'000'000, kBytes = 2'000'000;
  limited.page->download.rate = limited.page->upload.rate = kRate;
  EXPECT_FALSE(limited.server->is_area_open());
  const uint64_t before = monotonic_ns();
  limited.server->count_area(0, kBytes);
  EXPECT_GE(monotonic_ns() - before, (kBytes - SessionBandwidth::kBurstBytes) * 1'000'000'000 / kRate);
  EXPECT_EQ(limited.page->upload.gone.load(), 200 + kBytes);
}

}  // namespace
}  // namespace tessera::remote

#include "remote/link/link.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <random>
#include <thread>

#include "common/fd.h"
#include "remote/transport/socket_transport.h"

namespace tessera::remote {
namespace {

struct Ends {
  std::unique_ptr<Transport> one, other;
};

// A connection that breaks once so many bytes have been sent over it, in both directions together, or never.
class Breaking final : public Transport {
 public:
  Breaking(std::unique_ptr<Transport> inner, uint64_t bytes) : inner_(std::move(inner)), left_(bytes) {}
  Result<size_t> send(std::span<const iovec> pieces) override {
    if (left_ == 0) {
      inner_->shutdown();
      return Status(Code::kUnavailable, "broken on purpose");
    }
    iovec piece = pieces[0];
    piece.iov_len = std::min<uint64_t>(piece.iov_len, left_);
    auto sent = inner_->send(std::span(&piece, 1));
    if (sent.ok()) left_ -= *sent;
    return sent;
  }
  Result<size_t> receive(std::span<std::byte> space) override { return inner_->receive(space); }
  Result<unsigned> wait(unsigned wanted, std::chrono::nanoseconds limit) override {
    return inner_->wait(wanted, limit);
  }
  void shutdown() override { inner_->shutdown(); }
  const char* kind() const override { return "breaking"; }

 private:
  std::unique_ptr<Transport> inner_;
  uint64_t left_;
};

Ends connect() {
  int sockets[2];
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sockets), 0);
  auto one = SocketTransport::create(UniqueFd(sockets[0]), "unix");
  auto other = SocketTransport::create(UniqueFd(sockets[1]), "unix");
  return {std::move(*one), std::move(*other)};
}

// New connections for two links: each pair is made when the first of them asks.
class Meeting {
 public:
  explicit Meeting(uint64_t seed) : random_(seed) {}
  Result<std::unique_ptr<Transport>> come(int side) {
    std::unique_lock lock(lock_);
    const int mine = asked_[side]++;
    while (static_cast<int>(pairs_.size()) <= mine) {
      Ends ends = connect();
      const uint64_t bytes = pairs_.size() < 40 ? 1000 + random_() % 300'000 : ~uint64_t{0};
      pairs_.push_back({std::make_unique<Breaking>(std::move(ends.one), bytes),
                        std::make_unique<Breaking>(std::move(ends.other), bytes)});
    }
    return side == 0 ? std::move(pairs_[mine].one) : std::move(pairs_[mine].other);
  }

 private:
  std::mutex lock_;
  std::mt19937_64 random_;
  int asked_[2] = {};
  std::vector<Ends> pairs_;
};

std::byte byte_at(uint64_t position) { return static_cast<std::byte>((position * 2654435761u) >> 13); }

void send_all(Link& link, uint64_t bytes) {
  std::vector<std::byte> piece(100'000);
  for (uint64_t at = 0; at < bytes; at += piece.size()) {
    for (size_t i = 0; i < piece.size(); ++i) piece[i] = byte_at(at + i);
    uint64_t offset = 0;
    {
      Link::Sender sender(link);
      if (at / piece.size() % 2 == 0) {
        sender.append(piece);
      } else {
        offset = sender.append_borrowed(piece);
      }
    }
    ASSERT_TRUE((offset == 0 ? link.flush() : link.wait_taken(offset)).ok());
  }
}

void expect_all(Link& link, uint64_t bytes) {
  std::vector<std::byte> piece(77'777);
  for (uint64_t at = 0; at < bytes;) {
    const uint64_t part = std::min<uint64_t>(bytes - at, piece.size());
    ASSERT_TRUE(link.read(std::span(piece).first(part)).ok());
    for (uint64_t i = 0; i < part; ++i) ASSERT_EQ(piece[i], byte_at(at + i)) << at + i;
    at += part;
  }
}

// Both links are looked after until both sides have all: what a side has had may have been said on a
// connection that broke, and is said again on the next one, which that side has to come to.
void exchange(Link& one, Link& other, uint64_t bytes) {
  std::atomic<bool> is_done{false};
  const auto look_after = [&is_done](Link& link) {
    while (!is_done) {
      (void)link.readable(std::chrono::milliseconds(1));
      std::this_thread::sleep_for(std::chrono::milliseconds(1));  // a reader is there mostly
    }
  };
  std::thread keepers[] = {std::thread([&] { look_after(one); }), std::thread([&] { look_after(other); })};
  std::thread threads[] = {
      std::thread([&] { send_all(one, bytes); }), std::thread([&] { send_all(other, bytes); }),
      std::thread([&] { expect_all(one, bytes); }), std::thread([&] { expect_all(other, bytes); })};
  for (std::thread& thread : threads) thread.join();
  is_done = true;
  for (std::thread& keeper : keepers) keeper.join();
}

TEST(Link, BytesArriveInTheirOrderBothWays) {
  Ends ends = connect();
  Link one(std::move(ends.one), {}), other(std::move(ends.other), {});
  exchange(one, other, 30'000'000);
  EXPECT_EQ(one.figures().reconnects, 0u);
}

TEST(Link, ChecksumsTakeNothingAway) {
  Ends ends = connect();
  LinkOptions options;
  options.checked = true;
  Link one(std::move(ends.one), options), other(std::move(ends.other), options);
  exchange(one, other, 10'000'000);
}

// Whatever breaks, and wherever: nothing is lost, nothing comes twice.
TEST(Link, StreamsOutliveTheirConnections) {
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    Meeting meeting(seed);
    LinkOptions options[2];
    for (int side : {0, 1}) {
      options[side].checked = seed % 2 == 0;
      options[side].reconnect = [&meeting, side](const Status&) { return meeting.come(side); };
    }
    auto first = meeting.come(0), second = meeting.come(1);
    Link one(std::move(*first), options[0]), other(std::move(*second), options[1]);
    exchange(one, other, 5'000'000);
    EXPECT_GT(one.figures().reconnects, 3u) << "seed " << seed;
  }
}

TEST(Link, WithoutAWayBackABrokenConnectionIsTheEnd) {
  Ends ends = connect();
  Link one(std::move(ends.one), {});
  ends.other->shutdown();
  std::byte byte;
  EXPECT_EQ(one.read(std::span(&byte, 1)).code(), Code::kUnavailable);
  EXPECT_FALSE(one.failure().ok());
  EXPECT_FALSE(one.flush().ok());
}

// Neither side has to hear of the other before it says something.
TEST(Link, TheFirstConnectionNeedsNoWordOfThePeer) {
  Ends ends = connect();
  Link link(std::move(ends.one), {});
  {
    Link::Sender sender(link);
    sender.append(std::as_bytes(std::span("hello", 5)));
  }
  ASSERT_TRUE(link.flush().ok());
  std::byte space[256];
  auto came = ends.other->receive(space);
  ASSERT_TRUE(came.ok());
  LinkFrame frames[2];
  ASSERT_EQ(*came, sizeof frames + 5);
  memcpy(frames, space, sizeof frames);
  EXPECT_EQ(frames[0].type, static_cast<uint8_t>(FrameType::kStart));
  EXPECT_EQ(frames[1].type, static_cast<uint8_t>(FrameType::kData));
  EXPECT_EQ(memcmp(space + sizeof frames, "hello", 5), 0);
}

// Hostile frames end the session; none of them reads or writes beyond its bounds.
TEST(Link, WrongFramesAreRefused) {
  const auto refused = [](LinkFrame frame, const char* what) {
    Ends ends = connect();
    Link link(std::move(ends.one), {});
    LinkFrame start;
    start.type = static_cast<uint8_t>(FrameType::kStart);
    std::vector<std::byte> bytes(2 * sizeof frame + 64);
    memcpy(bytes.data(), &start, sizeof start);
    memcpy(bytes.data() + sizeof start, &frame, sizeof frame);
    const iovec piece{bytes.data(), bytes.size()};
    ASSERT_TRUE(ends.other->send(std::span(&piece, 1)).ok());
    std::byte space[256];
    EXPECT_EQ(link.read(space).code(), Code::kInvalidData) << what;
  };
  LinkFrame data;
  data.type = static_cast<uint8_t>(FrameType::kData);
  refused(data, "no bytes");
  data.length = kMaxFrameBytes + 1;
  refused(data, "too long");
  data.length = 16;
  data.value = 5;
  refused(data, "not what comes next");
  LinkFrame unknown;
  unknown.type = 99;
  refused(unknown, "unknown");
  LinkFrame start;
  start.type = static_cast<uint8_t>(FrameType::kStart);
  refused(start, "a second start");
}

TEST(Link, NothingCanHaveArrivedBeforeTheFirstConnection) {
  Ends ends = connect();
  Link link(std::move(ends.one), {});
  LinkFrame start;
  start.type = static_cast<uint8_t>(FrameType::kStart);
  start.value = 1;
  const iovec piece{&start, sizeof start};
  ASSERT_TRUE(ends.other->send(std::span(&piece, 1)).ok());
  std::byte space[256];
  EXPECT_EQ(link.read(space).code(), Code::kInvalidData);
}

TEST(Link, AcknowledgementsOfWhatWasNeverSentAreRefused) {
  Ends ends = connect();
  LinkOptions options;
  options.reconnect = [](const Status& why) -> Result<std::unique_ptr<Transport>> { return why; };
  Link link(std::move(ends.one), options);
  LinkFrame frames[2];
  frames[0].type = static_cast<uint8_t>(FrameType::kStart);
  frames[1].type = static_cast<uint8_t>(FrameType::kAck);
  frames[1].value = 1000;
  const iovec piece{frames, sizeof frames};
  ASSERT_TRUE(ends.other->send(std::span(&piece, 1)).ok());
  {
    Link::Sender sender(link);
    const std::byte byte{1};
    sender.append(ByteSpan(&byte, 1));
  }
  (void)link.flush();
  (void)link.readable(std::chrono::milliseconds(100));
  EXPECT_FALSE(link.flush().ok() && link.failure().ok());
}

// A connection without room until some thread has waited for it so often; it counts who waits at once.
class Crowded final : public Transport {
 public:
  explicit Crowded(std::unique_ptr<Transport> inner) : inner_(std::move(inner)) {}
  Result<size_t> send(std::span<const iovec> pieces) override {
    if (waits_.load() < kWaits) return size_t{0};
    return inner_->send(pieces);
  }
  Result<size_t> receive(std::span<std::byte> space) override { return inner_->receive(space); }
  Result<unsigned> wait(unsigned wanted, std::chrono::nanoseconds limit) override {
    if ((wanted & kWritable) == 0) return inner_->wait(wanted, limit);
    int most = most_.load();
    for (const int now = ++waiting_; now > most && !most_.compare_exchange_weak(most, now);) {
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    --waiting_;
    ++waits_;
    return static_cast<unsigned>(kWritable);
  }
  void shutdown() override { inner_->shutdown(); }
  const char* kind() const override { return "crowded"; }
  int most() const { return most_.load(); }

 private:
  static constexpr int kWaits = 50;
  std::unique_ptr<Transport> inner_;
  std::atomic<int> waiting_{0}, waits_{0}, most_{0};
};

// A connection tells of its room once: a second thread that sleeps for it would miss it.
TEST(Link, OneThreadWaitsForRoomAndTellsTheOthers) {
  Ends ends = connect();
  auto crowded = std::make_unique<Crowded>(std::move(ends.one));
  const Crowded& seen = *crowded;
  Link link(std::move(crowded), {}), peer(std::move(ends.other), {});
  constexpr size_t kThreads = 4, kEach = 200;
  std::vector<std::thread> threads;
  for (size_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (size_t j = 0; j < kEach; ++j) {
        Link::Sender sender(link);
        const std::byte bytes[64] = {};
        sender.append(bytes);
        EXPECT_TRUE(sender.flush().ok());
      }
    });
  }
  std::vector<std::byte> all(kThreads * kEach * 64);
  EXPECT_TRUE(peer.flush().ok());  // its start
  EXPECT_TRUE(peer.read(all).ok());
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(seen.most(), 1);
}

}  // namespace
}  // namespace tessera::remote

// Shared memory whose other owner is not to be trusted.
#include "remote/transport/shm_transport.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <memory>
#include <set>
#include <thread>
#include <vector>

#include "remote/transport/passed_files.h"

namespace tessera::remote {
namespace {

constexpr std::chrono::milliseconds kShortly(50);
constexpr size_t kRing = ShmTransport::kLeastRingBytes;

struct Ends {
  UniqueFd client, server;
};

Ends socket_pair(int type = SOCK_STREAM) {
  int ends[2];
  EXPECT_EQ(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends), 0);
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

UniqueFd memory(size_t bytes, int seals) {
  UniqueFd file(memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  EXPECT_EQ(ftruncate(file.get(), static_cast<off_t>(bytes)), 0);
  EXPECT_EQ(fcntl(file.get(), F_ADD_SEALS, seals), 0);
  return file;
}

constexpr int kGood = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
const size_t kGoodBytes = ShmTransport::memory_bytes(kRing);

struct Offer {
  uint32_t magic = 0x4d485354;
  uint32_t ring_bytes = kRing;
};

// What the server says to this offer.
Status offered(const Offer& offer, const std::vector<int>& files) {
  Ends ends = socket_pair();
  EXPECT_TRUE(pass_files(ends.client.get(), std::as_bytes(std::span(&offer, 1)), files).ok());
  return ShmTransport::accept(std::move(ends.server), kShortly).status();
}

TEST(ShmOffer, AGoodOneIsTaken) {
  const Ends room = socket_pair();
  EXPECT_TRUE(offered({}, {memory(kGoodBytes, kGood).get(), room.client.get()}).ok());
}

TEST(ShmOffer, WhatIsNotWhatWasSaidIsRefused) {
  const Ends room = socket_pair(), packets = socket_pair(SOCK_SEQPACKET);
  const UniqueFd good = memory(kGoodBytes, kGood);
  const UniqueFd inet(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const UniqueFd file(open("/dev/null", O_RDWR | O_CLOEXEC));
  const std::pair<Status, const char*> cases[] = {
      {offered({0, kRing}, {good.get(), room.client.get()}), "something else"},
      {offered({}, {good.get()}), "something else"},
      {offered({}, {}), "something else"},
      {offered({}, {good.get(), room.client.get(), room.server.get()}), "more files"},
      {offered({0x4d485354, 0}, {good.get(), room.client.get()}), "out of bounds"},
      {offered({0x4d485354, kRing + 1}, {good.get(), room.client.get()}), "out of bounds"},
      {offered({0x4d485354, 1u << 31}, {good.get(), room.client.get()}), "out of bounds"},
      {offered({0x4d485354, 2 * kRing}, {good.get(), room.client.get()}), "its size is not"},
      {offered({}, {memory(kGoodBytes - 1, kGood).get(), room.client.get()}), "its size is not"},
      {offered({}, {memory(kGoodBytes, F_SEAL_GROW | F_SEAL_SEAL).get(), room.client.get()}),
       "no sealed memfd"},
      {offered({}, {memory(kGoodBytes, F_SEAL_SHRINK | F_SEAL_GROW).get(), room.client.get()}),
       "no sealed memfd"},
      {offered({}, {memory(kGoodBytes, kGood | F_SEAL_WRITE).get(), room.client.get()}), "against writing"},
      {offered({}, {file.get(), room.client.get()}), "no sealed memfd"},
      {offered({}, {good.get(), file.get()}), "no Unix socket"},
      {offered({}, {good.get(), inet.get()}), "no Unix socket"},
      {offered({}, {good.get(), packets.client.get()}), "no stream socket"},
  };
  for (const auto& [status, what] : cases) {
    EXPECT_EQ(status.code(), Code::kInvalidData) << what;
    EXPECT_NE(status.message().find(what), std::string::npos) << status.message();
  }
}

TEST(ShmOffer, IsNotWaitedForWithoutEnd) {
  Ends ends = socket_pair();
  EXPECT_EQ(ShmTransport::accept(std::move(ends.server), kShortly).status().code(), Code::kDeadlineExceeded);
}

// A server's end, and the memory as a hostile client sees it.
struct Hostile {
  Ends ends = socket_pair();
  Ends room = socket_pair();
  UniqueFd file = memory(kGoodBytes, kGood);
  RingControl* rings =
      static_cast<RingControl*>(mmap(nullptr, kGoodBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0));
  std::unique_ptr<ShmTransport> server;

  Hostile() {
    const Offer offer;
    const int files[] = {file.get(), room.client.get()};
    EXPECT_TRUE(pass_files(ends.client.get(), std::as_bytes(std::span(&offer, 1)), files).ok());
    server = ShmTransport::accept(std::move(ends.server), kShortly).value();
  }
  ~Hostile() { munmap(rings, kGoodBytes); }
};

TEST(HostileRing, MoreThanFitsWasNeverWritten) {
  for (const uint64_t written : {uint64_t{kRing + 1}, uint64_t{1} << 63, ~uint64_t{0}}) {
    Hostile hostile;
    hostile.rings[0].written = written;
    std::vector<std::byte> space(1 << 20);
    EXPECT_EQ(hostile.server->wait(Transport::kReadable, kShortly).value(), Transport::kReadable);
    const auto received = hostile.server->receive(space);
    ASSERT_FALSE(received.ok()) << written;
    EXPECT_EQ(received.status().code(), Code::kUnavailable);
  }
}

TEST(HostileRing, WhatIsReadCannotBeTakenBack) {
  Hostile hostile;
  hostile.rings[0].written = 100;
  std::array<std::byte, 200> space;
  EXPECT_EQ(hostile.server->receive(space).value(), 100u);
  hostile.rings[0].written = 50;
  EXPECT_FALSE(hostile.server->receive(space).ok());
}

TEST(HostileRing, WhatWasNotWrittenCannotHaveBeenRead) {
  Hostile hostile;
  std::vector<std::byte> bytes(kRing);
  const iovec piece{bytes.data(), bytes.size()};
  EXPECT_EQ(hostile.server->send(std::span(&piece, 1)).value(), kRing);
  hostile.rings[1].read = kRing + 1;
  EXPECT_FALSE(hostile.server->send(std::span(&piece, 1)).ok());
}

TEST(HostileRing, WhatIsReadTwiceIsNoRoom) {
  Hostile hostile;
  std::vector<std::byte> bytes(kRing);
  const iovec piece{bytes.data(), bytes.size()};
  EXPECT_EQ(hostile.server->send(std::span(&piece, 1)).value(), kRing);
  hostile.rings[1].read = 1000;
  EXPECT_EQ(hostile.server->send(std::span(&piece, 1)).value(), 1000u);
  hostile.rings[1].read = 500;
  EXPECT_FALSE(hostile.server->send(std::span(&piece, 1)).ok());
}

TEST(HostileRing, WakingNobodyEndsAndDoesNotBlock) {
  Hostile hostile;
  const iovec piece{const_cast<char*>("x"), 1};
  // It says that it sleeps each time, and never takes a byte from the socket.
  for (size_t i = 0; i < 3 * kRing; ++i) {
    hostile.rings[1].reader_sleeps = 1;
    hostile.rings[1].read = hostile.rings[1].written.load();
    ASSERT_EQ(hostile.server->send(std::span(&piece, 1)).value(), 1u);
  }
}

TEST(SharedArea, EachSlotHasOneHolder) {
  const auto control = std::make_unique<AreaControl>();
  SharedArea area(control.get(), nullptr);
  std::set<uint32_t> taken;
  for (uint32_t i = 0; i < kAreaSlots; ++i) taken.insert(area.take(kShortly).value());
  EXPECT_EQ(taken.size(), kAreaSlots);
  EXPECT_FALSE(area.take(std::chrono::milliseconds(1)));
  area.give_back(5);
  EXPECT_EQ(area.take(kShortly), 5u);
}

TEST(SharedArea, WhoeverWaitsIsWoken) {
  const auto control = std::make_unique<AreaControl>();
  SharedArea sender(control.get(), nullptr), receiver(control.get(), nullptr);
  constexpr size_t kRounds = 20'000;
  std::vector<std::atomic<uint32_t>> taken(kRounds);  // plus 1
  std::thread other([&] {
    for (auto& one : taken) {
      while (one.load() == 0) std::this_thread::yield();
      receiver.give_back(one.load() - 1);
    }
  });
  for (auto& one : taken) {
    const auto number = sender.take(std::chrono::seconds(60));
    EXPECT_TRUE(number);
    one.store(number.value_or(0) + 1);
  }
  other.join();
}

TEST(SharedArea, BothSidesOfAConnectionSeeTheSameSlots) {
  Ends ends = socket_pair();
  auto client = ShmTransport::offer(std::move(ends.client), kRing).value();
  auto server = ShmTransport::accept(std::move(ends.server), kShortly).value();
  for (auto [out, in] :
       {std::pair(client->area_out(), server->area_in()), {server->area_out(), client->area_in()}}) {
    const uint32_t slot = out->take(kShortly).value();
    memcpy(out->slot(slot).data(), "there", 6);
    EXPECT_STREQ(reinterpret_cast<const char*>(in->slot(slot).data()), "there");
    EXPECT_EQ(out->number_of(out->slot(slot).data()), slot);
    EXPECT_FALSE(out->number_of(in->slot(slot).data()));
    in->give_back(slot);
  }
}

}  // namespace
}  // namespace tessera::remote

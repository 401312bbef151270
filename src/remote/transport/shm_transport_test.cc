// Shared memory whose other owner is not to be trusted.
#include "remote/transport/shm_transport.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
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
constexpr size_t kGoodBytes = 4096 + 2 * kRing;

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

}  // namespace
}  // namespace tessera::remote

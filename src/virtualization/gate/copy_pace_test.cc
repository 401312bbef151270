#include "virtualization/gate/copy_pace.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <thread>

#include "common/clock.h"
#include "common/fd.h"

namespace tessera::vgpu {
namespace {

constexpr uint64_t kMib = uint64_t{1} << 20, kMs = 1'000'000, kNearlyNothing = 1;
constexpr auto kTo = HostCopy::kToDevice, kFrom = HostCopy::kFromDevice;

// As much of a daemon as attaches one process to a slice, and its side of the grant page.
class Daemon {
 public:
  Daemon() : path_(testing::TempDir() + "/copy_pace." + std::to_string(getpid())) {
    listener_ = UniqueFd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path_.c_str(), sizeof address.sun_path - 1);
    unlink(path_.c_str());
    EXPECT_EQ(bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(listen(listener_.get(), 1), 0);
    for (UniqueFd& page : pages_) {
      page = UniqueFd(memfd_create("page", MFD_CLOEXEC));
      EXPECT_EQ(ftruncate(page.get(), kPageBytes), 0);
    }
    void* const grants = mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE, MAP_SHARED, pages_[1].get(), 0);
    EXPECT_NE(grants, MAP_FAILED);
    grants_ = static_cast<GrantPage*>(grants);
  }
  ~Daemon() {
    end();
    munmap(grants_, kPageBytes);
  }
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  std::unique_ptr<LeaseClient> attach() {
    std::thread answers([this] { answer(); });
    auto client = LeaseClient::attach(path_, SliceToken{});
    answers.join();
    EXPECT_TRUE(client.ok()) << client.status().message();
    return client.ok() ? std::move(client).value() : nullptr;
  }
  void say(HostCopy way, uint64_t rate) {
    grants_->devices[0].copy_rates[static_cast<size_t>(way)].store(rate, std::memory_order_relaxed);
  }
  void end() {
    unlink(path_.c_str());
    connection_ = UniqueFd();
    listener_ = UniqueFd();
  }

 private:
  void answer() {
    connection_ = UniqueFd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    char request[sizeof(MessageHeader) + sizeof(AttachRequest)];
    EXPECT_EQ(recv(connection_.get(), request, sizeof request, 0), static_cast<ssize_t>(sizeof request));
    MessageHeader header;
    header.type = MessageType::kAttached;
    header.request = 1;
    header.payload_bytes = sizeof(AttachedReply);
    AttachedReply reply{};
    reply.device_count = 1;
    iovec parts[] = {{&header, sizeof header}, {&reply, sizeof reply}};
    alignas(cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* const rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(2 * sizeof(int));
    const int descriptors[] = {pages_[0].get(), pages_[1].get()};
    std::memcpy(CMSG_DATA(rights), descriptors, sizeof descriptors);
    EXPECT_GT(sendmsg(connection_.get(), &message, 0), 0);
  }

  const std::string path_;
  UniqueFd listener_, connection_, pages_[2];
  GrantPage* grants_ = nullptr;
};

class CopyPaceTest : public testing::Test {
 protected:
  void SetUp() override {
    client_ = daemon_.attach();
    ASSERT_NE(client_, nullptr);
    pace_ = std::make_unique<CopyPace>(*client_, 0);
  }
  uint64_t waits(HostCopy way) { return client_->counters(0).copy_waits[static_cast<size_t>(way)].load(); }

  Daemon daemon_;
  std::unique_ptr<LeaseClient> client_;
  std::unique_ptr<CopyPace> pace_;
};

TEST_F(CopyPaceTest, NobodyIsHeldWhereNobodyLooks) {
  EXPECT_FALSE(pace_->is_watched());
  EXPECT_EQ(pace_->piece(kTo), 64 * kMib);
  pace_->wait(kTo, uint64_t{1} << 40);
  EXPECT_EQ(waits(kTo), 0u);
}

TEST_F(CopyPaceTest, WhoIsWatchedMayBeFreeToCopyAllTheSame) {
  daemon_.say(kTo, kAnyCopyRate);
  EXPECT_TRUE(pace_->is_watched());
  pace_->wait(kTo, uint64_t{1} << 40);
  EXPECT_EQ(waits(kTo), 0u);
}

TEST_F(CopyPaceTest, PiecesTakeAboutAMillisecond) {
  daemon_.say(kTo, kAnyCopyRate);
  daemon_.say(kFrom, kAnyCopyRate);
  EXPECT_EQ(pace_->piece(kTo), 4 * kMib);
  pace_->took(kTo, 4 * kMib, kMs / 4);
  EXPECT_EQ(pace_->piece(kTo), 8 * kMib);
  pace_->took(kTo, 8 * kMib, kMs);
  EXPECT_EQ(pace_->piece(kTo), 8 * kMib);
  pace_->took(kTo, kMib, kMs / 100);
  EXPECT_EQ(pace_->piece(kTo), 8 * kMib) << "the rest of a copy says nothing of more";
  pace_->took(kTo, 8 * kMib, 3 * kMs);
  EXPECT_EQ(pace_->piece(kTo), 4 * kMib);
  EXPECT_EQ(pace_->piece(kFrom), 4 * kMib) << "each way by itself";
  for (int i = 0; i < 20; ++i) pace_->took(kTo, pace_->piece(kTo), 10 * kMs);
  EXPECT_EQ(pace_->piece(kTo), kMib);
  for (int i = 0; i < 20; ++i) pace_->took(kTo, pace_->piece(kTo), 1);
  EXPECT_EQ(pace_->piece(kTo), 64 * kMib);
}

TEST_F(CopyPaceTest, WhoIsHeldCopiesSmallPieces) {
  daemon_.say(kTo, 1000 * kMib);
  EXPECT_EQ(pace_->piece(kTo), 2 * kMib) << "500 in a second";
  daemon_.say(kTo, kMib);
  EXPECT_EQ(pace_->piece(kTo), kMib);
}

// It cannot be there sooner; how much later is the machine's.
TEST_F(CopyPaceTest, ARateIsNotExceededAndTheOtherWayIsFree) {
  constexpr uint64_t kRate = 64 * kMib, kBytes = 8 * kMib, kBurst = kMib;
  daemon_.say(kTo, kRate);
  daemon_.say(kFrom, kAnyCopyRate);
  const uint64_t begin_ns = monotonic_ns();
  for (uint64_t copied = 0; copied < kBytes; copied += kMib) {
    pace_->wait(kTo, kMib);
    pace_->wait(kFrom, kMib);
  }
  EXPECT_GE(monotonic_ns() - begin_ns, (kBytes - kBurst) * 1'000 / kRate * kMs);
  EXPECT_GT(waits(kTo), 0u);
  EXPECT_GT(client_->counters(0).copy_wait_ns.load(), 0u);
  EXPECT_EQ(waits(kFrom), 0u);
}

TEST_F(CopyPaceTest, WhoWaitsHearsOfANewRate) {
  daemon_.say(kTo, kNearlyNothing);
  std::thread copies([this] { pace_->wait(kTo, 16 * kMib); });
  while (waits(kTo) == 0) std::this_thread::yield();
  daemon_.say(kTo, kAnyCopyRate);
  copies.join();
}

TEST_F(CopyPaceTest, WithoutADaemonNobodyWaits) {
  ASSERT_TRUE(client_->start({}).ok());
  daemon_.say(kTo, kNearlyNothing);
  std::thread copies([this] { pace_->wait(kTo, 16 * kMib); });
  while (waits(kTo) == 0) std::this_thread::yield();
  daemon_.end();
  copies.join();
  EXPECT_FALSE(client_->attached());
}

}  // namespace
}  // namespace tessera::vgpu

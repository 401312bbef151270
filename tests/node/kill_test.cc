// Processes that reserve, release and answer recalls, killed at random moments: nothing stays granted. 200 in
// every run; TESSERA_KILLS sets another number for the soak.
#include <csignal>
#include <map>
#include <random>

#include "common/strings.h"
#include "harness.h"

namespace tessera::node {
namespace {

constexpr uint64_t kLimit = 100'000;
constexpr uint8_t kSlices = 3;
constexpr size_t kTogether = 6;
constexpr size_t kMostRounds = 7;
// At first: enough to reserve something, under a sanitizer too.
constexpr uint64_t kLongestLifeNs = 50'000'000;

// A process with a life of its own: it ends only by being killed.
[[noreturn]] void live(const std::string& path, unsigned seed) {
  std::mt19937 dice(seed);
  Token token;
  token.fill(static_cast<uint8_t>(1 + dice() % kSlices));
  TestClient client(path);
  client.attach(token);
  uint64_t granted = 0;
  for (;;) {
    std::string packet = client.receive(true);
    if (client.ended()) _exit(1);
    auto bytes = std::as_bytes(std::span<const char>(packet));
    auto header = read_at<vgpu::MessageHeader>(bytes, 0);
    if (auto reply = decode_struct<vgpu::ReservedReply>(bytes, vgpu::MessageType::kReserved)) {
      granted += reply->granted_bytes;
    }
    if (auto recall = decode_struct<vgpu::RecallNotice>(bytes, vgpu::MessageType::kRecall)) {
      if (dice() % 10 == 0) continue;  // never answers this one
      uint64_t back = dice() % (std::min(granted, recall->bytes) + 1);
      granted -= back;
      client.recalled(header->request, back);
      continue;
    }
    if (dice() % 3 == 0) {
      uint64_t back = dice() % (granted + 1);
      granted -= back;
      client.release(back);
    }
    uint64_t needed = 1 + dice() % (kLimit / 4);
    client.reserve(needed, needed + dice() % kLimit);
  }
}

TEST(Kill, NothingStaysGranted) {
  size_t kills = parse_uint(env_or("TESSERA_KILLS", "200")).value_or(200);
  std::mt19937 dice(11);
  TestDaemon daemon;
  for (uint8_t i = 1; i <= kSlices; ++i) daemon.open_slice(kLimit, i);
  std::map<pid_t, uint64_t> alive;  // when it is to be killed
  uint64_t most_granted = 0;
  // On a machine that is busy with other things most die before they have asked for much: then it goes on,
  // with lives twice as long each time.
  const auto is_enough = [&](size_t killed) {
    return killed >= kills && (most_granted > kLimit || killed >= kMostRounds * kills);
  };
  for (size_t killed = 0; !is_enough(killed);) {
    uint64_t now_ns = monotonic_ns();
    const uint64_t longest_ns = kLongestLifeNs << (killed / kills);
    while (alive.size() < kTogether) {
      unsigned seed = dice();
      pid_t child = fork();
      if (child == 0) live(daemon.path(), seed);
      alive[child] = now_ns + dice() % longest_ns;
    }
    ASSERT_TRUE((*daemon).step(1'000'000).ok());
    ASSERT_TRUE(daemon.ledger().check().ok()) << daemon.ledger().check().message();
    most_granted = std::max(most_granted, daemon.granted());
    for (auto entry = alive.begin(); entry != alive.end();) {
      if (entry->second > now_ns) {
        ++entry;
        continue;
      }
      kill(entry->first, SIGKILL);
      int status = 0;
      waitpid(entry->first, &status, 0);
      EXPECT_EQ(status, SIGKILL) << "it ended by itself";
      entry = alive.erase(entry);
      ++killed;
    }
  }
  for (auto [child, when] : alive) {
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
  }
  EXPECT_TRUE(daemon.until([&] { return daemon.ledger().leases().empty() && daemon->connections() == 0; }));
  EXPECT_EQ(daemon.granted(), 0U);
  EXPECT_GT(most_granted, kLimit) << "the walk did not use the slices";
}

}  // namespace
}  // namespace tessera::node

#include <gtest/gtest.h>

#include <random>

#include "memory/simulated_device.h"
#include "memory/trace/allocation_log.h"
#include "memory/trace/replay.h"

namespace tessera::memory {
namespace {

constexpr uint64_t kKiB = 1024, kMiB = kKiB * 1024, kGiB = kMiB * 1024;

using Bytes = std::vector<uint8_t>;

std::vector<AllocationEvent> read_all(AllocationLogReader& reader) {
  std::vector<AllocationEvent> events;
  for (;;) {
    const auto event = reader.next();
    EXPECT_TRUE(event.ok()) << event.status().message();
    if (!event.ok() || !event->has_value()) return events;
    events.push_back(**event);
  }
}

Bytes small_log() {
  AllocationLogWriter writer;
  const uint64_t first = writer.allocated(10, 1000, 0), second = writer.allocated(20, uint64_t{1} << 40, 7);
  writer.freed(30, first, 0);
  writer.freed(25, second, 7);  // looked at the clock before
  writer.passed(40, 7);
  return writer.take();
}

TEST(AllocationLog, ReadsWhatWasWritten) {
  const Bytes log = small_log();
  auto reader = AllocationLogReader::open(log);
  ASSERT_TRUE(reader.ok());
  const std::vector<AllocationEvent> expected = {
      {AllocationAct::kAllocate, 10, 0, 1000, 0}, {AllocationAct::kAllocate, 20, 1, uint64_t{1} << 40, 7},
      {AllocationAct::kFree, 30, 0, 0, 0},        {AllocationAct::kFree, 30, 1, 0, 7},
      {AllocationAct::kPassed, 40, 0, 0, 7},
  };
  EXPECT_EQ(read_all(*reader), expected);
  EXPECT_FALSE(reader->torn());
}

TEST(AllocationLog, ATornRecordAtTheEndIsDropped) {
  const Bytes log = small_log();
  for (size_t size = 5; size < log.size(); ++size) {
    auto reader = AllocationLogReader::open(std::span(log).first(size));
    ASSERT_TRUE(reader.ok());
    EXPECT_LT(read_all(*reader).size(), 5u);
  }
  auto cut = AllocationLogReader::open(std::span(log).first(log.size() - 1));
  (void)read_all(*cut);
  EXPECT_TRUE(cut->torn());
}

TEST(AllocationLog, RefusesWhatCannotBe) {
  EXPECT_FALSE(AllocationLogReader::open({}).ok());
  EXPECT_FALSE(AllocationLogReader::open(Bytes{'T', 'A', 'L', 'G', 2}).ok());
  const Bytes head = {'T', 'A', 'L', 'G', 1};
  const std::vector<Bytes> records = {
      {9, 0, 0, 0},                                                             // no such act
      {2, 0, 0, 0},                                                             // nothing was allocated
      {1, 0, 1, 0, 2, 0, 1, 0},                                                 // nor so much
      {1, 0, 1, 0, 2, 0, 0, 0, 2, 0, 0, 0},                                     // freed twice
      {3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0},          // 65 bits
      {3, 1, 0, 3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0}  // the time runs over
  };
  for (const Bytes& record : records) {
    Bytes log = head;
    log.insert(log.end(), record.begin(), record.end());
    auto reader = AllocationLogReader::open(log);
    ASSERT_TRUE(reader.ok());
    Status status;
    for (int events = 0; status.ok() && events < 5; ++events) status = reader->next().status();
    EXPECT_EQ(status.code(), Code::kInvalidData);
    EXPECT_FALSE(reader->next()->has_value()) << "goes on after an error";
  }
}

// As training does it: weights that stay, activations that grow forward and shrink backward in streams, and
// scratch memory of all sizes.
Bytes training_log(uint64_t seed) {
  std::mt19937_64 random(seed);
  AllocationLogWriter writer;
  uint64_t now = 0;
  for (int layer = 0; layer < 40; ++layer) {
    for (int part = 0; part < 3; ++part) writer.allocated(++now, (1 + random() % 9) * 777 * kKiB, 0);
  }
  for (int step = 0; step < 30; ++step) {
    const uint64_t batch = 8 + random() % 9;  // sequences are of any length
    std::vector<uint64_t> activations;
    for (int layer = 0; layer < 40; ++layer) {
      const uint64_t scratch = writer.allocated(++now, batch * (100 + random() % 100) * kKiB, 1);
      activations.push_back(writer.allocated(++now, batch * 300 * kKiB + 512 * layer, 1));
      const uint64_t small = writer.allocated(++now, 1 + random() % 9000, 1);
      writer.freed(++now, scratch, 1);
      writer.freed(++now, small, 1);
    }
    while (!activations.empty()) {
      const uint64_t gradient = writer.allocated(++now, batch * 300 * kKiB, 2);
      writer.freed(++now, activations.back(), 1);
      writer.freed(++now, gradient, 2);
      activations.pop_back();
    }
    writer.passed(++now, 0);
  }
  return writer.take();
}

TEST(Replay, AtMostATenthOfWhatIsReservedIsNotInUse) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    SimulatedDevice device(64 * kGiB / SimulatedDevice::kLeastGranularity);
    Pool pool(device);
    const Result<ReplayOutcome> outcome = replay(training_log(seed), pool);
    ASSERT_TRUE(outcome.ok()) << outcome.status().message();
    EXPECT_EQ(outcome->failed, 0u);
    EXPECT_GT(outcome->pool.peak_active_bytes, 256 * kMiB);
    EXPECT_LE(outcome->fragmentation(), 0.10) << "seed " << seed;
  }
}

TEST(Replay, GoesOnAfterARefusedRequest) {
  AllocationLogWriter writer;
  const uint64_t much = writer.allocated(1, 100 * kMiB, 0);
  const uint64_t little = writer.allocated(2, kMiB, 0);
  writer.freed(3, much, 0);
  writer.freed(4, little, 0);
  SimulatedDevice device(8);
  Pool pool(device);
  const Result<ReplayOutcome> outcome = replay(writer.take(), pool);
  ASSERT_TRUE(outcome.ok());
  EXPECT_EQ(outcome->allocations, 2u);
  EXPECT_EQ(outcome->failed, 1u);
  EXPECT_EQ(outcome->pool.active_bytes, 0u);
}

}  // namespace
}  // namespace tessera::memory

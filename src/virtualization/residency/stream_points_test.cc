#include "virtualization/residency/stream_points.h"

#include <gtest/gtest.h>

#include <map>

#include "memory/testing/fake_device.h"

namespace tessera::vgpu {
namespace {

// Streams are numbers, and come as far as the test says.
struct FakeStreams {
  struct Event {
    uint64_t stream = 0, at = 0;
  };
  static inline std::map<uint64_t, uint64_t> submitted, done;  // of each stream: calls
  static inline std::map<CUevent, Event> events;
  static inline uintptr_t next = 1;

  static CUresult id(CUstream stream, unsigned long long* number) {
    *number = reinterpret_cast<uintptr_t>(stream);
    return CUDA_SUCCESS;
  }
  static CUresult create(CUevent* event, unsigned int) {
    *event = reinterpret_cast<CUevent>(next++);
    events[*event] = {};
    return CUDA_SUCCESS;
  }
  static CUresult destroy(CUevent event) {
    events.erase(event);
    return CUDA_SUCCESS;
  }
  static CUresult record(CUevent event, CUstream stream) {
    const uint64_t number = reinterpret_cast<uintptr_t>(stream);
    events[event] = {number, ++submitted[number]};
    return CUDA_SUCCESS;
  }
  static CUresult query(CUevent event) {
    const Event& at = events.at(event);
    return done[at.stream] >= at.at ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
  }
  static CUresult synchronize_event(CUevent event) {
    const Event& at = events.at(event);
    done[at.stream] = std::max(done[at.stream], at.at);
    return CUDA_SUCCESS;
  }
  static CUresult synchronize(CUstream stream) {
    const uint64_t number = reinterpret_cast<uintptr_t>(stream);
    done[number] = submitted[number];
    return CUDA_SUCCESS;
  }
};

CUstream stream(uintptr_t number) { return reinterpret_cast<CUstream>(number); }

class StreamPointsTest : public testing::Test {
 protected:
  static constexpr uint64_t kBytes = memory::FakeDevice::kGranule;

  StreamPointsTest() {
    FakeStreams::submitted.clear();
    FakeStreams::done.clear();
    FakeStreams::events.clear();
    driver_.cuStreamGetId = &FakeStreams::id;
    driver_.cuEventCreate = &FakeStreams::create;
    driver_.cuEventDestroy_v2 = &FakeStreams::destroy;
    driver_.cuEventRecord = &FakeStreams::record;
    driver_.cuEventQuery = &FakeStreams::query;
    driver_.cuEventSynchronize = &FakeStreams::synchronize_event;
    driver_.cuStreamSynchronize = &FakeStreams::synchronize;
  }
  uint64_t pending() { return pool_.stats().pending_bytes; }

  cuda::DriverTable driver_{};
  memory::FakeDevice device_{8};
  memory::Pool pool_{device_};
  StreamPoints points_{driver_, pool_};
};

TEST_F(StreamPointsTest, WhatIsFreedInOrderIsTheStreamsOwnUntilItHasPassed) {
  const uint64_t block = *pool_.allocate(kBytes);
  ASSERT_TRUE(points_.free(stream(1), block).ok());
  points_.look();
  EXPECT_EQ(pending(), kBytes);
  EXPECT_NE(*pool_.allocate_on(2, kBytes), block) << "it may be in use";
  EXPECT_EQ(*pool_.allocate_on(1, kBytes), block) << "what comes next comes after the free";
  ASSERT_TRUE(points_.free(stream(1), block).ok());
  FakeStreams::synchronize(stream(1));
  points_.look();
  EXPECT_EQ(pending(), 0u);
  EXPECT_TRUE(points_.empty());
  EXPECT_TRUE(FakeStreams::events.empty());
}

TEST_F(StreamPointsTest, FewPointsAreKept) {
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(points_.free(stream(3), *pool_.allocate(512)).ok());
  EXPECT_LE(FakeStreams::events.size(), 64u);
  FakeStreams::done[3] = FakeStreams::submitted[3] - 1;
  points_.look();
  EXPECT_GT(pending(), 0u) << "the last point covers the last free";
  FakeStreams::synchronize(stream(3));
  points_.look();
  EXPECT_EQ(pending(), 0u);
}

TEST_F(StreamPointsTest, WaitsForAllStreams) {
  EXPECT_FALSE(points_.wait());
  ASSERT_TRUE(points_.free(stream(1), *pool_.allocate(kBytes)).ok());
  ASSERT_TRUE(points_.free(stream(2), *pool_.allocate(kBytes)).ok());
  EXPECT_TRUE(points_.wait());
  EXPECT_EQ(pending(), 0u);
  EXPECT_TRUE(points_.empty());
}

TEST_F(StreamPointsTest, WithoutNumbersOfStreamsItWaits) {
  driver_.cuStreamGetId = nullptr;
  FakeStreams::submitted[1] = 5;
  ASSERT_TRUE(points_.free(stream(1), *pool_.allocate(kBytes)).ok());
  EXPECT_EQ(FakeStreams::done[1], 5u);
  EXPECT_EQ(pending(), 0u);
}

TEST_F(StreamPointsTest, WhatIsNoBlockIsRefused) {
  EXPECT_FALSE(points_.free(stream(1), 4096).ok());
  const uint64_t block = *pool_.allocate(kBytes);
  ASSERT_TRUE(points_.free(stream(1), block).ok());
  EXPECT_FALSE(points_.free(stream(1), block).ok());
}

}  // namespace
}  // namespace tessera::vgpu

// Against a driver of the test's own: streams and their events on a clock that the test moves.
#include "virtualization/gate/event_meter.h"

#include <gtest/gtest.h>

#include <map>

#include "virtualization/gate/kernel_lengths.h"

namespace tessera::vgpu {
namespace {

constexpr uint64_t kUs = 1'000;
constexpr uint64_t kMs = 1'000'000;

// Each stream runs what it is given in order; `device_ns` says when it is through with it.
struct Device {
  uint64_t now_ns = kMs;
  std::map<CUstream, uint64_t> free_at_ns;
  std::map<CUevent, uint64_t> recorded_ns;
  uint64_t events = 0, records = 0, queries_of_streams = 0;
  bool capturing = false;

  uint64_t end_of(CUstream stream) { return std::max(now_ns, free_at_ns[stream]); }
  void run(CUstream stream, uint64_t ns) { free_at_ns[stream] = end_of(stream) + ns; }
};
Device device;

CUstream const kStream = reinterpret_cast<CUstream>(0x100);
CUstream const kOther = reinterpret_cast<CUstream>(0x200);
const void* const kKernel = reinterpret_cast<const void*>(0x1000);
const void* const kLonger = reinterpret_cast<const void*>(0x2000);

uint64_t now_ns() { return device.now_ns; }

cuda::DriverTable make_driver() {
  cuda::DriverTable driver{};
  driver.cuEventCreate = [](CUevent* event, unsigned int) {
    *event = reinterpret_cast<CUevent>(++device.events);
    return CUDA_SUCCESS;
  };
  driver.cuEventDestroy_v2 = [](CUevent event) {
    --device.events;
    device.recorded_ns.erase(event);
    return CUDA_SUCCESS;
  };
  driver.cuEventRecord = [](CUevent event, CUstream stream) {
    ++device.records;
    device.recorded_ns[event] = device.end_of(stream);
    return CUDA_SUCCESS;
  };
  driver.cuEventQuery = [](CUevent event) {
    return device.recorded_ns.at(event) <= device.now_ns ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
  };
  driver.cuEventElapsedTime = [](float* ms, CUevent from, CUevent to) {
    *ms = static_cast<float>(static_cast<double>(device.recorded_ns.at(to)) -
                             static_cast<double>(device.recorded_ns.at(from))) /
          1e6F;
    return CUDA_SUCCESS;
  };
  driver.cuStreamQuery = [](CUstream stream) {
    ++device.queries_of_streams;
    return device.free_at_ns[stream] <= device.now_ns ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
  };
  driver.cuStreamGetCtx = [](CUstream, CUcontext* context) {
    *context = reinterpret_cast<CUcontext>(1);
    return CUDA_SUCCESS;
  };
  driver.cuStreamIsCapturing = [](CUstream, CUstreamCaptureStatus* status) {
    *status = device.capturing ? CU_STREAM_CAPTURE_STATUS_ACTIVE : CU_STREAM_CAPTURE_STATUS_NONE;
    return CUDA_SUCCESS;
  };
  driver.cuCtxGetCurrent = [](CUcontext* context) {
    *context = reinterpret_cast<CUcontext>(1);
    return CUDA_SUCCESS;
  };
  driver.cuCtxPushCurrent_v2 = [](CUcontext) { return CUDA_SUCCESS; };
  driver.cuCtxPopCurrent_v2 = [](CUcontext*) { return CUDA_SUCCESS; };
  return driver;
}

class EventMeterTest : public testing::Test {
 protected:
  EventMeterTest() : driver_(make_driver()) {
    device = Device();
    meter_ = make_event_meter(driver_, SteppedClock::exact(&now_ns));
    meter_->watch([](void* count) { ++*static_cast<int*>(count); }, &drained_);
  }

  // A launch that the device takes `ns` for; false where there is no room for it.
  bool launch(CUstream stream, const void* what, uint64_t ns, uint64_t window_ns = EventMeter::kUnbounded) {
    const auto ticket = meter_->enter(stream, what, window_ns);
    if (!ticket) return false;
    device.run(stream, ns);
    meter_->leave(*ticket, true);
    return true;
  }

  const cuda::DriverTable driver_;
  std::unique_ptr<EventMeter> meter_;
  int drained_ = 0;
};

void expect_about(uint64_t value, uint64_t wanted, uint64_t off = 200) {
  EXPECT_GE(value + off, wanted);
  EXPECT_LE(value, wanted + off);
}

TEST_F(EventMeterTest, MeasuresOneKernel) {
  launch(kStream, kKernel, 300 * kUs);
  EXPECT_EQ(meter_->work().pending, 1u);
  EXPECT_EQ(meter_->work().ready, 1u);
  EXPECT_EQ(meter_->work().busy_ns, 0u);
  device.now_ns += 300 * kUs;
  const cuda::DeviceWork work = meter_->work();
  EXPECT_EQ(work.pending, 0u);
  EXPECT_EQ(work.ready, 0u);
  EXPECT_EQ(work.finished, 1u);
  expect_about(work.busy_ns, 300 * kUs);
  EXPECT_EQ(drained_, 1);
}

TEST_F(EventMeterTest, TimeWithoutKernelsIsNobodys) {
  for (int i = 0; i < 10; ++i) {
    launch(kStream, kKernel, 20 * kUs);
    device.now_ns += kMs;
  }
  expect_about(meter_->work().busy_ns, 200 * kUs, 2000);
}

TEST_F(EventMeterTest, KernelsAtOnceCountOnce) {
  launch(kStream, kKernel, kMs);
  launch(kOther, kLonger, 2 * kMs);
  device.now_ns += 5 * kMs;
  expect_about(meter_->work().busy_ns, 2 * kMs);
  EXPECT_EQ(meter_->work().finished, 2u);
}

TEST_F(EventMeterTest, ABurstIsMeasuredNowAndThenAndCountedWhole) {
  constexpr int kLaunches = 5000;
  launch(kStream, kKernel, 4 * kUs);
  device.now_ns += 10 * kUs;
  (void)meter_->work();
  const uint64_t records = device.records;
  for (int i = 1; i < kLaunches; ++i) {
    device.now_ns += kUs;
    launch(kStream, kKernel, 4 * kUs);
  }
  EXPECT_LT(device.records - records, 2u * kLaunches / 8);
  device.now_ns += 100 * kMs;
  const cuda::DeviceWork work = meter_->work();
  EXPECT_EQ(work.finished, static_cast<uint64_t>(kLaunches));
  EXPECT_EQ(work.pending, 0u);
  expect_about(work.busy_ns, 4 * kUs * kLaunches, 4 * kUs * kLaunches / 100);
}

TEST_F(EventMeterTest, TheTailOfABurstIsFollowed) {
  for (int i = 0; i < 3; ++i) {
    launch(kStream, kKernel, 10 * kUs);
    device.now_ns += 11 * kUs;
    (void)meter_->work();
  }
  device.run(kStream, 10 * kMs);  // something else of the stream's: it is not empty
  EXPECT_EQ(meter_->work().pending, 2u);
  device.now_ns += kMs;
  EXPECT_EQ(meter_->work().pending, 2u);  // an event is behind them now
  device.now_ns += 10 * kMs;
  EXPECT_EQ(meter_->work().pending, 0u);
  EXPECT_EQ(meter_->work().finished, 3u);
}

TEST_F(EventMeterTest, LittleIsLetThrough) {
  EXPECT_TRUE(launch(kStream, kKernel, 400 * kUs, kMs));
  EXPECT_FALSE(launch(kStream, kKernel, 400 * kUs, kMs));  // its length is not known yet: alone
  device.now_ns += kMs;
  EXPECT_TRUE(launch(kStream, kKernel, 400 * kUs, kMs));
  EXPECT_TRUE(launch(kStream, kKernel, 400 * kUs, kMs));
  EXPECT_FALSE(launch(kStream, kKernel, 400 * kUs, kMs));
  EXPECT_FALSE(launch(kOther, kLonger, kMs, kMs));
  EXPECT_TRUE(launch(kOther, kLonger, kMs, EventMeter::kUnbounded));
}

TEST_F(EventMeterTest, AKernelLongerThanTheWindowGoesAlone) {
  for (int i = 0; i < 5; ++i) {
    EXPECT_TRUE(launch(kStream, kLonger, 10 * kMs, kMs));
    EXPECT_FALSE(launch(kStream, kLonger, 10 * kMs, kMs));
    device.now_ns += 11 * kMs;
  }
  EXPECT_EQ(meter_->work().finished, 5u);
}

TEST_F(EventMeterTest, ALaunchThatTheDriverRefusesIsNone) {
  const auto ticket = meter_->enter(kStream, kKernel, kMs);
  ASSERT_TRUE(ticket);
  EXPECT_EQ(meter_->work().pending, 1u);
  meter_->leave(*ticket, false);
  EXPECT_EQ(meter_->work().pending, 0u);
  EXPECT_EQ(meter_->work().finished, 0u);
}

TEST_F(EventMeterTest, AStreamThatWaitsIsPendingAndNotReady) {
  device.run(kStream, 50 * kMs);  // as behind an event of another stream
  launch(kStream, kKernel, kMs);
  EXPECT_EQ(meter_->work().pending, 1u);
  EXPECT_EQ(meter_->work().ready, 0u);
  device.now_ns += 50 * kMs;
  EXPECT_EQ(meter_->work().ready, 1u);
  device.now_ns += kMs;
  expect_about(meter_->work().busy_ns, kMs, 4 * kUs);
}

TEST_F(EventMeterTest, NothingIsPutIntoCaptures) {
  launch(kStream, kKernel, kUs);
  launch(kStream, kKernel, kUs);
  const uint64_t records = device.records;
  meter_->capture_begins();
  device.capturing = true;
  EXPECT_TRUE(meter_->is_capturing(kStream));
  device.now_ns += kMs;
  const uint64_t queries = device.queries_of_streams;
  (void)meter_->work();
  EXPECT_EQ(device.records, records);
  EXPECT_EQ(device.queries_of_streams, queries);
  device.capturing = false;
  EXPECT_FALSE(meter_->is_capturing(kStream));
  meter_->capture_ended();
  EXPECT_EQ(meter_->work().pending, 0u);
}

TEST_F(EventMeterTest, ALongKernelShowsWhileItRuns) {
  launch(kStream, kKernel, 1000 * kMs);
  EXPECT_EQ(meter_->work().busy_ns, 0u);
  device.now_ns += 400 * kMs;
  expect_about(meter_->work().busy_ns, 400 * kMs);
  device.now_ns += 400 * kMs;
  expect_about(meter_->work().busy_ns, 800 * kMs);
  device.now_ns += 400 * kMs;  // it ended 200 ms ago
  expect_about(meter_->work().busy_ns, 1000 * kMs);
  device.now_ns += 400 * kMs;
  expect_about(meter_->work().busy_ns, 1000 * kMs);
}

TEST_F(EventMeterTest, AStreamEndsWithWorkInFlight) {
  launch(kStream, kKernel, kMs);
  meter_->stream_ends(kStream);
  EXPECT_EQ(meter_->work().pending, 1u);
  launch(kStream, kKernel, kMs);  // the handle names another one now
  device.now_ns += 3 * kMs;
  EXPECT_EQ(meter_->work().finished, 2u);
  expect_about(meter_->work().busy_ns, 2 * kMs);
}

TEST_F(EventMeterTest, AContextEndsWithItsEvents) {
  for (int i = 0; i < 20; ++i) launch(i % 2 == 0 ? kStream : kOther, kKernel, kMs);
  EXPECT_GT(device.events, 0u);
  meter_->context_ends(reinterpret_cast<CUcontext>(1));
  EXPECT_EQ(device.events, 0u);
  EXPECT_EQ(meter_->work().pending, 0u);
  EXPECT_EQ(meter_->work().finished, 20u);
}

TEST_F(EventMeterTest, SuspendSaysWhetherAllHasRun) {
  launch(kStream, kKernel, kMs);
  EXPECT_FALSE(meter_->suspend(1));
  device.now_ns += kMs;
  EXPECT_TRUE(meter_->suspend(1));
}

TEST_F(EventMeterTest, MeasuredLaunchesInFlightAreBounded) {
  for (size_t i = 0; i < 4 * EventMeter::kMaxMarks; ++i) {
    device.now_ns += 100 * kUs;
    launch(kStream, kKernel, 10 * kMs);
  }
  EXPECT_LE(device.events, 2 * EventMeter::kMaxMarks + 3);
  device.now_ns += 100'000 * kMs;
  (void)meter_->work();
  EXPECT_EQ(meter_->work().finished, 4 * EventMeter::kMaxMarks);
}

TEST(KernelLengths, IsAMovingMeanOfEach) {
  KernelLengths lengths;
  EXPECT_EQ(lengths.of(kKernel), 0u);
  lengths.measured(kKernel, 1000);
  EXPECT_EQ(lengths.of(kKernel), 1000u);
  lengths.measured(kKernel, 2000);
  EXPECT_EQ(lengths.of(kKernel), 1250u);
  EXPECT_EQ(lengths.of(kLonger), 0u);
  lengths.measured(kLonger, 0);
  EXPECT_EQ(lengths.of(kLonger), 1u);  // known
}

}  // namespace
}  // namespace tessera::vgpu

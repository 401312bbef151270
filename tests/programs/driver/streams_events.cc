// Streams as queues: order within one, waits across two by events, host callbacks in their place, event
// times.
#include <atomic>

#include "driver_check.h"

extern "C" const char streams_ptx[];

namespace {

constexpr uint32_t kCount = 4096, kSteps = 400;
constexpr size_t kBytes = kCount * sizeof(uint32_t);

uint32_t advanced(uint32_t state, uint32_t steps) {
  for (uint32_t step = 0; step < steps; ++step) state = state * 1664525u + 1013904223u;
  return state;
}

class Stream {
 public:
  Stream() { CU_CHECK(cuStreamCreate(&stream_, CU_STREAM_NON_BLOCKING)); }
  ~Stream() { (void)cuStreamDestroy_v2(stream_); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  CUstream get() const { return stream_; }

 private:
  CUstream stream_ = nullptr;
};

class Event {
 public:
  explicit Event(unsigned flags = CU_EVENT_DEFAULT) { CU_CHECK(cuEventCreate(&event_, flags)); }
  ~Event() { (void)cuEventDestroy_v2(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  CUevent get() const { return event_; }

 private:
  CUevent event_ = nullptr;
};

class PinnedArray {
 public:
  PinnedArray() { CU_CHECK(cuMemAllocHost_v2(&memory_, kBytes)); }
  ~PinnedArray() { (void)cuMemFreeHost(memory_); }
  PinnedArray(const PinnedArray&) = delete;
  PinnedArray& operator=(const PinnedArray&) = delete;
  uint32_t* get() const { return static_cast<uint32_t*>(memory_); }

 private:
  void* memory_ = nullptr;
};

// The host function runs after what was queued before it and before what comes after.
struct Observation {
  const uint32_t* results;
  uint32_t first_seen;
  std::atomic<bool> called;
};

void observe(void* data) {
  auto* observation = static_cast<Observation*>(data);
  observation->first_seen = observation->results[0];
  observation->called = true;
}

// Two streams work on their own arrays; the first waits for the second, then combines both.
void check_two_streams(const check::Module& module) {
  const CUfunction advance = module.function("advance"), combine = module.function("combine");
  const Stream first, second;
  const Event second_done(CU_EVENT_DISABLE_TIMING);
  const PinnedArray in_a, in_b, out;
  const check::DeviceArray<uint32_t> a(kCount), b(kCount), combined(kCount);
  for (uint32_t i = 0; i < kCount; ++i) {
    in_a.get()[i] = i;
    in_b.get()[i] = 7 * i + 3;
  }
  CU_CHECK(cuMemcpyHtoDAsync_v2(a.get(), in_a.get(), kBytes, first.get()));
  CU_CHECK(cuMemcpyHtoDAsync_v2(b.get(), in_b.get(), kBytes, second.get()));
  check::launch(advance, {kCount / 128}, {128}, first.get(), a.get(), kCount, kSteps);
  check::launch(advance, {kCount / 128}, {128}, second.get(), b.get(), kCount, 5 * kSteps);  // the slower one
  CU_CHECK(cuEventRecord(second_done.get(), second.get()));
  CU_CHECK(cuStreamWaitEvent(first.get(), second_done.get(), 0));
  check::launch(combine, {kCount / 128}, {128}, first.get(), a.get(), b.get(), combined.get(), kCount);
  CU_CHECK(cuMemcpyDtoHAsync_v2(out.get(), combined.get(), kBytes, first.get()));
  Observation observation = {out.get(), 0, false};
  CU_CHECK(cuLaunchHostFunc(first.get(), observe, &observation));
  CU_CHECK(cuMemsetD32Async(combined.get(), 0, kCount, first.get()));
  CU_CHECK(cuMemcpyDtoHAsync_v2(in_a.get(), combined.get(), kBytes, first.get()));
  CU_CHECK(cuStreamSynchronize(first.get()));

  CU_CHECK(cuStreamQuery(first.get()));
  CU_CHECK(cuEventQuery(second_done.get()));
  for (uint32_t i = 0; i < kCount; ++i) {
    const uint32_t want = advanced(i, kSteps) * 31u + advanced(7 * i + 3, 5 * kSteps);
    REQUIRE(out.get()[i] == want, "combined[%u] is %u, not %u", i, out.get()[i], want);
    REQUIRE(in_a.get()[i] == 0, "the memset that was queued last shows %u at %u", in_a.get()[i], i);
  }
  REQUIRE(observation.called && observation.first_seen == out.get()[0], "the host function saw %u, not %u",
          observation.first_seen, out.get()[0]);
}

// Times between events are positive, ordered, and add up.
float check_times(const check::Module& module) {
  const CUfunction advance = module.function("advance");
  const Stream stream;
  const Event begin, middle, end;
  std::vector<uint32_t> states(kCount, 1);
  const check::DeviceArray<uint32_t> device_states(states);
  CU_CHECK(cuEventRecord(begin.get(), stream.get()));
  check::launch(advance, {kCount / 128}, {128}, stream.get(), device_states.get(), kCount, kSteps);
  CU_CHECK(cuEventRecord(middle.get(), stream.get()));
  check::launch(advance, {kCount / 128}, {128}, stream.get(), device_states.get(), kCount, 8 * kSteps);
  CU_CHECK(cuEventRecord(end.get(), stream.get()));
  CU_CHECK(cuEventSynchronize(end.get()));
  float first = 0, second = 0, both = 0;
  CU_CHECK(cuEventElapsedTime_v2(&first, begin.get(), middle.get()));
  CU_CHECK(cuEventElapsedTime_v2(&second, middle.get(), end.get()));
  CU_CHECK(cuEventElapsedTime_v2(&both, begin.get(), end.get()));
  REQUIRE(first > 0 && second > 0, "times of %g and %g ms", first, second);
  REQUIRE(both >= first && both >= second, "%g ms in all, %g and %g in parts", both, first, second);
  REQUIRE(std::fabs(both - first - second) <= 0.01f + 0.01f * both, "%g + %g ms is not %g", first, second,
          both);
  for (uint32_t& state : states) state = advanced(state, 9 * kSteps);
  check::require_equal(device_states.download(), states, "states");
  return both;
}

void check_errors() {
  const Event untimed(CU_EVENT_DISABLE_TIMING), never;
  float milliseconds = 0;
  CU_CHECK(cuEventRecord(untimed.get(), nullptr));
  CU_EXPECT(CUDA_ERROR_INVALID_HANDLE, cuEventElapsedTime_v2(&milliseconds, untimed.get(), untimed.get()));
  CU_EXPECT(CUDA_ERROR_INVALID_HANDLE, cuEventElapsedTime_v2(&milliseconds, never.get(), never.get()));
  CU_CHECK(cuEventQuery(never.get()));  // never recorded counts as complete
}

}  // namespace

int main() {
  const check::Context context;
  const check::Module module(streams_ptx);
  check_two_streams(module);
  const float milliseconds = check_times(module);
  check_errors();
  return check::pass("2 streams, waits, a host function; %.3f ms by events", milliseconds);
}

// Times its own kernels by events: the daemon's figures of GPU time are to be the same.
//
// A pair of events around kernels in a stream that is idle when the first one is recorded holds what it takes
// until the first kernel runs, too: the device is idle meanwhile. Events between kernels that are queued
// already hold the kernels alone.
//
// Alone, it checks that longer kernels take longer by their events. With the argument "ask" each line of
// standard input is "KERNELS STEPS" or "KERNELS STEPS each"; it runs so many kernels of so many steps, with
// an event before and after all or after each as well, and answers "kernels=…,event_ns=…,queued_ns=…" of that
// line: from the first event to the last, and from the end of the first kernel, where that is known, or 0.
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "driver_check.h"

namespace {

constexpr const char* kPtx = R"(
.version 6.4
.target sm_70
.address_size 64
.visible .entry spin(.param .u32 steps) {
  .reg .pred %p<2>;
  .reg .b32 %r<4>;
  ld.param.u32 %r1, [steps];
  mov.u32 %r2, 0;
again:
  add.u32 %r2, %r2, 1;
  setp.lt.u32 %p1, %r2, %r1;
  @%p1 bra again;
  ret;
}
)";

struct Times {  // in nanoseconds, as the driver measures them
  double all = 0;
  double queued = 0;
};

class Timed {
 public:
  Timed() : module_(kPtx), spin_(module_.function("spin")) {
    CU_CHECK(cuStreamCreate(&stream_, CU_STREAM_NON_BLOCKING));
  }
  Times run(int kernels, uint32_t steps, bool each = false) {
    void* parameters[] = {&steps};
    record(0);
    size_t last = 0;
    for (int i = 1; i <= kernels; ++i) {
      CU_CHECK(cuLaunchKernel(spin_, 1, 1, 1, 32, 1, 1, 0, stream_, parameters, nullptr));
      if (each || i == kernels) record(++last);
    }
    CU_CHECK(cuEventSynchronize(events_[last]));
    return {between(0, last), last > 1 ? between(1, last) : 0};
  }

 private:
  void record(size_t which) {
    if (which == events_.size()) CU_CHECK(cuEventCreate(&events_.emplace_back(), CU_EVENT_DEFAULT));
    CU_CHECK(cuEventRecord(events_[which], stream_));
  }
  double between(size_t begin, size_t end) {
    float ms = 0;
    CU_CHECK(cuEventElapsedTime(&ms, events_[begin], events_[end]));
    return static_cast<double>(ms) * 1e6;
  }

  check::Module module_;
  CUfunction spin_;
  std::vector<CUevent> events_;
  CUstream stream_ = nullptr;
};

}  // namespace

int main(int argc, char** argv) {
  check::Context context;
  Timed timed;
  if (argc > 1 && std::string(argv[1]) == "ask") {
    for (std::string line; std::getline(std::cin, line);) {
      int kernels = 0;
      uint32_t steps = 0;
      std::string each;
      std::istringstream(line) >> kernels >> steps >> each;
      const Times times = timed.run(kernels, steps, each == "each");
      printf("kernels=%d,event_ns=%.0f,queued_ns=%.0f\n", kernels, times.all, times.queued);
      fflush(stdout);
    }
    return check::pass("timed");
  }
  constexpr uint32_t kFew = 1'000, kMany = 100'000;
  const double few = timed.run(3, kFew).all, many = timed.run(3, kMany).all;
  REQUIRE(few > 0 && many > 0, "three kernels take %.0f ns, longer ones %.0f ns", few, many);
  return check::pass("timed");
}

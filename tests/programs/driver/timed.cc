// Times its own kernels by events: the daemon's figures of GPU time are to be the same. So many at a time
// that what lies between the first event and the first kernel is nothing against them.
//
// Alone, it checks that longer kernels take longer by their events. With the argument "ask" each line of
// standard input is "KERNELS STEPS"; it runs so many kernels of so many steps, and answers
// "kernels=…,event_ns=…" of that line.
#include <iostream>
#include <sstream>
#include <string>

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

class Timed {
 public:
  Timed() : module_(kPtx), spin_(module_.function("spin")) {
    CU_CHECK(cuEventCreate(&begin_, CU_EVENT_DEFAULT));
    CU_CHECK(cuEventCreate(&end_, CU_EVENT_DEFAULT));
    CU_CHECK(cuStreamCreate(&stream_, CU_STREAM_NON_BLOCKING));
  }
  // In nanoseconds, as the driver measures them.
  double run(int kernels, uint32_t steps) {
    void* parameters[] = {&steps};
    CU_CHECK(cuEventRecord(begin_, stream_));
    for (int i = 0; i < kernels; ++i) {
      CU_CHECK(cuLaunchKernel(spin_, 1, 1, 1, 32, 1, 1, 0, stream_, parameters, nullptr));
    }
    CU_CHECK(cuEventRecord(end_, stream_));
    CU_CHECK(cuEventSynchronize(end_));
    float ms = 0;
    CU_CHECK(cuEventElapsedTime(&ms, begin_, end_));
    return static_cast<double>(ms) * 1e6;
  }

 private:
  check::Module module_;
  CUfunction spin_;
  CUevent begin_ = nullptr, end_ = nullptr;
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
      std::istringstream(line) >> kernels >> steps;
      const double event_ns = timed.run(kernels, steps);
      printf("kernels=%d,event_ns=%.0f\n", kernels, event_ns);
      fflush(stdout);
    }
    return check::pass("timed");
  }
  constexpr uint32_t kFew = 1'000, kMany = 100'000;
  const double few = timed.run(3, kFew), many = timed.run(3, kMany);
  REQUIRE(few > 0 && many > 0, "three kernels take %.0f ns, longer ones %.0f ns", few, many);
  return check::pass("timed");
}

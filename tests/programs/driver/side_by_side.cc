// Kernels of two streams, each step of one after a step of the other, on as many SMs as there are blocks; the
// result says whether each ran after the one before, whoever else runs beside this program.
//
// With the argument "ask" it does what standard input says until its end: a number of blocks to go on with
// (0: none), answered by that number once a kernel has run so; "?", answered with the SMs on which blocks
// ran since that was asked last: "0,1,5"; or "steps", answered with how many kernels have ended.
#include <atomic>
#include <iostream>
#include <string>
#include <thread>

#include "driver_check.h"

namespace {

// Each block marks its SM, again and again for `turns`; then the first one takes its states a step on.
constexpr const char* kPtx = R"(
.version 6.4
.target sm_70
.address_size 64
.visible .entry step(.param .u64 states, .param .u64 marks, .param .u32 factor, .param .u32 addend, .param .u32 turns) {
  .reg .pred %p<3>;
  .reg .b32 %r<9>;
  .reg .b64 %rd<7>;
  ld.param.u64 %rd1, [states];
  ld.param.u64 %rd2, [marks];
  ld.param.u32 %r1, [factor];
  ld.param.u32 %r2, [addend];
  ld.param.u32 %r3, [turns];
  mov.u32 %r4, 0;
  mov.u32 %r5, 1;
again:
  mov.u32 %r6, %smid;
  mul.wide.u32 %rd3, %r6, 4;
  add.s64 %rd4, %rd2, %rd3;
  st.volatile.global.u32 [%rd4], %r5;
  add.u32 %r4, %r4, 1;
  setp.lt.u32 %p1, %r4, %r3;
  @%p1 bra again;
  mov.u32 %r7, %ctaid.x;
  setp.ne.u32 %p2, %r7, 0;
  @%p2 ret;
  mov.u32 %r8, %tid.x;
  mul.wide.u32 %rd5, %r8, 4;
  add.s64 %rd6, %rd1, %rd5;
  ld.global.u32 %r7, [%rd6];
  mad.lo.u32 %r7, %r7, %r1, %r2;
  st.global.u32 [%rd6], %r7;
  ret;
}
)";

constexpr uint32_t kThreads = 32;
constexpr uint32_t kMostSms = 1024;
constexpr uint32_t kTurns = 2000;  // some 100 us
constexpr size_t kInFlight = 8;
// Of the two streams; the order of two steps shows in what comes of them.
constexpr uint32_t kFactors[2] = {1664525u, 22695477u}, kAddends[2] = {1013904223u, 1u};

class Chain {
 public:
  Chain() : module_(kPtx), step_(module_.function("step")), states_(kThreads) {
    states_.fill(0);
    void* marks = nullptr;
    CU_CHECK(cuMemHostAlloc(&marks, kMostSms * sizeof(uint32_t), CU_MEMHOSTALLOC_DEVICEMAP));
    marks_ = static_cast<uint32_t*>(marks);
    std::fill(marks_, marks_ + kMostSms, 0);
    CU_CHECK(cuMemHostGetDevicePointer_v2(&marks_on_device_, marks, 0));
    for (CUstream& stream : streams_) CU_CHECK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    for (CUevent& event : events_) CU_CHECK(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
  }

  // After the step before, in the other stream; waits for the one kInFlight before it.
  void step(uint32_t blocks) {
    const size_t at = steps_ % 2;
    const CUevent done = events_[steps_ % kInFlight], before = events_[(steps_ + kInFlight - 1) % kInFlight];
    CU_CHECK(cuEventSynchronize(done));
    ended_ = steps_ - std::min<uint64_t>(steps_, kInFlight - 1);
    CU_CHECK(cuStreamWaitEvent(streams_[at], before, 0));
    check::launch(step_, {blocks}, {kThreads}, streams_[at], states_.get(), marks_on_device_, kFactors[at],
                  kAddends[at], kTurns);
    CU_CHECK(cuEventRecord(done, streams_[at]));
    ++steps_;
  }

  void verify() const {
    for (CUstream stream : streams_) CU_CHECK(cuStreamSynchronize(stream));
    uint32_t want = 0;
    for (uint64_t step = 0; step < steps_; ++step) want = want * kFactors[step % 2] + kAddends[step % 2];
    for (uint32_t state : states_.download()) {
      REQUIRE(state == want, "%u after %llu steps, not %u", state, static_cast<unsigned long long>(steps_),
              want);
    }
  }

  std::string seen() const {
    std::string text;
    for (uint32_t sm = 0; sm < kMostSms; ++sm) {
      if (__atomic_exchange_n(&marks_[sm], 0, __ATOMIC_RELAXED) == 0) continue;
      text += (text.empty() ? "" : ",") + std::to_string(sm);
    }
    return text;
  }
  uint64_t steps() const { return steps_; }
  // Any thread.
  uint64_t ended() const { return ended_; }

 private:
  check::Module module_;
  CUfunction step_;
  check::DeviceArray<uint32_t> states_;
  uint32_t* marks_ = nullptr;
  CUdeviceptr marks_on_device_ = 0;
  CUstream streams_[2]{};
  CUevent events_[kInFlight]{};
  uint64_t steps_ = 0;
  std::atomic<uint64_t> ended_ = 0;
};

// Goes on with the chain while main() talks.
class Worker {
 public:
  explicit Worker(Chain& chain, CUcontext context)
      : chain_(chain), context_(context), thread_([this] { work(); }) {}

  // Returns when a step has been launched so.
  void go_on_with(uint32_t blocks) {
    taken_ = false;
    blocks_ = blocks;
    taken_.wait(false);
  }
  void end() {
    blocks_ = kEnd;
    thread_.join();
  }

 private:
  static constexpr uint32_t kEnd = UINT32_MAX;

  void work() {
    CU_CHECK(cuCtxSetCurrent(context_));
    for (uint32_t blocks = blocks_; blocks != kEnd; blocks = blocks_) {
      if (blocks != 0) {
        chain_.step(blocks);
      } else {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
      if (blocks_ != blocks) continue;
      taken_ = true;
      taken_.notify_all();
    }
  }

  Chain& chain_;
  const CUcontext context_;
  std::atomic<uint32_t> blocks_ = 0;
  std::atomic<bool> taken_ = false;
  std::thread thread_;
};

void answer(Chain& chain) {
  CUcontext context = nullptr;
  CU_CHECK(cuCtxGetCurrent(&context));
  Worker worker(chain, context);
  for (std::string line; std::getline(std::cin, line);) {
    if (line == "?") {
      std::cout << chain.seen() << std::endl;
    } else if (line == "steps") {
      std::cout << chain.ended() << std::endl;
    } else {
      worker.go_on_with(static_cast<uint32_t>(std::stoul(line)));
      std::cout << line << std::endl;
    }
  }
  worker.end();
}

}  // namespace

int main(int argc, char** argv) {
  const check::Context context;
  Chain chain;
  if (argc > 1 && std::string(argv[1]) == "ask") {
    answer(chain);
  } else {
    constexpr int kSteps = 200;
    for (int i = 0; i < kSteps; ++i) chain.step(1 + i % 3);
  }
  chain.verify();
  return check::pass("%llu steps, one after the other", static_cast<unsigned long long>(chain.steps()));
}

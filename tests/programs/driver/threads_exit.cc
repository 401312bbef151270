// Ends: threads that exit with contexts current and pushed, with work in flight; calls from exit handlers and
// from destructors of statics, which run after main. The last of them prints the verdict.
#include <unistd.h>

#include <thread>

#include "driver_check.h"

extern "C" const char memory_ptx[];

namespace {

constexpr uint32_t kCount = 4096;

// Ends without popping, and with a kernel on its way in its own default stream.
void leave_in_a_hurry(CUcontext context, CUfunction kernel, CUdeviceptr values) {
  CU_CHECK(cuCtxSetCurrent(context));
  CU_CHECK(cuCtxPushCurrent_v2(context));
  CU_CHECK(cuCtxPushCurrent_v2(context));
  check::launch(kernel, {32}, {128}, CU_STREAM_PER_THREAD, values, kCount);
}

void threads_with_a_shared_context(const check::Context& context, const check::Module& module) {
  constexpr int kThreads = 16;
  // A part for each: nothing orders the streams of different threads, and the kernel does not add atomically.
  check::DeviceArray<uint32_t> values(std::vector<uint32_t>(kThreads * kCount, 0));
  for (int i = 0; i < kThreads; ++i) {
    const CUdeviceptr part = values.get() + i * kCount * sizeof(uint32_t);
    std::thread(leave_in_a_hurry, context.get(), module.function("add_index"), part).join();
  }
  CU_CHECK(cuCtxSynchronize());
  const std::vector<uint32_t> got = values.download();
  for (uint32_t i = 0; i < kThreads * kCount; ++i)
    REQUIRE(got[i] == i % kCount, "values[%u] is %u", i, got[i]);
}

// A context outlives the thread that made it; another thread uses it and ends it, and its memory is back:
// together the rounds take more than there is. (The free memory itself is no measure: others use the device
// too.)
void contexts_of_ended_threads(CUdevice device) {
  size_t total = 0;
  CU_CHECK(cuDeviceTotalMem_v2(&total, device));
  const size_t bytes = total / 4;
  for (int i = 0; i < 6; ++i) {
    CUcontext made = nullptr;
    CUdeviceptr memory = 0;
    std::thread([&] {
      CU_CHECK(cuCtxCreate_v2(&made, 0, device));
      CU_CHECK(cuMemAlloc_v2(&memory, bytes));
      CU_CHECK(cuMemsetD8_v2(memory + bytes - 1, 0x5a, 1));
    }).join();
    std::thread([&] {
      CU_CHECK(cuCtxSetCurrent(made));
      unsigned char last = 0;
      CU_CHECK(cuMemcpyDtoH_v2(&last, memory + bytes - 1, 1));
      REQUIRE(last == 0x5a, "the last byte is %u", last);
      CU_CHECK(cuCtxDestroy_v2(made));
    }).join();
  }
}

struct Late {
  CUcontext context = nullptr;
  CUdevice device = 0;
  CUdeviceptr memory = 0;
  int handlers = 0;
  ~Late();
};

Late late;

bool late_work() {
  uint32_t value = 0;
  return cuCtxSetCurrent(late.context) == CUDA_SUCCESS &&
         cuMemsetD32_v2(late.memory, 42, 1) == CUDA_SUCCESS &&
         cuMemcpyDtoH_v2(&value, late.memory, sizeof value) == CUDA_SUCCESS && value == 42;
}

// The driver may have gone by now (CUDA_ERROR_DEINITIALIZED) or not; what it must not do is crash or hang.
Late::~Late() {
  if (context == nullptr) return;
  const bool worked = late_work() && cuMemFree_v2(memory) == CUDA_SUCCESS;
  const bool gone = cuCtxSynchronize() == CUDA_ERROR_DEINITIALIZED;
  if (handlers != 1 || (!worked && !gone)) {
    std::printf("FAIL %s: exit handlers run: %d\n", program_invocation_short_name, handlers);
    std::fflush(stdout);
    _exit(1);
  }
  check::pass("threads ended holding contexts; calls after main %s", worked ? "work" : "are refused");
}

}  // namespace

int main() {
  CU_CHECK(cuInit(0));
  std::atexit([] { late.handlers += late_work() || cuCtxSynchronize() == CUDA_ERROR_DEINITIALIZED; });
  CU_CHECK(cuDeviceGet(&late.device, 0));
  {
    const check::Context context;
    const check::Module module(memory_ptx);
    threads_with_a_shared_context(context, module);
    contexts_of_ended_threads(context.device());
  }
  CU_CHECK(cuCtxCreate_v2(&late.context, 0, late.device));
  CU_CHECK(cuMemAlloc_v2(&late.memory, 1 << 20));
  return 0;
}

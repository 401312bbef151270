// One cooperative grid on each of two devices, launched together: blocks of both wait for each other and pass
// values around one ring; the order of the streams before and behind; what such a launch refuses.
#include <algorithm>

#include "driver_check.h"

extern "C" const char cooperative_ptx[];

namespace {

constexpr unsigned kThreads = 32, kBlocks = 2, kDevices = 2, kTotal = kBlocks * kDevices;

template <typename T>
T* pinned(size_t count) {
  void* memory = nullptr;
  CU_CHECK(cuMemHostAlloc(&memory, count * sizeof(T), CU_MEMHOSTALLOC_PORTABLE));
  std::fill_n(static_cast<T*>(memory), count, T{});
  return static_cast<T*>(memory);
}

// Of one device: a context, a stream and the kernel.
struct Side {
  explicit Side(int ordinal) : device(ordinal) {
    CU_CHECK(cuDevicePrimaryCtxRetain(&context, device));
    CU_CHECK(cuCtxSetCurrent(context));
    CU_CHECK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    CU_CHECK(cuModuleLoadData(&module, cooperative_ptx));
    CU_CHECK(cuModuleGetFunction(&function, module, "pass_between"));
  }
  ~Side() { (void)cuDevicePrimaryCtxRelease_v2(device); }
  Side(const Side&) = delete;
  Side& operator=(const Side&) = delete;

  CUdevice device;
  CUcontext context = nullptr;
  CUstream stream = nullptr;
  CUmodule module = nullptr;
  CUfunction function = nullptr;
};

struct Ring {
  Ring() : values(pinned<uint32_t>(kTotal)), next(pinned<uint32_t>(kTotal)), arrivals(pinned<uint32_t>(1)) {
    for (unsigned i = 0; i < kTotal; ++i) values[i] = 7 * i + 3;
  }
  ~Ring() {
    for (uint32_t* memory : {values, next, arrivals}) (void)cuMemFreeHost(memory);
  }
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;
  void require_passed(uint32_t rounds) const {
    std::vector<uint32_t> want(kTotal);
    for (unsigned i = 0; i < kTotal; ++i) want[(i + rounds) % kTotal] = 7 * i + 3;
    check::require_equal(std::vector<uint32_t>(values, values + kTotal), want, "values passed on");
  }
  uint32_t *values, *next, *arrivals;
};

// The launches of a ring's grids, and the parameters they point to.
class Launches {
 public:
  Launches(const Side* const (&sides)[kDevices], const Ring& ring, uint32_t rounds)
      : values_(ring.values), next_(ring.next), arrivals_(ring.arrivals), rounds_(rounds) {
    for (unsigned i = 0; i < kDevices; ++i) {
      first_[i] = i * kBlocks;
      void* parameters[] = {&values_, &next_, &arrivals_, &first_[i], &total_, &rounds_};
      std::copy(std::begin(parameters), std::end(parameters), parameters_[i]);
      list[i] = {sides[i]->function, kBlocks, 1, 1, kThreads, 1, 1, 0, sides[i]->stream, parameters_[i]};
    }
  }
  Launches(const Launches&) = delete;
  Launches& operator=(const Launches&) = delete;

  CUDA_LAUNCH_PARAMS list[kDevices];

 private:
  uint32_t *values_, *next_, *arrivals_;
  uint32_t first_[kDevices] = {}, total_ = kTotal, rounds_;
  void* parameters_[kDevices][6];
};

void synchronize(const Side& side) {
  CU_CHECK(cuCtxSetCurrent(side.context));
  CU_CHECK(cuStreamSynchronize(side.stream));
}

void check_ring(const Side& first, const Side& second, unsigned flags) {
  constexpr uint32_t kRounds = 5;
  const Ring ring;
  Launches launches({&first, &second}, ring, kRounds);
  CU_CHECK(cuLaunchCooperativeKernelMultiDevice(launches.list, kDevices, flags));
  synchronize(first);
  synchronize(second);
  ring.require_passed(kRounds);
}

// Work that is before the launch in the second stream holds back the grid in the first; work behind it in the
// first waits for the grid in the second.
void check_order(const Side& first, const Side& second) {
  constexpr uint32_t kRounds = 1;
  const Ring ring;
  Launches launches({&first, &second}, ring, kRounds);
  uint32_t* const gate = pinned<uint32_t>(2);
  const auto address = reinterpret_cast<CUdeviceptr>(gate);
  CU_CHECK(cuCtxSetCurrent(second.context));
  CU_CHECK(cuStreamWaitValue32_v2(second.stream, address, 1, CU_STREAM_WAIT_VALUE_EQ));
  CU_CHECK(cuLaunchCooperativeKernelMultiDevice(launches.list, kDevices, 0));
  CU_CHECK(cuCtxSetCurrent(first.context));
  CU_CHECK(cuStreamWriteValue32_v2(first.stream, address + 4, 1, 0));
  CU_EXPECT(CUDA_ERROR_NOT_READY, cuStreamQuery(first.stream));
  REQUIRE(ring.arrivals[0] == 0, "a grid began before the work in the other's stream was done");
  *static_cast<volatile uint32_t*>(gate) = 1;
  synchronize(first);
  REQUIRE(gate[1] == 1, "the work behind the launch is not done");
  ring.require_passed(kRounds);
  synchronize(second);
  CU_CHECK(cuMemFreeHost(gate));
}

void check_refusals(const Side& first, const Side& second) {
  const Ring ring;
  Launches good({&first, &second}, ring, 1), twice({&first, &first}, ring, 1);
  auto refused = [](CUresult expected, CUDA_LAUNCH_PARAMS* list, unsigned count, unsigned flags = 0) {
    CU_EXPECT(expected, cuLaunchCooperativeKernelMultiDevice(list, count, flags));
  };
  refused(CUDA_ERROR_INVALID_VALUE, nullptr, kDevices);
  refused(CUDA_ERROR_INVALID_VALUE, good.list, 0);
  refused(CUDA_ERROR_INVALID_VALUE, good.list, 1000);
  refused(CUDA_ERROR_INVALID_VALUE, good.list, kDevices, 4);
  refused(CUDA_ERROR_INVALID_VALUE, twice.list, kDevices);  // on one device
  const CUDA_LAUNCH_PARAMS before = good.list[1];
  good.list[1].blockDimX = 64;
  refused(CUDA_ERROR_INVALID_VALUE, good.list, kDevices);
  good.list[1] = before;
  good.list[1].function = first.function;  // of another context
  refused(CUDA_ERROR_INVALID_HANDLE, good.list, kDevices);
  good.list[1] = before;
  good.list[1].hStream = nullptr;
  refused(CUDA_ERROR_INVALID_HANDLE, good.list, kDevices);
  good.list[1] = before;
  good.list[0].gridDimX = good.list[1].gridDimX = 1u << 20;
  refused(CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE, good.list, kDevices);
  REQUIRE(ring.arrivals[0] == 0, "a refused launch ran");
}

}  // namespace

int main() {
  CU_CHECK(cuInit(0));
  int count = 0, supported = 0;
  CU_CHECK(cuDeviceGetCount(&count));
  if (count < 2) check::skip("needs two devices");
  CU_CHECK(cuDeviceGetAttribute(&supported, CU_DEVICE_ATTRIBUTE_COOPERATIVE_MULTI_DEVICE_LAUNCH, 0));
  if (supported == 0) check::skip("the device has no cooperative launches on several");
  const Side first(0), second(1);
  for (const unsigned flags : {0u, 1u, 2u, 3u}) check_ring(first, second, flags);
  check_order(first, second);
  check_refusals(first, second);
  return check::pass("%u blocks of two devices waited for each other", kTotal);
}

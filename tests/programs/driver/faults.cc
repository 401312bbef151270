// Faults injected by a device's control file (docs/softgpu.md, "Faults"), as a program meets them: memory
// errors, a hang, a device that is lost; that other devices go on, and that all is well after `clear`. Each
// case is a child process. Skipped where SOFTGPU_STATE_DIR does not name a folder of this program's own.
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <functional>
#include <string>
#include <thread>

#include "child.h"
#include "driver_check.h"

extern "C" const char fault_ptx[];

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds kGiveUp{60};
constexpr unsigned kWords = 1024;

std::string control_file() {
  const char* folder = std::getenv("SOFTGPU_STATE_DIR");
  if (folder == nullptr) check::skip("SOFTGPU_STATE_DIR is not set");
  (void)mkdir(folder, 0700);  // where no process has used it yet
  return std::string(folder) + "/gpu0.control";
}

void tell(const std::string& command) { std::ofstream(control_file(), std::ios::app) << command << "\n"; }

// Calls until it answers `wanted`; the device takes commands in its own time.
void await(CUresult wanted, const char* what, const std::function<CUresult()>& call) {
  const Clock::time_point until = Clock::now() + kGiveUp;
  CUresult got = CUDA_SUCCESS;
  while ((got = call()) != wanted) {
    REQUIRE(Clock::now() < until, "%s: still %s, not %s", what, cu_name(got), cu_name(wanted));
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

// A context on one device, with memory and a kernel that writes there.
class Worker {
 public:
  // In a slice a device that has failed is closed until it was seen to be well again.
  explicit Worker(int ordinal) {
    await(CUDA_SUCCESS, "cuInit", [] { return cuInit(0); });
    CU_CHECK(cuDeviceGet(&device_, ordinal));
    CU_CHECK(cuDevicePrimaryCtxRetain(&context_, device_));
    CU_CHECK(cuCtxSetCurrent(context_));
    CU_CHECK(cuModuleLoadData(&module_, fault_ptx));
    CU_CHECK(cuModuleGetFunction(&store_at_, module_, "store_at"));
    CU_CHECK(cuMemAlloc_v2(&memory_, kWords * sizeof(uint32_t)));
  }
  CUdeviceptr memory() const { return memory_; }
  CUresult launch() {
    CUdeviceptr good = memory_, target = memory_;
    void* parameters[] = {&good, &target};
    (void)cuCtxSetCurrent(context_);
    return cuLaunchKernel(store_at_, 1, 1, 1, 32, 1, 1, 0, nullptr, parameters, nullptr);
  }
  CUresult run() {
    const CUresult result = launch();
    return result == CUDA_SUCCESS ? cuCtxSynchronize() : result;
  }
  bool idle() {
    CU_CHECK(cuCtxSetCurrent(context_));
    return cuStreamQuery(nullptr) == CUDA_SUCCESS;
  }
  CUresult read() {
    uint32_t word = 0;
    (void)cuCtxSetCurrent(context_);
    return cuMemcpyDtoH_v2(&word, memory_, sizeof word);
  }
  void require_works() {
    CU_CHECK(run());
    std::vector<uint32_t> got(32), want(32);
    CU_CHECK(cuMemcpyDtoH_v2(got.data(), memory_, 32 * sizeof(uint32_t)));
    for (uint32_t i = 0; i < 32; ++i) want[i] = i;
    check::require_equal(got, want, "what the kernel wrote");
  }
  void require_failed(CUresult error) {
    CUdeviceptr more = 0;
    CU_EXPECT(error, run());
    CU_EXPECT(error, read());
    CU_EXPECT(error, cuMemAlloc_v2(&more, 4096));
    CU_EXPECT(error, cuCtxSynchronize());
  }

 private:
  CUdevice device_ = 0;
  CUcontext context_ = nullptr;
  CUmodule module_ = nullptr;
  CUfunction store_at_ = nullptr;
  CUdeviceptr memory_ = 0;
};

std::string error_at(CUdeviceptr address) {
  return "ecc double address=" + std::to_string(address) + " pid=" + std::to_string(getpid());
}

void kernel_meets_an_error() {
  Worker ill(0), well(1);
  ill.require_works();
  tell(error_at(ill.memory()));
  await(CUDA_ERROR_ECC_UNCORRECTABLE, "a kernel on a bad page", [&] { return ill.run(); });
  ill.require_failed(CUDA_ERROR_ECC_UNCORRECTABLE);
  well.require_works();
}

void copy_meets_an_error() {
  Worker ill(0), well(1);
  tell(error_at(ill.memory()));
  await(CUDA_ERROR_ECC_UNCORRECTABLE, "a copy from a bad page", [&] { return ill.read(); });
  ill.require_failed(CUDA_ERROR_ECC_UNCORRECTABLE);
  well.require_works();
}

void error_anywhere() {
  Worker ill(0);
  tell("ecc double");
  await(CUDA_ERROR_ECC_UNCORRECTABLE, "the next kernel", [&] { return ill.run(); });
  ill.require_failed(CUDA_ERROR_ECC_UNCORRECTABLE);
}

void corrected_errors_do_no_harm() {
  Worker worker(0);
  tell("ecc single count=5");
  tell("xid 13");
  for (int i = 0; i < 100; ++i) worker.require_works();
}

void hang_until_cleared() {
  Worker hung(0), well(1);
  tell("hang");
  // A kernel that is not done when so many later ones on the other device are: the hang has begun.
  const Clock::time_point until = Clock::now() + kGiveUp;
  for (int standing = 0; standing < 100;) {
    REQUIRE(Clock::now() < until, "kernels still run");
    CU_CHECK(hung.launch());
    well.require_works();
    standing = hung.idle() ? 0 : standing + 1;
  }
  tell("clear");
  CU_CHECK(cuCtxSynchronize());
  hung.require_works();
}

void hang_until_the_watchdog() {
  Worker hung(0), well(1);
  tell("hang timeout=2");
  await(CUDA_ERROR_LAUNCH_TIMEOUT, "a kernel that stands still", [&] { return hung.run(); });
  hung.require_failed(CUDA_ERROR_LAUNCH_TIMEOUT);
  well.require_works();
}

void slowed_kernels_are_right() {
  Worker worker(0);
  tell("slow 3");
  for (int i = 0; i < 100; ++i) worker.require_works();
}

void lost_device() {
  Worker gone(0), well(1);
  tell("lost");
  await(CUDA_ERROR_UNKNOWN, "work on a lost device", [&] { return gone.run(); });
  gone.require_failed(CUDA_ERROR_UNKNOWN);
  well.require_works();
}

void no_context_on_a_lost_device() {
  CUcontext context = nullptr;
  CU_CHECK(cuInit(0));
  CU_EXPECT(CUDA_ERROR_DEVICE_UNAVAILABLE, cuDevicePrimaryCtxRetain(&context, 0));
  CU_EXPECT(CUDA_ERROR_DEVICE_UNAVAILABLE, cuCtxCreate_v2(&context, 0, 0));
  Worker(1).require_works();
}

void everything_works() {
  Worker(0).require_works();
  Worker(1).require_works();
}

#define CASE(name)                \
  do {                            \
    check::in_child(#name, name); \
    tell("clear");                \
  } while (0)

}  // namespace

int main() {
  std::ofstream(control_file()) << "clear\n";
  CASE(kernel_meets_an_error);
  CASE(copy_meets_an_error);
  CASE(error_anywhere);
  CASE(corrected_errors_do_no_harm);
  CASE(hang_until_cleared);
  CASE(hang_until_the_watchdog);
  CASE(slowed_kernels_are_right);
  check::in_child("lost_device", lost_device);
  CASE(no_context_on_a_lost_device);
  check::in_child("everything_works", everything_works);
  return check::pass("memory errors, hangs, slowness and a lost device, each felt on its own device alone");
}

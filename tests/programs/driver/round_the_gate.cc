// A program that goes round Tessera: it opens another copy of the driver below, and launches through that.
//
// With a copy's path as its argument it does what standard input says until its end: "gated" (kernels through
// the driver that it is linked with), "beside" (through the copy) or "rest"; it answers each line once a
// kernel has run that way. Without an argument it runs some kernels through its driver.
#include <dlfcn.h>
#include <poll.h>
#include <unistd.h>

#include <iostream>
#include <string>

#include "driver_check.h"

namespace {

// Each thread works for `steps`, and counts itself.
constexpr const char* kPtx = R"(
.version 6.4
.target sm_70
.address_size 64
.visible .entry work(.param .u64 count, .param .u32 steps) {
  .reg .pred %p<2>;
  .reg .b32 %r<6>;
  .reg .b64 %rd<5>;
  ld.param.u64 %rd1, [count];
  ld.param.u32 %r1, [steps];
  mov.u32 %r2, 0;
again:
  add.u32 %r2, %r2, 1;
  setp.lt.u32 %p1, %r2, %r1;
  @%p1 bra again;
  atom.global.add.u32 %r3, [%rd1], 1;
  ret;
}
)";

constexpr uint32_t kBlocks = 64;
constexpr uint32_t kThreads = 32;
constexpr uint32_t kSteps = 3000;

// One driver, by its functions.
struct Driver {
  decltype(&cuInit) init;
  decltype(&cuDeviceGet) device;
  decltype(&cuDevicePrimaryCtxRetain) retain;
  decltype(&cuCtxSetCurrent) set_current;
  decltype(&cuModuleLoadData) load;
  decltype(&cuModuleGetFunction) function;
  decltype(&cuMemAlloc_v2) allocate;
  decltype(&cuMemsetD32_v2) fill;
  decltype(&cuMemcpyDtoH_v2) download;
  decltype(&cuLaunchKernel) launch;
};

constexpr Driver kLinked = {cuInit,          cuDeviceGet,      cuDevicePrimaryCtxRetain,
                            cuCtxSetCurrent, cuModuleLoadData, cuModuleGetFunction,
                            cuMemAlloc_v2,   cuMemsetD32_v2,   cuMemcpyDtoH_v2,
                            cuLaunchKernel};

template <typename Function>
void find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  REQUIRE(function != nullptr, "the copy has no %s", name);
}

Driver open_copy(const char* path) {
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  REQUIRE(library != nullptr, "%s", dlerror());
  Driver driver{};
  find(library, "cuInit", driver.init);
  find(library, "cuDeviceGet", driver.device);
  find(library, "cuDevicePrimaryCtxRetain", driver.retain);
  find(library, "cuCtxSetCurrent", driver.set_current);
  find(library, "cuModuleLoadData", driver.load);
  find(library, "cuModuleGetFunction", driver.function);
  find(library, "cuMemAlloc_v2", driver.allocate);
  find(library, "cuMemsetD32_v2", driver.fill);
  find(library, "cuMemcpyDtoH_v2", driver.download);
  find(library, "cuLaunchKernel", driver.launch);
  return driver;
}

// Work by one driver, on device 0.
class Worker {
 public:
  explicit Worker(const Driver& driver) : driver_(driver) {
    CUdevice device = 0;
    CUcontext context = nullptr;
    CUmodule module = nullptr;
    CU_CHECK(driver_.init(0));
    CU_CHECK(driver_.device(&device, 0));
    CU_CHECK(driver_.retain(&context, device));
    CU_CHECK(driver_.set_current(context));
    CU_CHECK(driver_.load(&module, kPtx));
    CU_CHECK(driver_.function(&function_, module, "work"));
    CU_CHECK(driver_.allocate(&count_, sizeof(uint32_t)));
  }

  void run_kernel() const {
    uint32_t steps = kSteps, counted = 0;
    CUdeviceptr count = count_;
    void* parameters[] = {&count, &steps};
    CU_CHECK(driver_.fill(count_, 0, 1));
    CU_CHECK(driver_.launch(function_, kBlocks, 1, 1, kThreads, 1, 1, 0, nullptr, parameters, nullptr));
    CU_CHECK(driver_.download(&counted, count_, sizeof counted));
    REQUIRE(counted == kBlocks * kThreads, "%u threads ran, not %u", counted, kBlocks * kThreads);
  }

 private:
  Driver driver_;
  CUfunction function_ = nullptr;
  CUdeviceptr count_ = 0;
};

bool has_input(bool wait) {
  pollfd input{STDIN_FILENO, POLLIN, 0};
  return poll(&input, 1, wait ? -1 : 0) == 1;
}

void follow_input(const char* path) {
  const Worker gated(kLinked);
  const Worker beside(open_copy(path));
  const Worker* worker = nullptr;
  for (;;) {
    if (has_input(worker == nullptr)) {
      std::string line;
      if (!std::getline(std::cin, line)) return;
      worker = line == "gated" ? &gated : line == "beside" ? &beside : nullptr;
      if (worker != nullptr) worker->run_kernel();
      std::cout << line << std::endl;
    } else {
      worker->run_kernel();
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) {
    follow_input(argv[1]);
    return check::pass("did as it was told");
  }
  constexpr int kKernels = 10;
  const Worker worker(kLinked);
  for (int i = 0; i < kKernels; ++i) worker.run_kernel();
  return check::pass("%d kernels", kKernels);
}

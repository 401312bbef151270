// A kernel that writes outside its allocations: error 700, and from then on every call of that context
// answers the same. Each case is a child process, forked before any CUDA call; the parent then works on as if
// nothing had been.
#include <sys/wait.h>
#include <unistd.h>

#include "driver_check.h"

extern "C" const char fault_ptx[];

namespace {

// Where the bad store goes, relative to a good allocation of one page.
enum class Target { kNull, kWild, kFreed };

CUdeviceptr bad_address(Target target) {
  switch (target) {
    case Target::kNull:
      return 0;
    case Target::kWild:
      return CUdeviceptr{1} << 46;
    case Target::kFreed:
      break;
  }
  CUdeviceptr freed = 0;
  CU_CHECK(cuMemAlloc_v2(&freed, 32u << 20));
  CU_CHECK(cuMemFree_v2(freed));
  return freed;
}

void fault(Target target) {
  const check::Context context;
  const check::Module module(fault_ptx);
  const CUfunction store_at = module.function("store_at");
  const check::DeviceArray<uint32_t> good(1024);
  const CUdeviceptr bad = bad_address(target);
  check::launch(store_at, {1}, {32}, nullptr, good.get(), bad);
  CU_EXPECT(CUDA_ERROR_ILLEGAL_ADDRESS, cuCtxSynchronize());
  CUdeviceptr more = 0;
  uint32_t word = 0;
  CU_EXPECT(CUDA_ERROR_ILLEGAL_ADDRESS, cuMemAlloc_v2(&more, 4096));
  CU_EXPECT(CUDA_ERROR_ILLEGAL_ADDRESS, cuMemcpyDtoH_v2(&word, good.get(), sizeof(word)));
  CU_EXPECT(CUDA_ERROR_ILLEGAL_ADDRESS, cuCtxSynchronize());
}

void good_store() {
  const check::Context context;
  const check::Module module(fault_ptx);
  check::DeviceArray<uint32_t> good(32);
  good.fill(0xff);
  check::launch(module.function("store_at"), {1}, {32}, nullptr, good.get(), good.get());
  CU_CHECK(cuCtxSynchronize());
  std::vector<uint32_t> want(32);
  for (uint32_t i = 0; i < 32; ++i) want[i] = i;
  check::require_equal(good.download(), want, "good store");
}

}  // namespace

int main() {
  // A host address is not among them: where the device can reach pageable memory (HMM, ATS) that store is
  // legal.
  const Target targets[] = {Target::kNull, Target::kWild, Target::kFreed};
  for (const Target target : targets) {
    const pid_t child = fork();
    REQUIRE(child >= 0, "fork failed");
    if (child == 0) {
      fault(target);
      std::exit(0);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child, "waitpid failed");
    REQUIRE(WIFEXITED(status), "case %d: the child died of signal %d", static_cast<int>(target),
            WTERMSIG(status));
    if (WEXITSTATUS(status) == check::kSkipExitCode) return check::kSkipExitCode;
    REQUIRE(WEXITSTATUS(status) == 0, "case %d failed in the child", static_cast<int>(target));
  }
  good_store();
  return check::pass("%zu bad stores ended in CUDA_ERROR_ILLEGAL_ADDRESS, sticky; another process works on",
                     sizeof(targets) / sizeof(targets[0]));
}

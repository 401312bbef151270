// Two devices: copies between them, and kernels of one in the memory of the other, which is allowed while
// peer access is switched on and error 700 otherwise.
#include <sys/wait.h>
#include <unistd.h>

#include "driver_check.h"

extern "C" const char memory_ptx[];
extern "C" const char fault_ptx[];

namespace {

constexpr uint32_t kCount = 1000;

// The primary context of one device.
class Peer {
 public:
  explicit Peer(int ordinal) {
    CU_CHECK(cuDeviceGet(&device_, ordinal));
    CU_CHECK(cuDevicePrimaryCtxRetain(&context_, device_));
  }
  ~Peer() { (void)cuDevicePrimaryCtxRelease_v2(device_); }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;
  CUcontext get() const { return context_; }
  void use() const { CU_CHECK(cuCtxSetCurrent(context_)); }

 private:
  CUdevice device_ = 0;
  CUcontext context_ = nullptr;
};

std::vector<uint32_t> sequence(uint32_t start, uint32_t step) {
  std::vector<uint32_t> values(kCount);
  for (uint32_t i = 0; i < kCount; ++i) values[i] = start + step * i;
  return values;
}

void check_copies(const Peer& first, const Peer& second) {
  const std::vector<uint32_t> want = sequence(3, 7);
  first.use();
  const check::DeviceArray<uint32_t> here(want), back(sequence(0, 0));
  second.use();
  const check::DeviceArray<uint32_t> there(sequence(0, 0));
  CUstream stream = nullptr;
  CU_CHECK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  CU_CHECK(cuMemcpyPeerAsync(there.get(), second.get(), here.get(), first.get(), here.bytes(), stream));
  CU_CHECK(cuStreamSynchronize(stream));
  check::require_equal(there.download(), want, "copied to the peer");
  CUDA_MEMCPY3D_PEER rows{};
  rows.srcMemoryType = rows.dstMemoryType = CU_MEMORYTYPE_DEVICE;
  rows.srcDevice = there.get();
  rows.srcContext = second.get();
  rows.dstDevice = back.get();
  rows.dstContext = first.get();
  rows.WidthInBytes = rows.srcPitch = rows.dstPitch = 40;
  rows.Height = kCount / 10;
  rows.Depth = 1;
  CU_CHECK(cuMemcpy3DPeer(&rows));
  check::require_equal(back.download(), want, "copied back in rows");
  CU_CHECK(cuStreamDestroy_v2(stream));
}

// Memory that is there when access is switched on, and memory that comes later.
void check_kernels(const Peer& first, const Peer& second) {
  second.use();
  const check::DeviceArray<uint32_t> early(sequence(5, 0));
  first.use();
  const check::Module module(memory_ptx);
  CU_CHECK(cuCtxEnablePeerAccess(second.get(), 0));
  CU_EXPECT(CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED, cuCtxEnablePeerAccess(second.get(), 0));
  CU_EXPECT(CUDA_ERROR_INVALID_CONTEXT, cuCtxEnablePeerAccess(first.get(), 0));
  second.use();
  const check::DeviceArray<uint32_t> late(sequence(6, 0));
  first.use();
  for (const CUdeviceptr address : {early.get(), late.get()})
    check::launch(module.function("add_index"), {4}, {64}, nullptr, address, kCount);
  CU_CHECK(cuCtxSynchronize());
  check::require_equal(early.download(), sequence(5, 1), "written by the peer");
  check::require_equal(late.download(), sequence(6, 1), "allocated later, written by the peer");
  CU_CHECK(cuCtxDisablePeerAccess(second.get()));
  CU_EXPECT(CUDA_ERROR_PEER_ACCESS_NOT_ENABLED, cuCtxDisablePeerAccess(second.get()));
}

void check_pool(const Peer& first, const Peer& second) {
  second.use();
  CUmemoryPool pool = nullptr;
  CU_CHECK(cuDeviceGetMemPool(&pool, 1));
  CUmemAccessDesc access{{CU_MEM_LOCATION_TYPE_DEVICE, 0}, CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
  CU_CHECK(cuMemPoolSetAccess(pool, &access, 1));
  CUmemAccess_flags flags{};
  CU_CHECK(cuMemPoolGetAccess(&flags, pool, &access.location));
  REQUIRE(flags == CU_MEM_ACCESS_FLAGS_PROT_READWRITE, "access %d was granted", static_cast<int>(flags));
  CUmemAccessDesc nobody{{CU_MEM_LOCATION_TYPE_DEVICE, 1000}, CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemPoolSetAccess(pool, &nobody, 1));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemPoolGetAccess(&flags, pool, &nobody.location));
  CUdeviceptr values = 0;
  CU_CHECK(cuMemAllocAsync(&values, kCount * sizeof(uint32_t), nullptr));
  CU_CHECK(cuMemsetD32Async(values, 9, kCount, nullptr));
  CU_CHECK(cuCtxSynchronize());
  first.use();
  {
    const check::Module module(memory_ptx);
    check::launch(module.function("add_index"), {4}, {64}, nullptr, values, kCount);
    CU_CHECK(cuCtxSynchronize());
  }
  std::vector<uint32_t> got(kCount);
  CU_CHECK(cuMemcpyDtoH_v2(got.data(), values, kCount * sizeof(uint32_t)));
  check::require_equal(got, sequence(9, 1), "the peer's pool");
  second.use();
  CU_CHECK(cuMemFreeAsync(values, nullptr));
  CU_CHECK(cuCtxSynchronize());
}

// What a kernel of the first device meets in memory of the second, in a process of its own.
enum class Road { kNeverOn, kSwitchedOff, kPoolReadOnly };

void forbidden(Road road) {
  CU_CHECK(cuInit(0));
  const Peer first(0), second(1);
  second.use();
  CUdeviceptr address = 0;
  if (road == Road::kPoolReadOnly) {
    CUmemoryPool pool = nullptr;
    CU_CHECK(cuDeviceGetMemPool(&pool, 1));
    const CUmemAccessDesc access{{CU_MEM_LOCATION_TYPE_DEVICE, 0}, CU_MEM_ACCESS_FLAGS_PROT_READ};
    CU_CHECK(cuMemPoolSetAccess(pool, &access, 1));
    CU_CHECK(cuMemAllocAsync(&address, 4096, nullptr));
  } else {
    CU_CHECK(cuMemAlloc_v2(&address, 4096));
  }
  first.use();
  const check::DeviceArray<uint32_t> good(1024);
  if (road == Road::kSwitchedOff) {
    CU_CHECK(cuCtxEnablePeerAccess(second.get(), 0));
    CU_CHECK(cuCtxDisablePeerAccess(second.get()));
  }
  const check::Module module(fault_ptx);
  check::launch(module.function("store_at"), {1}, {32}, nullptr, good.get(), address);
  CU_EXPECT(CUDA_ERROR_ILLEGAL_ADDRESS, cuCtxSynchronize());
  second.use();
  CU_CHECK(cuCtxSynchronize());
}

void in_child(Road road) {
  const pid_t child = fork();
  REQUIRE(child >= 0, "fork failed");
  if (child == 0) {
    forbidden(road);
    std::exit(0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child, "waitpid failed");
  REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 0, "road %d: the child's status is %d",
          static_cast<int>(road), status);
}

void skip_without_peers() {
  const pid_t child = fork();  // CUDA does not survive a fork: the parent has not begun yet
  REQUIRE(child >= 0, "fork failed");
  if (child == 0) {
    int devices = 0, can = 0;
    CU_CHECK(cuInit(0));
    CU_CHECK(cuDeviceGetCount(&devices));
    if (devices < 2) check::skip("there is only one device");
    CU_CHECK(cuDeviceCanAccessPeer(&can, 0, 1));
    if (can == 0) check::skip("devices 0 and 1 are no peers");
    std::exit(0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child && WIFEXITED(status), "the child's status is %d", status);
  if (WEXITSTATUS(status) != 0) std::exit(WEXITSTATUS(status));
}

}  // namespace

int main() {
  skip_without_peers();
  for (const Road road : {Road::kNeverOn, Road::kSwitchedOff, Road::kPoolReadOnly}) in_child(road);
  CU_CHECK(cuInit(0));
  const Peer first(0), second(1);
  check_copies(first, second);
  check_kernels(first, second);
  check_pool(first, second);
  return check::pass("copies and kernels between two devices; error 700 where access was not granted");
}

// Two devices that need not be peers, of one machine or of two: copies between them by every road, events of
// one in streams of the other, pinned memory of both, threads that each have their own, and addresses that
// tell whose memory it is.
#include <algorithm>
#include <thread>

#include "driver_check.h"

extern "C" const char memory_ptx[];

namespace {

constexpr uint32_t kCount = 5'000'003;  // more than goes at once

using Values = std::vector<uint32_t>;

struct Side {
  explicit Side(int ordinal) {
    CU_CHECK(cuDeviceGet(&device, ordinal));
    CU_CHECK(cuDevicePrimaryCtxRetain(&context, device));
    use();
    CU_CHECK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    CU_CHECK(cuModuleLoadData(&module, memory_ptx));
    CU_CHECK(cuModuleGetFunction(&add_index, module, "add_index"));
    CU_CHECK(cuMemAlloc_v2(&memory, kCount * sizeof(uint32_t)));
  }
  ~Side() { (void)cuDevicePrimaryCtxRelease_v2(device); }
  Side(const Side&) = delete;
  Side& operator=(const Side&) = delete;

  void use() const { CU_CHECK(cuCtxSetCurrent(context)); }
  void put(const Values& values) const {
    use();
    CU_CHECK(cuMemcpyHtoD_v2(memory, values.data(), values.size() * sizeof(uint32_t)));
    CU_CHECK(cuCtxSynchronize());  // the stream does not wait for others
  }
  Values get() const {
    use();
    Values values(kCount);
    CU_CHECK(cuMemcpyDtoH_v2(values.data(), memory, values.size() * sizeof(uint32_t)));
    return values;
  }
  void add(CUdeviceptr address, uint32_t count) const {
    check::launch(add_index, {check::blocks_for(count, 256)}, {256}, stream, address, count);
  }

  CUdevice device = 0;
  CUcontext context = nullptr;
  CUstream stream = nullptr;
  CUmodule module = nullptr;
  CUfunction add_index = nullptr;
  CUdeviceptr memory = 0;
};

Values sequence(uint32_t start, uint32_t step) {
  Values values(kCount);
  for (uint32_t i = 0; i < kCount; ++i) values[i] = start + step * i;
  return values;
}

constexpr size_t kBytes = kCount * sizeof(uint32_t);

void check_addresses(const Side& first, const Side& second) {
  REQUIRE(first.memory + kBytes <= second.memory || second.memory + kBytes <= first.memory,
          "memory of two devices has one address");
  first.use();
  for (const Side* side : {&first, &second}) {
    int ordinal = -1;
    CU_CHECK(cuPointerGetAttribute(&ordinal, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, side->memory + 4));
    REQUIRE(ordinal == side->device, "the address is of device %d, not %d", ordinal, side->device);
    CUcontext context = nullptr;
    CU_CHECK(cuPointerGetAttribute(&context, CU_POINTER_ATTRIBUTE_CONTEXT, side->memory));
    REQUIRE(context == side->context, "memory of device %d is of another context", side->device);
    CUdeviceptr begin = 0;
    size_t bytes = 0;
    CU_CHECK(cuMemGetAddressRange_v2(&begin, &bytes, side->memory + 100));
    REQUIRE(begin == side->memory && bytes == kBytes, "an allocation of %zu bytes", bytes);
  }
  int can = -1;
  CU_CHECK(cuDeviceCanAccessPeer(&can, first.device, second.device));
  if (can == 0) CU_EXPECT(CUDA_ERROR_PEER_ACCESS_UNSUPPORTED, cuCtxEnablePeerAccess(second.context, 0));
  CUdevice beyond = 0;
  int count = 0;
  CU_CHECK(cuDeviceGetCount(&count));
  CU_EXPECT(CUDA_ERROR_INVALID_DEVICE, cuDeviceGet(&beyond, count));
}

void check_copies(const Side& first, const Side& second) {
  const Values one = sequence(7, 3), two = sequence(11, 5);
  first.put(one);
  second.put(sequence(0, 0));
  CU_CHECK(cuMemcpyPeer(second.memory, second.context, first.memory, first.context, kBytes));
  check::require_equal(second.get(), one, "cuMemcpyPeer");
  second.put(two);
  first.use();
  CU_CHECK(
      cuMemcpyPeerAsync(first.memory, first.context, second.memory, second.context, kBytes, first.stream));
  first.add(first.memory, kCount);
  CU_CHECK(cuStreamSynchronize(first.stream));
  check::require_equal(first.get(), sequence(11, 6), "cuMemcpyPeerAsync and a kernel behind it");
  second.use();
  CU_CHECK(cuMemcpy(second.memory, first.memory, kBytes));
  check::require_equal(second.get(), sequence(11, 6), "cuMemcpy");
  first.put(one);
  second.use();
  second.add(second.memory, kCount);
  CU_CHECK(cuMemcpyDtoDAsync_v2(first.memory, second.memory, kBytes, second.stream));
  CU_CHECK(cuStreamSynchronize(second.stream));
  check::require_equal(first.get(), sequence(11, 7), "behind a kernel of the source's stream");
}

void check_rows(const Side& first, const Side& second) {
  first.put(sequence(1, 1));
  second.put(sequence(0, 0));
  CUDA_MEMCPY3D_PEER rows{};
  rows.srcMemoryType = rows.dstMemoryType = CU_MEMORYTYPE_DEVICE;
  rows.srcDevice = first.memory;
  rows.srcContext = first.context;
  rows.dstDevice = second.memory;
  rows.dstContext = second.context;
  rows.WidthInBytes = 40;
  rows.srcPitch = rows.dstPitch = 80;
  rows.Height = 100;
  rows.Depth = 1;
  CU_CHECK(cuMemcpy3DPeer(&rows));
  Values want = sequence(0, 0);
  for (uint32_t row = 0; row < 100; ++row) {
    for (uint32_t i = row * 20; i < row * 20 + 10; ++i) want[i] = 1 + i;
  }
  check::require_equal(second.get(), want, "cuMemcpy3DPeer");
}

// The second's stream waits for what the first's has done.
void check_events(const Side& first, const Side& second) {
  first.put(sequence(2, 0));
  first.use();
  CUevent done = nullptr;
  CU_CHECK(cuEventCreate(&done, CU_EVENT_DISABLE_TIMING));
  for (int i = 0; i < 5; ++i) first.add(first.memory, kCount);
  CU_CHECK(cuEventRecord(done, first.stream));
  second.use();
  CU_CHECK(cuStreamWaitEvent(second.stream, done, 0));
  CU_CHECK(
      cuMemcpyPeerAsync(second.memory, second.context, first.memory, first.context, kBytes, second.stream));
  second.add(second.memory, kCount);
  CU_CHECK(cuStreamSynchronize(second.stream));
  check::require_equal(second.get(), sequence(2, 6), "behind an event of the other device");
  CU_EXPECT(CUDA_ERROR_INVALID_HANDLE, cuEventRecord(done, second.stream));
  CU_CHECK(cuEventDestroy_v2(done));
}

// Made with the first current, used by both.
void check_pinned(const Side& first, const Side& second) {
  constexpr uint32_t kFew = 3000;
  first.use();
  void* pinned = nullptr;
  CU_CHECK(
      cuMemHostAlloc(&pinned, kFew * sizeof(uint32_t), CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP));
  auto* values = static_cast<uint32_t*>(pinned);
  std::fill_n(values, kFew, 100U);
  for (int round = 1; round <= 3; ++round) {
    for (const Side* side : {&first, &second}) {
      side->use();
      CUdeviceptr device = 0;
      CU_CHECK(cuMemHostGetDevicePointer_v2(&device, pinned, 0));
      side->add(device, kFew);
      CU_CHECK(cuStreamSynchronize(side->stream));
    }
    for (uint32_t i = 0; i < kFew; ++i)
      REQUIRE(values[i] == 100 + 2 * i * static_cast<uint32_t>(round), "pinned value %u is %u in round %d", i,
              values[i], round);
  }
  second.use();
  CU_CHECK(cuMemcpyHtoDAsync_v2(second.memory, pinned, kFew * sizeof(uint32_t), second.stream));
  CU_CHECK(cuStreamSynchronize(second.stream));
  std::fill_n(values, kFew, 0U);
  CU_CHECK(cuMemcpyDtoHAsync_v2(pinned, second.memory, kFew * sizeof(uint32_t), second.stream));
  CU_CHECK(cuStreamSynchronize(second.stream));
  for (uint32_t i = 0; i < kFew; ++i)
    REQUIRE(values[i] == 100 + 6 * i, "copied value %u is %u", i, values[i]);
  CU_CHECK(cuMemFreeHost(pinned));
}

// Each thread has its own device, at the same time.
void check_threads(const Side& first, const Side& second) {
  first.put(sequence(1, 0));
  second.put(sequence(2, 0));
  const auto work = [](const Side& side) {
    side.use();
    for (int i = 0; i < 20; ++i) {
      side.add(side.memory, kCount / 10);
      CUdevice device = -1;
      CU_CHECK(cuCtxGetDevice(&device));
      REQUIRE(device == side.device, "the thread's device is %d", device);
    }
    CU_CHECK(cuStreamSynchronize(side.stream));
  };
  std::thread other([&] { work(second); });
  work(first);
  other.join();
  for (const Side* side : {&first, &second}) {
    const Values got = side->get();
    const uint32_t start = side == &first ? 1 : 2;
    for (uint32_t i = 0; i < kCount; ++i) {
      const uint32_t want = start + (i < kCount / 10 ? 20 * i : 0);
      REQUIRE(got[i] == want, "value %u is %u, not %u", i, got[i], want);
    }
  }
}

// Many blocks of all sizes, in the stream's order, too; freed while the other device is current.
void check_blocks(const Side& first, const Side& second) {
  second.use();
  std::vector<CUdeviceptr> blocks;
  for (size_t bytes = 1; bytes <= (8 << 20); bytes = bytes * 3 + 1) {
    blocks.push_back(0);
    CU_CHECK(cuMemAlloc_v2(&blocks.back(), bytes));
    CU_CHECK(cuMemsetD8_v2(blocks.back(), static_cast<unsigned char>(blocks.size()), bytes));
  }
  size_t bytes = 1;
  for (size_t i = 0; i < blocks.size(); ++i, bytes = bytes * 3 + 1) {
    std::vector<unsigned char> got(bytes);
    CU_CHECK(cuMemcpyDtoH_v2(got.data(), blocks[i], bytes));
    REQUIRE(std::count(got.begin(), got.end(), i + 1) == static_cast<ptrdiff_t>(bytes),
            "block %zu is not its own", i);
  }
  first.use();
  for (const CUdeviceptr block : blocks) CU_CHECK(cuMemFree_v2(block));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemFree_v2(blocks[0]));
  second.use();
  int pools = 0;
  CU_CHECK(cuDeviceGetAttribute(&pools, CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED, second.device));
  for (int round = 0; pools != 0 && round < 5; ++round) {
    CUdeviceptr block = 0;
    CU_CHECK(cuMemAllocAsync(&block, 1000 * sizeof(uint32_t), second.stream));
    CU_CHECK(cuMemsetD32Async(block, 4, 1000, second.stream));
    second.add(block, 1000);
    Values got(1000);
    CU_CHECK(cuMemcpyDtoHAsync_v2(got.data(), block, 4000, second.stream));
    CU_CHECK(cuMemFreeAsync(block, second.stream));
    CU_CHECK(cuStreamSynchronize(second.stream));
    for (uint32_t i = 0; i < 1000; ++i) REQUIRE(got[i] == 4 + i, "stream-ordered value %u is %u", i, got[i]);
  }
}

}  // namespace

int main() {
  CU_CHECK(cuInit(0));
  int devices = 0;
  CU_CHECK(cuDeviceGetCount(&devices));
  if (devices < 2) check::skip("there is only one device");
  const Side first(0), second(devices - 1);
  check_addresses(first, second);
  check_copies(first, second);
  check_rows(first, second);
  check_events(first, second);
  check_pinned(first, second);
  check_threads(first, second);
  check_blocks(first, second);
  return check::pass("copies, events, pinned memory and threads of two of %d devices: exact", devices);
}

// The driver API's forms from before CUDA 3.2 and 4.0, as a program of that time uses them: contexts that are
// attached and detached, launches whose shape and parameters belong to the function, arrays, and memory that
// 32-bit addresses can name. Argument: the total that the device must show, in bytes (a slice's), and then
// arrays are refused at it.
#include <sys/mman.h>

#include <cstring>

#include "driver_check.h"

extern "C" const char streams_ptx[];

namespace {

constexpr unsigned kCount = 2048;
constexpr unsigned kBytes = kCount * sizeof(uint32_t);

uint32_t advanced(uint32_t state, uint32_t steps) {
  for (uint32_t step = 0; step < steps; ++step) state = state * 1664525u + 1013904223u;
  return state;
}

void check_contexts(CUdevice device) {
  CUcontext context = nullptr, attached = nullptr;
  CU_CHECK(cuCtxCreate(&context, 0, device));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuCtxAttach(&attached, 1));
  CU_CHECK(cuCtxAttach(&attached, 0));
  REQUIRE(attached == context, "attached to another context");
  CU_CHECK(cuCtxDetach(context));
  CU_CHECK(cuCtxSynchronize());  // one user is left
  CU_CHECK(cuCtxDetach(context));
  CU_EXPECT(CUDA_ERROR_INVALID_CONTEXT, cuCtxDetach(context));
}

// Parameters one by one, at the offsets that the kernel has them at.
void check_launches(const check::Module& module) {
  const CUfunction advance = module.function("advance");
  check::DeviceArray<uint32_t> states(std::vector<uint32_t>(kCount, 7));
  CUdeviceptr address = states.get();
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuLaunch(advance));  // blocks of no shape
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuFuncSetBlockShape(advance, 0, 1, 1));
  CU_CHECK(cuFuncSetBlockShape(advance, 128, 1, 1));
  CU_CHECK(cuFuncSetSharedSize(advance, 64));
  CU_CHECK(cuParamSetv(advance, 0, &address, sizeof(address)));
  CU_CHECK(cuParamSeti(advance, 8, kCount));
  CU_CHECK(cuParamSeti(advance, 12, 3));
  CU_CHECK(cuParamSetSize(advance, 16));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuParamSeti(advance, -4, 1));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuParamSetf(advance, 4096, 1.0f));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuParamSetSize(advance, 4097));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuLaunchGrid(advance, 0, 1));
  CU_CHECK(cuLaunchGrid(advance, kCount / 128, 1));
  CU_CHECK(cuParamSeti(advance, 12, 4));
  CU_CHECK(cuLaunch(advance));  // one block: the first 128
  CUstream stream = nullptr;
  CU_CHECK(cuStreamCreate(&stream, CU_STREAM_DEFAULT));
  CU_CHECK(cuParamSeti(advance, 12, 5));
  CU_CHECK(cuLaunchGridAsync(advance, kCount / 256, 1, stream));
  CU_CHECK(cuStreamSynchronize(stream));
  CU_CHECK(cuStreamDestroy(stream));
  const std::vector<uint32_t> got = states.download();
  for (unsigned i = 0; i < kCount; ++i) {
    const uint32_t steps = 3 + (i < 128 ? 4 : 0) + (i < kCount / 2 ? 5 : 0);
    REQUIRE(got[i] == advanced(7, steps), "[%u] is %u, not %u steps from 7", i, got[i], steps);
  }
}

// Memory below 4 GiB that the device sees, where 32-bit addresses are enough.
class LowMemory {
 public:
  LowMemory() {
    void* memory =
        mmap(nullptr, 2 * kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    REQUIRE(memory != MAP_FAILED, "no memory below 2 GiB");
    words_ = static_cast<uint32_t*>(memory);
    CU_CHECK(cuMemHostRegister(words_, 2 * kBytes, CU_MEMHOSTREGISTER_DEVICEMAP));
    CU_CHECK(cuMemHostGetDevicePointer(&address_, words_, 0));
    REQUIRE(address_ == reinterpret_cast<uintptr_t>(words_), "seen at 0x%x", address_);
  }
  ~LowMemory() {
    (void)cuMemHostUnregister(words_);
    munmap(words_, 2 * kBytes);
  }
  LowMemory(const LowMemory&) = delete;
  LowMemory& operator=(const LowMemory&) = delete;
  CUdeviceptr_v1 address() const { return address_; }
  uint32_t* words() const { return words_; }

 private:
  uint32_t* words_ = nullptr;
  CUdeviceptr_v1 address_ = 0;
};

void check_copies(const LowMemory& low) {
  const auto in = check::random_integers<uint32_t>(kCount, 1);
  std::vector<uint32_t> out(kCount);
  CU_CHECK(cuMemcpyHtoD(low.address(), in.data(), kBytes));
  CU_CHECK(cuMemcpyDtoD(low.address() + kBytes, low.address(), kBytes));
  CU_CHECK(cuMemcpyDtoH(out.data(), low.address() + kBytes, kBytes));
  check::require_equal(out, in, "copied up, across and down");
  CU_CHECK(cuMemsetD32(low.address(), 0x01020304, kCount));
  CU_CHECK(cuMemsetD16(low.address(), 0x0506, 2));
  CU_CHECK(cuMemsetD8(low.address(), 0x07, 1));
  CU_CHECK(cuMemsetD2D32(low.address() + 64, 128, 9, 4, 2));
  CU_CHECK(cuCtxSynchronize());
  REQUIRE(low.words()[0] == 0x05060507 && low.words()[1] == 0x01020304, "%x %x", low.words()[0],
          low.words()[1]);
  for (const unsigned row : {16u, 48u}) {
    REQUIRE(low.words()[row] == 9 && low.words()[row + 3] == 9 && low.words()[row + 4] == 0x01020304,
            "row at %u: %x %x", row, low.words()[row], low.words()[row + 4]);
  }
  CUDA_MEMCPY2D_v1 copy{};
  copy.srcMemoryType = CU_MEMORYTYPE_HOST;
  copy.srcHost = in.data();
  copy.srcPitch = 64;
  copy.dstMemoryType = CU_MEMORYTYPE_DEVICE;
  copy.dstDevice = low.address();
  copy.dstPitch = 128;
  copy.WidthInBytes = 64;
  copy.Height = 32;
  CU_CHECK(cuMemcpy2D(&copy));
  for (unsigned i = 0; i < 16 * 32; ++i) {
    const uint32_t got = low.words()[i / 16 * 32 + i % 16];
    REQUIRE(got == in[i], "word %u of 2-D is %u, not %u", i, got, in[i]);
  }
}

void check_arrays() {
  constexpr unsigned kWidth = 24, kHeight = 6, kDepth = 3;
  const auto in = check::random_integers<uint32_t>(kWidth * kHeight * kDepth, 2);
  std::vector<uint32_t> out(in.size());
  CUarray line = nullptr, box = nullptr;
  const CUDA_ARRAY_DESCRIPTOR_v1 flat{kWidth, 0, CU_AD_FORMAT_UNSIGNED_INT32, 1};
  const CUDA_ARRAY3D_DESCRIPTOR_v1 deep{kWidth, kHeight, kDepth, CU_AD_FORMAT_UNSIGNED_INT32, 1, 0};
  CU_CHECK(cuArrayCreate(&line, &flat));
  CU_CHECK(cuArray3DCreate(&box, &deep));
  CUDA_ARRAY_DESCRIPTOR_v1 flat_again{};
  CUDA_ARRAY3D_DESCRIPTOR_v1 deep_again{};
  CU_CHECK(cuArrayGetDescriptor(&flat_again, line));
  CU_CHECK(cuArray3DGetDescriptor(&deep_again, box));
  REQUIRE(flat_again.Width == kWidth && flat_again.Format == CU_AD_FORMAT_UNSIGNED_INT32, "another line");
  REQUIRE(deep_again.Height == kHeight && deep_again.Depth == kDepth, "another box");
  CU_CHECK(cuMemcpyHtoA(line, 0, in.data(), kWidth * 4));
  CU_CHECK(cuMemcpyAtoH(out.data(), line, 16, 32));
  REQUIRE(memcmp(out.data(), in.data() + 4, 32) == 0, "the line came back changed");
  CUDA_MEMCPY3D_v1 up{}, down{};
  up.srcMemoryType = down.dstMemoryType = CU_MEMORYTYPE_HOST;
  up.dstMemoryType = down.srcMemoryType = CU_MEMORYTYPE_ARRAY;
  up.srcHost = in.data();
  down.dstHost = out.data();
  up.dstArray = down.srcArray = box;
  up.srcPitch = down.dstPitch = up.WidthInBytes = down.WidthInBytes = kWidth * 4;
  up.srcHeight = down.dstHeight = up.Height = down.Height = kHeight;
  up.Depth = down.Depth = kDepth;
  CU_CHECK(cuMemcpy3D(&up));
  CU_CHECK(cuMemcpy3DAsync(&down, nullptr));
  CU_CHECK(cuCtxSynchronize());
  check::require_equal(out, in, "the box");
  CU_CHECK(cuArrayDestroy(line));
  CU_CHECK(cuArrayDestroy(box));
}

// An address that 32 bits cannot name is refused, and nothing is kept: which can be told where nobody else is
// on the device.
void check_addresses(bool alone) {
  size_t before = 0, after = 0, total = 0;
  CU_CHECK(cuMemGetInfo_v2(&before, &total));
  CUdeviceptr_v1 address = 0;
  unsigned pitch = 0;
  const CUresult result = cuMemAlloc(&address, 1u << 20);
  if (result == CUDA_SUCCESS) {
    CU_CHECK(cuMemFree(address));
  } else {
    REQUIRE(result == CUDA_ERROR_OUT_OF_MEMORY, "%s", cu_name(result));
    CU_EXPECT(CUDA_ERROR_OUT_OF_MEMORY, cuMemAllocPitch(&address, &pitch, 100, 10, 4));
  }
  CU_CHECK(cuMemGetInfo_v2(&after, &total));
  REQUIRE(!alone || before == after, "%zu bytes are gone", before - after);
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemFree(12345));
}

size_t free_bytes() {
  size_t free = 0, total = 0;
  CU_CHECK(cuMemGetInfo_v2(&free, &total));
  return free;
}

// Old arrays count like new ones, and old contexts give back what was made in them.
void check_limit(CUdevice device) {
  CUcontext context = nullptr;
  CU_CHECK(cuCtxCreate(&context, 0, device));
  const size_t before = free_bytes();
  const CUDA_ARRAY3D_DESCRIPTOR_v1 large{8192, 8192, 0, CU_AD_FORMAT_UNSIGNED_INT32, 1, 0};  // 256 MiB
  std::vector<CUarray> arrays;
  CUresult result = CUDA_SUCCESS;
  while (result == CUDA_SUCCESS && arrays.size() < 100) {
    CUarray array = nullptr;
    result = cuArray3DCreate(&array, &large);
    if (result == CUDA_SUCCESS) arrays.push_back(array);
  }
  REQUIRE(result == CUDA_ERROR_OUT_OF_MEMORY && !arrays.empty(), "%zu arrays, then %s", arrays.size(),
          cu_name(result));
  REQUIRE(free_bytes() < size_t{256} << 20, "refused with %zu bytes free", free_bytes());
  CU_CHECK(cuCtxDetach(context));
  CU_CHECK(cuCtxCreate(&context, 0, device));
  REQUIRE(free_bytes() == before, "%zu bytes free, %zu before", free_bytes(), before);
  CU_CHECK(cuCtxDetach(context));
}

}  // namespace

int main(int argc, char** argv) {
  const check::Context context;
  check_contexts(context.device());
  if (argc > 1) {
    size_t free = 0, total = 0;
    CU_CHECK(cuMemGetInfo_v2(&free, &total));
    REQUIRE(total == std::strtoull(argv[1], nullptr, 10), "the device shows %zu bytes", total);
    check_limit(context.device());
  }
  const check::Module module(streams_ptx);
  check_launches(module);
  {
    const LowMemory low;
    check_copies(low);
  }
  check_arrays();
  check_addresses(argc > 1);
  return check::pass("contexts, launches, copies, arrays%s", argc > 1 ? ", refused at the limit" : "");
}

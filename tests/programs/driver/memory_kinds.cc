// Module variables, mapped and registered host memory, managed memory, pitched rows, 2-D and 3-D copies, all
// memsets.
#include "driver_check.h"

extern "C" const char memory_ptx[];

namespace {

constexpr uint32_t kCount = 1000;

void check_variables(const check::Module& module) {
  uint32_t table[64], results[64];
  for (uint32_t i = 0; i < 64; ++i) table[i] = i * i;
  CU_CHECK(cuMemcpyHtoD_v2(module.variable("table", sizeof(table)), table, sizeof(table)));
  check::launch(module.function("look_up"), {1}, {64}, nullptr, uint32_t{3});
  CU_CHECK(cuMemcpyDtoH_v2(results, module.variable("results", sizeof(results)), sizeof(results)));
  for (uint32_t i = 0; i < 64; ++i) {
    const uint32_t want = 3 * table[63 - i] + 11 * (i % 4 + 1);
    REQUIRE(results[i] == want, "results[%u] is %u, not %u", i, results[i], want);
  }
}

// The kernel adds each element's index; the host sees it without a copy.
void add_index(const check::Module& module, CUdeviceptr values) {
  check::launch(module.function("add_index"), {4}, {64}, nullptr, values, kCount);
  CU_CHECK(cuCtxSynchronize());
}

void require_added(const uint32_t* values, uint32_t start, const char* what) {
  for (uint32_t i = 0; i < kCount; ++i) {
    REQUIRE(values[i] == start + i, "%s[%u] is %u, not %u", what, i, values[i], start + i);
  }
}

void check_mapped(const check::Module& module) {
  void* memory = nullptr;
  CU_CHECK(cuMemHostAlloc(&memory, kCount * sizeof(uint32_t), CU_MEMHOSTALLOC_DEVICEMAP));
  auto* values = static_cast<uint32_t*>(memory);
  for (uint32_t i = 0; i < kCount; ++i) values[i] = 5;
  CUdeviceptr address = 0;
  CU_CHECK(cuMemHostGetDevicePointer_v2(&address, memory, 0));
  add_index(module, address);
  require_added(values, 5, "mapped");
  CU_CHECK(cuMemFreeHost(memory));
}

void check_registered(const check::Module& module) {
  std::vector<uint32_t> values(kCount, 6);
  CU_CHECK(cuMemHostRegister_v2(values.data(), kCount * sizeof(uint32_t), CU_MEMHOSTREGISTER_DEVICEMAP));
  CU_EXPECT(CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED,
            cuMemHostRegister_v2(values.data(), kCount * sizeof(uint32_t), 0));
  CUdeviceptr address = 0;
  CU_CHECK(cuMemHostGetDevicePointer_v2(&address, values.data(), 0));
  add_index(module, address);
  require_added(values.data(), 6, "registered");
  CU_CHECK(cuMemHostUnregister(values.data()));
  CU_EXPECT(CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED, cuMemHostUnregister(values.data()));
}

void check_managed(const check::Module& module) {
  CUdeviceptr address = 0;
  CU_CHECK(cuMemAllocManaged(&address, kCount * sizeof(uint32_t), CU_MEM_ATTACH_GLOBAL));
  auto* values = reinterpret_cast<uint32_t*>(address);  // one address for both sides
  for (int round = 0; round < 3; ++round) {
    for (uint32_t i = 0; i < kCount; ++i) values[i] = 100 * round;
    add_index(module, address);
    require_added(values, 100 * round, "managed");
  }
  CU_CHECK(cuMemFree_v2(address));
}

// A padded 2-D array: rows in, a window of it out again.
void check_pitched() {
  constexpr size_t kWidth = 100, kHeight = 30;
  CUdeviceptr rows = 0;
  size_t pitch = 0;
  CU_CHECK(cuMemAllocPitch_v2(&rows, &pitch, kWidth, kHeight, 4));
  REQUIRE(pitch >= kWidth && pitch % 32 == 0, "a pitch of %zu", pitch);
  const std::vector<uint8_t> picture = check::random_integers<uint8_t>(kWidth * kHeight, 8);
  CUDA_MEMCPY2D copy = {};
  copy.srcMemoryType = CU_MEMORYTYPE_HOST;
  copy.srcHost = picture.data();
  copy.srcPitch = kWidth;
  copy.dstMemoryType = CU_MEMORYTYPE_DEVICE;
  copy.dstDevice = rows;
  copy.dstPitch = pitch;
  copy.WidthInBytes = kWidth;
  copy.Height = kHeight;
  CU_CHECK(cuMemcpy2D_v2(&copy));
  CU_CHECK(cuMemsetD2D8_v2(rows + 3 * pitch + 10, pitch, 0xab, 20, 5));  // rows 3..7, columns 10..29
  constexpr size_t kLeft = 8, kTop = 2, kWindowWidth = 40, kWindowHeight = 9;
  std::vector<uint8_t> window(kWindowWidth * kWindowHeight);
  copy = {};
  copy.srcMemoryType = CU_MEMORYTYPE_DEVICE;
  copy.srcDevice = rows;
  copy.srcPitch = pitch;
  copy.srcXInBytes = kLeft;
  copy.srcY = kTop;
  copy.dstMemoryType = CU_MEMORYTYPE_HOST;
  copy.dstHost = window.data();
  copy.dstPitch = kWindowWidth;
  copy.WidthInBytes = kWindowWidth;
  copy.Height = kWindowHeight;
  CU_CHECK(cuMemcpy2D_v2(&copy));
  for (size_t y = 0; y < kWindowHeight; ++y) {
    for (size_t x = 0; x < kWindowWidth; ++x) {
      const size_t row = y + kTop, column = x + kLeft;
      const bool painted = row >= 3 && row < 8 && column >= 10 && column < 30;
      const uint8_t want = painted ? 0xab : picture[row * kWidth + column];
      REQUIRE(window[y * kWindowWidth + x] == want, "pixel %zu, %zu is %u, not %u", column, row,
              window[y * kWindowWidth + x], want);
    }
  }
  CU_CHECK(cuMemFree_v2(rows));
}

void check_box() {
  constexpr size_t kSide = 12, kInner = 5;
  const std::vector<uint8_t> box = check::random_integers<uint8_t>(kSide * kSide * kSide, 9);
  const check::DeviceArray<uint8_t> device_box(box);
  std::vector<uint8_t> inner(kInner * kInner * kInner);
  CUDA_MEMCPY3D copy = {};
  copy.srcMemoryType = CU_MEMORYTYPE_DEVICE;
  copy.srcDevice = device_box.get();
  copy.srcPitch = kSide;
  copy.srcHeight = kSide;
  copy.srcXInBytes = 1;
  copy.srcY = 2;
  copy.srcZ = 3;
  copy.dstMemoryType = CU_MEMORYTYPE_HOST;
  copy.dstHost = inner.data();
  copy.dstPitch = kInner;
  copy.dstHeight = kInner;
  copy.WidthInBytes = copy.Height = copy.Depth = kInner;
  CU_CHECK(cuMemcpy3D_v2(&copy));
  for (size_t i = 0; i < inner.size(); ++i) {
    const size_t x = i % kInner + 1, y = i / kInner % kInner + 2, z = i / kInner / kInner + 3;
    REQUIRE(inner[i] == box[(z * kSide + y) * kSide + x], "voxel %zu, %zu, %zu", x, y, z);
  }
}

void check_memsets() {
  const check::DeviceArray<uint32_t> a(16), b(16);
  CU_CHECK(cuMemsetD32_v2(a.get(), 0xdeadbeef, 16));
  CU_CHECK(cuMemsetD16_v2(a.get() + 8, 0x1234, 4));
  CU_CHECK(cuMemsetD8_v2(a.get() + 20, 0x77, 3));
  CU_CHECK(cuMemcpyDtoD_v2(b.get() + 4, a.get(), 60));
  const std::vector<uint32_t> got = b.download();
  const uint32_t want[] = {0xdeadbeef, 0xdeadbeef, 0x12341234, 0x12341234,
                           0xdeadbeef, 0xde777777, 0xdeadbeef};
  for (int i = 0; i < 7; ++i)
    REQUIRE(got[i + 1] == want[i], "word %d is %08x, not %08x", i, got[i + 1], want[i]);
}

void check_pointer_queries() {
  const check::DeviceArray<uint32_t> array(1024);
  CUdeviceptr base = 0;
  size_t size = 0;
  CU_CHECK(cuMemGetAddressRange_v2(&base, &size, array.get() + 100));
  REQUIRE(base == array.get() && size == 4096, "the range of an allocation is %zu bytes, not 4096", size);
  unsigned type = 0;
  CU_CHECK(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, array.get()));
  REQUIRE(type == CU_MEMORYTYPE_DEVICE, "device memory has type %u", type);
  uint32_t unknown = 0;
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemFree_v2(array.get() + 8));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
                                                            reinterpret_cast<CUdeviceptr>(&unknown)));
}

}  // namespace

int main() {
  const check::Context context;
  const check::Module module(memory_ptx);
  check_variables(module);
  check_mapped(module);
  check_registered(module);
  check_managed(module);
  check_pitched();
  check_box();
  check_memsets();
  check_pointer_queries();
  return check::pass("variables, mapped, registered, managed, pitched, 3-D, memsets: exact");
}

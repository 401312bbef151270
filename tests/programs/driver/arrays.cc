// CUDA arrays: what goes in comes out by every road, geometry by geometry; memory is charged and given back.
#include <cstring>

#include "driver_check.h"

namespace {

CUDA_ARRAY3D_DESCRIPTOR shape(size_t width, size_t height, size_t depth, unsigned flags) {
  return {width, height, depth, CU_AD_FORMAT_UNSIGNED_INT16, 2, flags};
}
constexpr size_t kTexel = 4;

CUDA_MEMCPY3D whole(const CUDA_ARRAY3D_DESCRIPTOR& d) {
  CUDA_MEMCPY3D copy{};
  copy.WidthInBytes = d.Width * kTexel;
  copy.Height = d.Height == 0 ? 1 : d.Height;
  copy.Depth = d.Depth == 0 ? 1 : d.Depth;
  copy.srcPitch = copy.dstPitch = copy.WidthInBytes;
  copy.srcHeight = copy.dstHeight = copy.Height;
  return copy;
}

// Host to array, array to array, array to device, device to host.
void round_trip(const CUDA_ARRAY3D_DESCRIPTOR& d, uint64_t seed) {
  CUarray first = nullptr, second = nullptr;
  CU_CHECK(cuArray3DCreate_v2(&first, &d));
  CU_CHECK(cuArray3DCreate_v2(&second, &d));
  CUDA_ARRAY3D_DESCRIPTOR told{};
  CU_CHECK(cuArray3DGetDescriptor_v2(&told, first));
  REQUIRE(std::memcmp(&told, &d, sizeof(d)) == 0, "the descriptor has changed");

  CUDA_MEMCPY3D copy = whole(d);
  const size_t texels = d.Width * copy.Height * copy.Depth;
  const std::vector<uint32_t> values = check::random_integers<uint32_t>(texels, seed);
  check::DeviceArray<uint32_t> linear(texels);
  copy.srcMemoryType = CU_MEMORYTYPE_HOST;
  copy.srcHost = values.data();
  copy.dstMemoryType = CU_MEMORYTYPE_ARRAY;
  copy.dstArray = first;
  CU_CHECK(cuMemcpy3D_v2(&copy));
  copy.srcMemoryType = CU_MEMORYTYPE_ARRAY;
  copy.srcArray = first;
  copy.dstArray = second;
  CU_CHECK(cuMemcpy3DAsync_v2(&copy, nullptr));
  copy.srcArray = second;
  copy.dstMemoryType = CU_MEMORYTYPE_DEVICE;
  copy.dstDevice = linear.get();
  CU_CHECK(cuMemcpy3DAsync_v2(&copy, nullptr));
  check::require_equal(linear.download(), values, "through two arrays");
  CU_CHECK(cuArrayDestroy(first));
  CU_CHECK(cuArrayDestroy(second));
  CU_EXPECT(CUDA_ERROR_INVALID_HANDLE, cuArrayDestroy(second));
}

void part_of_an_image() {
  constexpr size_t kWidth = 13, kHeight = 7;
  const CUDA_ARRAY_DESCRIPTOR d{kWidth, kHeight, CU_AD_FORMAT_FLOAT, 1};
  CUarray image = nullptr;
  CU_CHECK(cuArrayCreate_v2(&image, &d));
  const std::vector<float> values = check::random_reals<float>(kWidth * kHeight, 5, -1, 1);
  CU_CHECK(cuMemcpyHtoA_v2(image, 0, values.data(), values.size() * sizeof(float)));

  std::vector<float> window(4 * 3);
  CUDA_MEMCPY2D copy{};
  copy.srcMemoryType = CU_MEMORYTYPE_ARRAY;
  copy.srcArray = image;
  copy.srcXInBytes = 5 * sizeof(float);
  copy.srcY = 2;
  copy.dstMemoryType = CU_MEMORYTYPE_HOST;
  copy.dstHost = window.data();
  copy.dstPitch = copy.WidthInBytes = 4 * sizeof(float);
  copy.Height = 3;
  CU_CHECK(cuMemcpy2D_v2(&copy));
  for (size_t y = 0; y < 3; ++y) {
    for (size_t x = 0; x < 4; ++x) {
      const float want = values[(y + 2) * kWidth + x + 5];
      REQUIRE(window[y * 4 + x] == want, "texel (%zu, %zu) of the window", x, y);
    }
  }
  copy.srcXInBytes = 10 * sizeof(float);
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemcpy2D_v2(&copy));  // beyond the row
  copy.srcXInBytes = 2;
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemcpy2D_v2(&copy));  // half a texel

  check::DeviceArray<float> linear(kWidth);
  CU_CHECK(cuMemcpyAtoD_v2(linear.get(), image, kWidth * sizeof(float), kWidth * sizeof(float)));
  const std::vector<float> row(values.begin() + kWidth, values.begin() + 2 * kWidth);
  check::require_equal(linear.download(), row, "the second row");
  CU_CHECK(cuMemcpyDtoA_v2(image, 0, linear.get(), kWidth * sizeof(float)));
  CU_CHECK(cuMemcpyAtoA_v2(image, 2 * kWidth * sizeof(float), image, 0, kWidth * sizeof(float)));
  std::vector<float> back(kWidth);
  CU_CHECK(cuMemcpyAtoH_v2(back.data(), image, 2 * kWidth * sizeof(float), kWidth * sizeof(float)));
  check::require_equal(back, row, "the row, moved twice");
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE,
            cuMemcpyAtoH_v2(back.data(), image, kWidth * kHeight * sizeof(float) - 4, 8));
  CU_CHECK(cuArrayDestroy(image));
}

void mipmaps() {
  const CUDA_ARRAY3D_DESCRIPTOR d = shape(32, 16, 0, 0);
  CUmipmappedArray mipmap = nullptr;
  CU_CHECK(cuMipmappedArrayCreate(&mipmap, &d, 100));
  std::vector<CUarray> levels;
  for (unsigned i = 0; i < 6; ++i) {
    CUDA_ARRAY3D_DESCRIPTOR told{};
    levels.push_back(nullptr);
    CU_CHECK(cuMipmappedArrayGetLevel(&levels.back(), mipmap, i));
    CU_CHECK(cuArray3DGetDescriptor_v2(&told, levels.back()));
    REQUIRE(told.Width == 32u >> i && told.Height == (i < 4 ? 16u >> i : 1u), "level %u is %zu x %zu", i,
            told.Width, told.Height);
    const std::vector<uint32_t> values(told.Width * told.Height, i + 1);
    CU_CHECK(cuMemcpyHtoA_v2(levels.back(), 0, values.data(), values.size() * kTexel));
  }
  for (unsigned i = 0; i < 6; ++i) {  // no level wrote over another
    std::vector<uint32_t> values((32u >> i) * (i < 4 ? 16u >> i : 1u));
    CU_CHECK(cuMemcpyAtoH_v2(values.data(), levels[i], 0, values.size() * kTexel));
    check::require_equal(values, std::vector<uint32_t>(values.size(), i + 1), "a level");
  }
  CUarray beyond = nullptr;
  CUDA_ARRAY_SPARSE_PROPERTIES sparse{};
  CUDA_ARRAY_MEMORY_REQUIREMENTS needs{};
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMipmappedArrayGetLevel(&beyond, mipmap, 6));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMipmappedArrayGetSparseProperties(&sparse, mipmap));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuArrayGetMemoryRequirements(&needs, levels[0], 0));
  CU_EXPECT(CUDA_ERROR_INVALID_HANDLE, cuArrayDestroy(levels[1]));
  CU_CHECK(cuMipmappedArrayDestroy(mipmap));
  CU_EXPECT(CUDA_ERROR_INVALID_HANDLE, cuMipmappedArrayGetLevel(&beyond, mipmap, 0));
}

size_t free_bytes() {
  size_t free = 0, total = 0;
  CU_CHECK(cuMemGetInfo_v2(&free, &total));
  return free;
}

// Other programs may use the device meanwhile: what is refused is beyond any device's memory, what is charged
// is seen where nobody else can be (under a slice) and only bounded elsewhere.
void memory() {
  const CUDA_ARRAY3D_DESCRIPTOR too_large = shape(16384, 16384, 16384, 0);
  CUarray array = nullptr;
  CU_EXPECT(CUDA_ERROR_OUT_OF_MEMORY, cuArray3DCreate_v2(&array, &too_large));
  const CUDA_ARRAY3D_DESCRIPTOR d = shape(4096, 1024, 0, 0);  // 16 MiB
  for (unsigned i = 0; i < 2000; ++i) {                       // more than any device of the tests has
    CU_CHECK(cuArray3DCreate_v2(&array, &d));
    CU_CHECK(cuArrayDestroy(array));
  }
  REQUIRE(free_bytes() >= 16u << 20, "memory of destroyed arrays was not given back");
}

}  // namespace

int main() {
  const check::Context context;
  const CUDA_ARRAY3D_DESCRIPTOR shapes[] = {
      shape(37, 0, 0, 0),
      shape(37, 11, 0, CUDA_ARRAY3D_SURFACE_LDST),
      shape(9, 7, 5, 0),
      shape(37, 0, 3, CUDA_ARRAY3D_LAYERED),
      shape(9, 7, 4, CUDA_ARRAY3D_LAYERED),
      shape(8, 8, 6, CUDA_ARRAY3D_CUBEMAP),
      shape(8, 8, 12, CUDA_ARRAY3D_CUBEMAP | CUDA_ARRAY3D_LAYERED),
  };
  uint64_t seed = 1;
  for (const CUDA_ARRAY3D_DESCRIPTOR& each : shapes) round_trip(each, seed++);
  part_of_an_image();
  mipmaps();
  memory();
  return check::pass("7 geometries, windows, 6 levels: exact");
}

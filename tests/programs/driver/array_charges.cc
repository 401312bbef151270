// Arrays of all kinds and shapes at random: what a slice is charged for one is not less than what it takes of
// the device, and all of that is back with its end. Argument: the path of the driver's own
// libnvidia-ml.so.1; the device must be nobody else's.
#include <iterator>
#include <random>

#include "memory_walk/device_use.h"

namespace {

constexpr int kArrays = 4000;
constexpr CUarray_format kFormats[] = {CU_AD_FORMAT_UNSIGNED_INT8,  CU_AD_FORMAT_UNSIGNED_INT16,
                                       CU_AD_FORMAT_UNSIGNED_INT32, CU_AD_FORMAT_SIGNED_INT8,
                                       CU_AD_FORMAT_SIGNED_INT16,   CU_AD_FORMAT_SIGNED_INT32,
                                       CU_AD_FORMAT_HALF,           CU_AD_FORMAT_FLOAT,
                                       CU_AD_FORMAT_UNORM_INT8X1,   CU_AD_FORMAT_UNORM_INT8X2,
                                       CU_AD_FORMAT_UNORM_INT8X4,   CU_AD_FORMAT_UNORM_INT16X1,
                                       CU_AD_FORMAT_UNORM_INT16X2,  CU_AD_FORMAT_UNORM_INT16X4,
                                       CU_AD_FORMAT_SNORM_INT8X2,   CU_AD_FORMAT_SNORM_INT16X4,
                                       CU_AD_FORMAT_NV12,           CU_AD_FORMAT_BC1_UNORM,
                                       CU_AD_FORMAT_BC7_UNORM_SRGB, CU_AD_FORMAT_UNORM_INT_101010_2};
constexpr unsigned kFlags[] = {0,
                               CUDA_ARRAY3D_LAYERED,
                               CUDA_ARRAY3D_SURFACE_LDST,
                               CUDA_ARRAY3D_CUBEMAP,
                               CUDA_ARRAY3D_CUBEMAP | CUDA_ARRAY3D_LAYERED,
                               CUDA_ARRAY3D_TEXTURE_GATHER};

size_t free_memory() {
  size_t free = 0, total = 0;
  CU_CHECK(cuMemGetInfo_v2(&free, &total));
  return free;
}

class Shapes {
 public:
  explicit Shapes(uint64_t seed) : dice_(seed) {}
  uint64_t roll(uint64_t sides) { return dice_() % sides; }
  CUDA_ARRAY3D_DESCRIPTOR shape() {
    CUDA_ARRAY3D_DESCRIPTOR shape{};
    shape.Flags = kFlags[roll(std::size(kFlags))];
    shape.Width = 1 + roll(roll(4) == 0 ? 5000 : 200);
    shape.Height = roll(4) == 0 ? 0 : 1 + roll(200);
    shape.Depth = roll(2) == 0 ? 0 : 1 + roll(20);
    if ((shape.Flags & CUDA_ARRAY3D_CUBEMAP) != 0) {
      shape.Height = shape.Width = 1 + roll(100);
      shape.Depth = (shape.Flags & CUDA_ARRAY3D_LAYERED) != 0 ? 6 * (1 + roll(4)) : 6;
    }
    shape.Format = kFormats[roll(std::size(kFormats))];
    constexpr unsigned kChannels[] = {1, 2, 4, 4, 3};
    shape.NumChannels = kChannels[roll(std::size(kChannels))];
    return shape;
  }

 private:
  std::mt19937_64 dice_;
};

struct Made {
  CUarray array = nullptr;
  CUmipmappedArray mipmap = nullptr;
};

CUresult make(Shapes& shapes, const CUDA_ARRAY3D_DESCRIPTOR& shape, Made* made) {
  if (shapes.roll(3) == 0) {
    return cuMipmappedArrayCreate(&made->mipmap, &shape, static_cast<unsigned>(1 + shapes.roll(14)));
  }
  if (shape.Depth == 0 && shape.Flags == 0) {
    const CUDA_ARRAY_DESCRIPTOR flat{shape.Width, shape.Height, shape.Format, shape.NumChannels};
    return cuArrayCreate_v2(&made->array, &flat);
  }
  return cuArray3DCreate_v2(&made->array, &shape);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) check::skip("only where it is told the driver's libnvidia-ml.so.1");
  const check::Context context;
  const walk::DeviceUse device(argv[1]);
  Shapes shapes(1);
  int count = 0;
  for (int i = 0; i < kArrays; ++i) {
    const CUDA_ARRAY3D_DESCRIPTOR shape = shapes.shape();
    const size_t free = free_memory();
    const uint64_t used = device.bytes();
    Made made;
    const CUresult result = make(shapes, shape, &made);
    const uint64_t charged = free - free_memory(), taken = device.bytes() - used;
    REQUIRE(taken <= charged && (result == CUDA_SUCCESS || charged == 0),
            "%zu x %zu x %zu of format %#x with %u channels, flags %#x: %s, %zu bytes charged, %zu taken",
            shape.Width, shape.Height, shape.Depth, shape.Format, shape.NumChannels, shape.Flags,
            cu_name(result), size_t{charged}, size_t{taken});
    if (result != CUDA_SUCCESS) continue;
    ++count;
    if (made.array != nullptr) CU_CHECK(cuArrayDestroy(made.array));
    if (made.mipmap != nullptr) CU_CHECK(cuMipmappedArrayDestroy(made.mipmap));
    REQUIRE(free_memory() == free && device.bytes() == used, "an array is not all back");
  }
  REQUIRE(count > kArrays / 10, "only %d arrays were made", count);
  return check::pass("%d arrays, each charged for all that it takes", count);
}

// Surface objects by the runtime: reads and writes in one, two and three dimensions and in layers, of
// elements from one byte to sixteen, what is outside by each boundary mode, and an image that a texture reads
// afterwards.
#include <algorithm>
#include <cstring>

#include "cuda_check.h"

namespace {

constexpr int kWidth = 29, kHeight = 11, kDepth = 4;

template <class T>
class Image {
 public:
  explicit Image(cudaExtent extent, unsigned flags = 0) : extent_(extent) {
    const cudaChannelFormatDesc format = cudaCreateChannelDesc<T>();
    CUDA_CHECK(cudaMalloc3DArray(&array_, &format, extent, flags | cudaArraySurfaceLoadStore));
    const cudaResourceDesc resource = this->resource();
    CUDA_CHECK(cudaCreateSurfaceObject(&surface_, &resource));
  }
  ~Image() {
    CUDA_CHECK(cudaDestroySurfaceObject(surface_));
    CUDA_CHECK(cudaFreeArray(array_));
  }
  Image(const Image&) = delete;
  Image& operator=(const Image&) = delete;
  cudaSurfaceObject_t surface() const { return surface_; }
  cudaResourceDesc resource() const {
    cudaResourceDesc d{};
    d.resType = cudaResourceTypeArray;
    d.res.array.array = array_;
    return d;
  }
  size_t texels() const {
    return extent_.width * std::max<size_t>(extent_.height, 1) * std::max<size_t>(extent_.depth, 1);
  }
  // `bytes` of the whole, to it and from it.
  void upload(const std::vector<unsigned char>& bytes) {
    cudaMemcpy3DParms copy = parameters(const_cast<unsigned char*>(bytes.data()));
    std::swap(copy.srcPtr, copy.dstPtr);
    std::swap(copy.srcArray, copy.dstArray);
    copy.kind = cudaMemcpyHostToDevice;
    CUDA_CHECK(cudaMemcpy3D(&copy));
  }
  std::vector<unsigned char> download() const {
    std::vector<unsigned char> bytes(texels() * sizeof(T));
    const cudaMemcpy3DParms copy = parameters(bytes.data());
    CUDA_CHECK(cudaMemcpy3D(&copy));
    return bytes;
  }

 private:
  cudaMemcpy3DParms parameters(unsigned char* bytes) const {
    cudaMemcpy3DParms copy{};
    copy.extent = {extent_.width, std::max<size_t>(extent_.height, 1), std::max<size_t>(extent_.depth, 1)};
    copy.srcArray = array_;
    copy.dstPtr = make_cudaPitchedPtr(bytes, extent_.width * sizeof(T), extent_.width, copy.extent.height);
    copy.kind = cudaMemcpyDeviceToHost;
    return copy;
  }

  const cudaExtent extent_;
  cudaArray_t array_ = nullptr;
  cudaSurfaceObject_t surface_ = 0;
};

enum Geometry { k1D, k2D, k3D, kLayered };

// Each texel of `from` to the place of `to` that lies opposite in x.
template <class T, Geometry kGeometry>
__global__ void mirror(cudaSurfaceObject_t from, cudaSurfaceObject_t to) {
  const int x = static_cast<int>(threadIdx.x), y = static_cast<int>(blockIdx.x),
            z = static_cast<int>(blockIdx.y);
  const int size = static_cast<int>(sizeof(T)), at = x * size, opposite = (kWidth - 1 - x) * size;
  if constexpr (kGeometry == k1D) {
    surf1Dwrite(surf1Dread<T>(from, at), to, opposite);
  } else if constexpr (kGeometry == k2D) {
    surf2Dwrite(surf2Dread<T>(from, at, y), to, opposite, y);
  } else if constexpr (kGeometry == k3D) {
    surf3Dwrite(surf3Dread<T>(from, at, y, z), to, opposite, y, z);
  } else {
    surf2DLayeredwrite(surf2DLayeredread<T>(from, at, y, z), to, opposite, y, z);
  }
}

template <class T, Geometry kGeometry>
void check_mirror(const char* what) {
  const size_t height = kGeometry == k1D ? 0 : kHeight, depth = kGeometry >= k3D ? kDepth : 0;
  const unsigned flags = kGeometry == kLayered ? cudaArrayLayered : 0;
  Image<T> from(make_cudaExtent(kWidth, height, depth), flags),
      to(make_cudaExtent(kWidth, height, depth), flags);
  const auto bytes = check::random_integers<unsigned char>(from.texels() * sizeof(T), sizeof(T));
  from.upload(bytes);
  const dim3 grid(static_cast<unsigned>(std::max<size_t>(height, 1)),
                  static_cast<unsigned>(std::max<size_t>(depth, 1)));
  mirror<T, kGeometry><<<grid, kWidth>>>(from.surface(), to.surface());
  CUDA_CHECK_KERNEL();
  std::vector<unsigned char> expected(bytes.size());
  for (size_t texel = 0; texel < from.texels(); ++texel) {
    const size_t x = texel % kWidth, opposite = texel - x + (kWidth - 1 - x);
    std::memcpy(&expected[opposite * sizeof(T)], &bytes[texel * sizeof(T)], sizeof(T));
  }
  check::require_equal(to.download(), expected, what);
}

template <class T>
void every_geometry(const char* what) {
  check_mirror<T, k1D>(what);
  check_mirror<T, k2D>(what);
  check_mirror<T, k3D>(what);
  check_mirror<T, kLayered>(what);
}

// Of a square a texel wider on every side than the surface.
__global__ void read_around(cudaSurfaceObject_t surface, int* zero, int* clamp) {
  const int x = static_cast<int>(threadIdx.x), y = static_cast<int>(blockIdx.x), i = y * (kWidth + 2) + x;
  surf2Dread(&zero[i], surface, (x - 1) * 4, y - 1, cudaBoundaryModeZero);
  surf2Dread(&clamp[i], surface, (x - 1) * 4, y - 1, cudaBoundaryModeClamp);
}
__global__ void write_around(cudaSurfaceObject_t surface) {
  const int x = static_cast<int>(threadIdx.x), y = static_cast<int>(blockIdx.x);
  surf2Dwrite(y * 100 + x, surface, (x - 1) * 4, y - 1, cudaBoundaryModeZero);
}

void boundaries() {
  constexpr int kWide = kWidth + 2, kHigh = kHeight + 2;
  Image<int> image(make_cudaExtent(kWidth, kHeight, 0));
  write_around<<<kHigh, kWide>>>(image.surface());
  check::DeviceArray<int> zero(kWide * kHigh), clamp(kWide * kHigh);
  read_around<<<kHigh, kWide>>>(image.surface(), zero.get(), clamp.get());
  CUDA_CHECK_KERNEL();
  std::vector<int> zeroed, clamped;
  for (int y = 0; y < kHigh; ++y) {
    for (int x = 0; x < kWide; ++x) {
      const bool within = x >= 1 && x <= kWidth && y >= 1 && y <= kHeight;
      zeroed.push_back(within ? y * 100 + x : 0);
      clamped.push_back(std::clamp(y, 1, kHeight) * 100 + std::clamp(x, 1, kWidth));
    }
  }
  check::require_equal(zero.download(), zeroed, "zeros around");
  check::require_equal(clamp.download(), clamped, "clamped around");
}

__global__ void read_texture(cudaTextureObject_t texture, int* out) {
  const int x = static_cast<int>(threadIdx.x), y = static_cast<int>(blockIdx.x);
  out[y * kWidth + x] = tex2D<int>(texture, static_cast<float>(x) + 0.5f, static_cast<float>(y) + 0.5f);
}

void texture_of_what_was_written() {
  Image<int> image(make_cudaExtent(kWidth, kHeight, 0));
  const cudaResourceDesc resource = image.resource();
  const cudaTextureDesc how{};
  cudaTextureObject_t texture = 0;
  CUDA_CHECK(cudaCreateTextureObject(&texture, &resource, &how, nullptr));
  write_around<<<kHeight + 2, kWidth + 2>>>(image.surface());
  check::DeviceArray<int> out(kWidth * kHeight);
  read_texture<<<kHeight, kWidth>>>(texture, out.get());
  CUDA_CHECK_KERNEL();
  std::vector<int> expected;
  for (int i = 0; i < kWidth * kHeight; ++i) expected.push_back((i / kWidth + 1) * 100 + i % kWidth + 1);
  check::require_equal(out.download(), expected, "by a texture");
  CUDA_CHECK(cudaDestroyTextureObject(texture));
}

}  // namespace

int main() {
  every_geometry<unsigned char>("bytes");
  every_geometry<uchar2>("pairs of bytes");
  every_geometry<uchar4>("four bytes");
  every_geometry<short>("16 bits");
  every_geometry<ushort4>("four of 16 bits");
  every_geometry<float>("floats");
  every_geometry<int2>("pairs of integers");
  every_geometry<float4>("four floats");
  boundaries();
  texture_of_what_was_written();
  return check::pass("surfaces");
}

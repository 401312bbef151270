// Mipmaps as programs make and use them: each level is filtered from the one before by a texture and written
// by a surface, then all are read by level (tex1DLod to tex3DLod, layers) and by gradients; against the same
// on the host.
#include <algorithm>
#include <cmath>

#include "cuda_check.h"

namespace {

constexpr int kSize = 32, kLevels = 6, kLayers = 3;

cudaTextureDesc sampling(cudaTextureFilterMode filter, cudaTextureFilterMode levels) {
  cudaTextureDesc d{};
  for (auto& mode : d.addressMode) mode = cudaAddressModeClamp;
  d.filterMode = filter;
  d.normalizedCoords = 1;
  d.mipmapFilterMode = levels;
  d.maxMipmapLevelClamp = kLevels;
  return d;
}

class Texture {
 public:
  Texture(const cudaResourceDesc& resource, const cudaTextureDesc& how) {
    CUDA_CHECK(cudaCreateTextureObject(&object_, &resource, &how, nullptr));
  }
  ~Texture() { CUDA_CHECK(cudaDestroyTextureObject(object_)); }
  Texture(const Texture&) = delete;
  Texture& operator=(const Texture&) = delete;
  cudaTextureObject_t get() const { return object_; }

 private:
  cudaTextureObject_t object_ = 0;
};

class Mipmap {
 public:
  Mipmap(cudaExtent extent, unsigned flags) : extent_(extent), layered_((flags & cudaArrayLayered) != 0) {
    const cudaChannelFormatDesc format = cudaCreateChannelDesc<float>();
    CUDA_CHECK(cudaMallocMipmappedArray(&array_, &format, extent, kLevels, flags));
  }
  ~Mipmap() { CUDA_CHECK(cudaFreeMipmappedArray(array_)); }
  Mipmap(const Mipmap&) = delete;
  Mipmap& operator=(const Mipmap&) = delete;

  cudaArray_t level(unsigned i) const {
    cudaArray_t level = nullptr;
    CUDA_CHECK(cudaGetMipmappedArrayLevel(&level, array_, i));
    return level;
  }
  cudaExtent extent(unsigned i) const {
    const auto halved = [&](size_t n) { return std::max<size_t>(n >> i, 1); };
    return {halved(extent_.width), halved(extent_.height), layered_ ? extent_.depth : halved(extent_.depth)};
  }
  void upload(unsigned i, const std::vector<float>& texels) {
    copy(i, const_cast<float*>(texels.data()), cudaMemcpyHostToDevice);
  }
  std::vector<float> download(unsigned i) const {
    const cudaExtent e = extent(i);
    std::vector<float> texels(e.width * e.height * e.depth);
    copy(i, texels.data(), cudaMemcpyDeviceToHost);
    return texels;
  }
  cudaResourceDesc resource() const {
    cudaResourceDesc d{};
    d.resType = cudaResourceTypeMipmappedArray;
    d.res.mipmap.mipmap = array_;
    return d;
  }

 private:
  void copy(unsigned i, float* texels, cudaMemcpyKind kind) const {
    cudaMemcpy3DParms copy{};
    copy.extent = extent(i);
    const cudaPitchedPtr host =
        make_cudaPitchedPtr(texels, copy.extent.width * sizeof(float), copy.extent.width, copy.extent.height);
    (kind == cudaMemcpyHostToDevice ? copy.srcPtr : copy.dstPtr) = host;
    (kind == cudaMemcpyHostToDevice ? copy.dstArray : copy.srcArray) = level(i);
    copy.kind = kind;
    CUDA_CHECK(cudaMemcpy3D(&copy));
  }
  const cudaExtent extent_;
  const bool layered_;
  cudaMipmappedArray_t array_ = nullptr;
};

// A texel of the next level: the mean of four, which one linear fetch between them is.
__global__ void reduce(cudaTextureObject_t from, cudaSurfaceObject_t to, int size) {
  const int x = static_cast<int>(threadIdx.x), y = static_cast<int>(blockIdx.x);
  const float scale = 1.0f / static_cast<float>(size);
  const float mean =
      tex2D<float>(from, (static_cast<float>(x) + 0.5f) * scale, (static_cast<float>(y) + 0.5f) * scale);
  surf2Dwrite(mean, to, x * static_cast<int>(sizeof(float)), y);
}

enum Fetch { k1D, k2D, k3D, k1DLayered, k2DLayered };
template <Fetch kFetch>
__global__ void by_level(cudaTextureObject_t texture, float* out, float level) {
  const int x = static_cast<int>(threadIdx.x), y = static_cast<int>(blockIdx.x),
            z = static_cast<int>(blockIdx.y);
  const float u = (static_cast<float>(x) + 0.5f) / static_cast<float>(blockDim.x);
  const float v = (static_cast<float>(y) + 0.5f) / static_cast<float>(gridDim.x);
  const float w = (static_cast<float>(z) + 0.5f) / static_cast<float>(gridDim.y);
  float texel = 0;
  if constexpr (kFetch == k1D) texel = tex1DLod<float>(texture, u, level);
  if constexpr (kFetch == k2D) texel = tex2DLod<float>(texture, u, v, level);
  if constexpr (kFetch == k3D) texel = tex3DLod<float>(texture, u, v, w, level);
  if constexpr (kFetch == k1DLayered) texel = tex1DLayeredLod<float>(texture, u, z, level);
  if constexpr (kFetch == k2DLayered) texel = tex2DLayeredLod<float>(texture, u, v, z, level);
  out[(z * static_cast<int>(gridDim.x) + y) * static_cast<int>(blockDim.x) + x] = texel;
}

// As a picture that is drawn `shrink` times smaller would fetch it.
__global__ void by_gradients(cudaTextureObject_t texture, float* out, float shrink) {
  const int x = static_cast<int>(threadIdx.x), y = static_cast<int>(blockIdx.x);
  const float step = shrink / kSize;
  const float u = (static_cast<float>(x) + 0.5f) * step, v = (static_cast<float>(y) + 0.5f) * step;
  out[y * static_cast<int>(blockDim.x) + x] =
      tex2DGrad<float>(texture, u, v, make_float2(step, 0), make_float2(0, step));
}

void require_near(const std::vector<float>& found, const std::vector<float>& expected, const char* what) {
  REQUIRE(found.size() == expected.size(), "%s: %zu values", what, found.size());
  for (size_t i = 0; i < found.size(); ++i)
    REQUIRE(std::abs(found[i] - expected[i]) <= 1e-6f, "%s: [%zu] is %g, not %g", what, i, found[i],
            expected[i]);
}

// Level i + 1 from level i on the device.
void generate(const Mipmap& mipmap, unsigned i) {
  cudaResourceDesc from{}, to{};
  from.resType = to.resType = cudaResourceTypeArray;
  from.res.array.array = mipmap.level(i);
  to.res.array.array = mipmap.level(i + 1);
  const Texture texture(from, sampling(cudaFilterModeLinear, cudaFilterModePoint));
  cudaSurfaceObject_t surface = 0;
  CUDA_CHECK(cudaCreateSurfaceObject(&surface, &to));
  const unsigned size = kSize >> (i + 1);
  reduce<<<size, size>>>(texture.get(), surface, static_cast<int>(size));
  CUDA_CHECK_KERNEL();
  CUDA_CHECK(cudaDestroySurfaceObject(surface));
}

void pyramid() {
  Mipmap mipmap(make_cudaExtent(kSize, kSize, 0), cudaArraySurfaceLoadStore);
  std::vector<std::vector<float>> levels = {check::random_reals<float>(kSize * kSize, 1, -1, 1)};
  mipmap.upload(0, levels[0]);
  for (unsigned i = 0; i + 1 < kLevels; ++i) {
    const size_t size = kSize >> (i + 1);
    std::vector<float> next(size * size);
    for (size_t k = 0; k < next.size(); ++k) {
      const float* four = &levels[i][k / size * 4 * size + k % size * 2];
      next[k] = (four[0] + four[1] + four[2 * size] + four[2 * size + 1]) / 4;
    }
    levels.push_back(next);
    generate(mipmap, i);
    require_near(mipmap.download(i + 1), next, "a level by a surface");
  }
  const Texture nearest(mipmap.resource(), sampling(cudaFilterModePoint, cudaFilterModePoint));
  const Texture between(mipmap.resource(), sampling(cudaFilterModeLinear, cudaFilterModeLinear));
  for (unsigned i = 0; i < kLevels; ++i) {
    const unsigned size = kSize >> i;
    check::DeviceArray<float> out(size * size);
    by_level<k2D><<<size, size>>>(nearest.get(), out.get(), static_cast<float>(i) + 0.25f);
    CUDA_CHECK_KERNEL();
    require_near(out.download(), levels[i], "tex2DLod");
    by_gradients<<<size, size>>>(between.get(), out.get(), std::ldexp(1.0f, static_cast<int>(i)));
    CUDA_CHECK_KERNEL();
    require_near(out.download(), levels[i], "tex2DGrad");
  }
  // At the centres of level 3 a linear filter in level 2 gives the same mean of four.
  const unsigned size = kSize >> 3;
  check::DeviceArray<float> out(size * size);
  by_level<k2D><<<size, size>>>(between.get(), out.get(), 2.5f);
  CUDA_CHECK_KERNEL();
  require_near(out.download(), levels[3], "tex2DLod between levels");
}

template <Fetch kFetch>
void geometry(const char* what, cudaExtent extent, unsigned flags) {
  Mipmap mipmap(extent, flags);
  const Texture texture(mipmap.resource(), sampling(cudaFilterModePoint, cudaFilterModePoint));
  for (unsigned i = 0; i < kLevels; ++i) {
    const cudaExtent e = mipmap.extent(i);
    const auto texels = check::random_reals<float>(e.width * e.height * e.depth, i, -1, 1);
    mipmap.upload(i, texels);
    check::DeviceArray<float> out(texels.size());
    by_level<kFetch><<<dim3(static_cast<unsigned>(e.height), static_cast<unsigned>(e.depth)),
                       static_cast<unsigned>(e.width)>>>(texture.get(), out.get(), static_cast<float>(i));
    CUDA_CHECK_KERNEL();
    require_near(out.download(), texels, what);
  }
}

}  // namespace

int main() {
  pyramid();
  geometry<k1D>("tex1DLod", make_cudaExtent(kSize, 0, 0), 0);
  geometry<k3D>("tex3DLod", make_cudaExtent(kSize, kSize / 2, 8), 0);
  geometry<k1DLayered>("tex1DLayeredLod", make_cudaExtent(kSize, 0, kLayers), cudaArrayLayered);
  geometry<k2DLayered>("tex2DLayeredLod", make_cudaExtent(kSize, kSize, kLayers), cudaArrayLayered);
  return check::pass("%d levels of %d by %d", kLevels, kSize, kSize);
}

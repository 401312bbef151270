// Texture objects by the runtime: what tex1Dfetch, tex1D, tex2D, tex3D and tex2DLayered give, point and
// linear, by texels and normalized coordinates, as floats, integers, fractions and vectors; against the same
// on the host.
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "cuda_check.h"

namespace {

constexpr int kWidth = 37, kHeight = 19, kDepth = 5;

cudaTextureDesc sampling(cudaTextureFilterMode filter, cudaTextureAddressMode mode, bool normalized,
                         cudaTextureReadMode read = cudaReadModeElementType) {
  cudaTextureDesc d{};
  for (auto& each : d.addressMode) each = mode;
  d.filterMode = filter;
  d.readMode = read;
  d.normalizedCoords = normalized ? 1 : 0;
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

// An array with the values in it.
template <class T>
class Image {
 public:
  Image(const std::vector<T>& values, cudaExtent extent, unsigned flags = 0) {
    const cudaChannelFormatDesc format = cudaCreateChannelDesc<T>();
    CUDA_CHECK(cudaMalloc3DArray(&array_, &format, extent, flags));
    cudaMemcpy3DParms copy{};
    copy.extent = {extent.width, std::max<size_t>(extent.height, 1), std::max<size_t>(extent.depth, 1)};
    copy.srcPtr = make_cudaPitchedPtr(const_cast<T*>(values.data()), extent.width * sizeof(T), extent.width,
                                      copy.extent.height);
    copy.dstArray = array_;
    copy.kind = cudaMemcpyHostToDevice;
    CUDA_CHECK(cudaMemcpy3D(&copy));
  }
  ~Image() { CUDA_CHECK(cudaFreeArray(array_)); }
  Image(const Image&) = delete;
  Image& operator=(const Image&) = delete;
  cudaResourceDesc resource() const {
    cudaResourceDesc d{};
    d.resType = cudaResourceTypeArray;
    d.res.array.array = array_;
    return d;
  }

 private:
  cudaArray_t array_ = nullptr;
};

template <class T>
__global__ void fetch_1d(cudaTextureObject_t texture, T* out, int count) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < count) out[i] = tex1Dfetch<T>(texture, i);
}
// The coordinate of out[i] is first + i * step.
template <class T>
__global__ void sample_1d(cudaTextureObject_t texture, T* out, int count, float first, float step) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < count) out[i] = tex1D<T>(texture, first + static_cast<float>(i) * step);
}
template <class T>
__global__ void sample_2d(cudaTextureObject_t texture, T* out, float shift, float scale_x, float scale_y) {
  const int x = static_cast<int>(threadIdx.x), y = static_cast<int>(blockIdx.x);
  out[y * kWidth + x] =
      tex2D<T>(texture, (static_cast<float>(x) + shift) * scale_x, (static_cast<float>(y) + shift) * scale_y);
}
__global__ void sample_3d(cudaTextureObject_t texture, float* out, float shift) {
  const int x = static_cast<int>(threadIdx.x), y = static_cast<int>(blockIdx.x),
            z = static_cast<int>(blockIdx.y);
  out[(z * kHeight + y) * kWidth + x] = tex3D<float>(
      texture, static_cast<float>(x) + shift, static_cast<float>(y) + shift, static_cast<float>(z) + shift);
}
__global__ void sample_layers(cudaTextureObject_t texture, float* out) {
  const int x = static_cast<int>(threadIdx.x), y = static_cast<int>(blockIdx.x),
            z = static_cast<int>(blockIdx.y);
  out[(z * kHeight + y) * kWidth + x] =
      tex2DLayered<float>(texture, static_cast<float>(x) + 0.5f, static_cast<float>(y) + 0.5f, z);
}

void require_near(const std::vector<float>& found, const std::vector<float>& expected, float bound,
                  const char* what) {
  REQUIRE(found.size() == expected.size(), "%s: %zu values", what, found.size());
  for (size_t i = 0; i < found.size(); ++i)
    REQUIRE(std::abs(found[i] - expected[i]) <= bound, "%s: [%zu] is %g, not %g", what, i, found[i],
            expected[i]);
}

int clamped(int i, int n) { return std::clamp(i, 0, n - 1); }

void linear_memory() {
  constexpr int kCount = 1000;
  const auto values = check::random_reals<float>(kCount, 1, -1, 1);
  check::DeviceArray<float> memory(values), out(kCount);
  cudaResourceDesc resource{};
  resource.resType = cudaResourceTypeLinear;
  resource.res.linear = {memory.get(), cudaCreateChannelDesc<float>(), memory.bytes()};
  const cudaTextureDesc how = sampling(cudaFilterModePoint, cudaAddressModeClamp, false);
  const Texture texture(resource, how);
  fetch_1d<<<check::blocks_for(kCount, 128), 128>>>(texture.get(), out.get(), kCount);
  CUDA_CHECK_KERNEL();
  check::require_equal(out.download(), values, "tex1Dfetch<float>");

  // The same bytes as vectors.
  resource.res.linear.desc = cudaCreateChannelDesc<float4>();
  const Texture vectors(resource, how);
  check::DeviceArray<float> quads(kCount);
  fetch_1d<<<check::blocks_for(kCount / 4, 128), 128>>>(vectors.get(), reinterpret_cast<float4*>(quads.get()),
                                                        kCount / 4);
  CUDA_CHECK_KERNEL();
  check::require_equal(quads.download(), values, "tex1Dfetch<float4>");
}

void one_dimension() {
  constexpr int kSteps = 96;
  const auto values = check::random_reals<float>(kWidth, 2, -1, 1);
  const Image<float> image(values, make_cudaExtent(kWidth, 0, 0));
  check::DeviceArray<float> out(kSteps);
  // From the last image before [0, 1) to the first after it, halfway between the ends of texels.
  const Texture wrapped(image.resource(), sampling(cudaFilterModePoint, cudaAddressModeWrap, true));
  sample_1d<<<1, kSteps>>>(wrapped.get(), out.get(), kSteps, (0.5f - 30) / kWidth, 1.0f / kWidth);
  CUDA_CHECK_KERNEL();
  std::vector<float> expected;
  for (int i = 0; i < kSteps; ++i)
    expected.push_back(values[static_cast<size_t>((i - 30 + kWidth) % kWidth)]);
  check::require_equal(out.download(), expected, "tex1D, wrapped");

  // Steps of 1/4, whose weights are exact.
  const Texture smooth(image.resource(), sampling(cudaFilterModeLinear, cudaAddressModeClamp, false));
  sample_1d<<<1, kSteps>>>(smooth.get(), out.get(), kSteps, -1.0f, 0.25f);
  CUDA_CHECK_KERNEL();
  expected.clear();
  for (int i = 0; i < kSteps; ++i) {
    const float x = -1.5f + static_cast<float>(i) * 0.25f, weight = x - std::floor(x);
    const int low = static_cast<int>(std::floor(x));
    expected.push_back((1 - weight) * values[static_cast<size_t>(clamped(low, kWidth))] +
                       weight * values[static_cast<size_t>(clamped(low + 1, kWidth))]);
  }
  require_near(out.download(), expected, 1e-6f, "tex1D, linear");
}

void two_dimensions() {
  const auto values = check::random_reals<float>(kWidth * kHeight, 3, -1, 1);
  const Image<float> image(values, make_cudaExtent(kWidth, kHeight, 0));
  check::DeviceArray<float> out(values.size());
  const Texture point(image.resource(), sampling(cudaFilterModePoint, cudaAddressModeClamp, false));
  sample_2d<<<kHeight, kWidth>>>(point.get(), out.get(), 0.5f, 1.0f, 1.0f);
  CUDA_CHECK_KERNEL();
  check::require_equal(out.download(), values, "tex2D");
  const Texture normalized(image.resource(), sampling(cudaFilterModePoint, cudaAddressModeMirror, true));
  sample_2d<<<kHeight, kWidth>>>(normalized.get(), out.get(), 0.5f, -1.0f / kWidth, -1.0f / kHeight);
  CUDA_CHECK_KERNEL();
  check::require_equal(out.download(), values, "tex2D, mirrored");

  const Texture smooth(image.resource(), sampling(cudaFilterModeLinear, cudaAddressModeClamp, false));
  sample_2d<<<kHeight, kWidth>>>(smooth.get(), out.get(), 1.0f, 1.0f, 1.0f);
  CUDA_CHECK_KERNEL();
  const auto at = [&](int x, int y) {
    return values[static_cast<size_t>(clamped(y, kHeight) * kWidth + clamped(x, kWidth))];
  };
  std::vector<float> expected;
  for (int y = 0; y < kHeight; ++y)
    for (int x = 0; x < kWidth; ++x)
      expected.push_back((at(x, y) + at(x + 1, y) + at(x, y + 1) + at(x + 1, y + 1)) / 4);
  require_near(out.download(), expected, 1e-6f, "tex2D, linear");
}

// Bytes as they are, and as fractions of 255.
void bytes() {
  const auto values = check::random_integers<unsigned char>(kWidth * kHeight * 4, 4);
  std::vector<uchar4> texels;
  for (size_t i = 0; i < values.size(); i += 4)
    texels.push_back(make_uchar4(values[i], values[i + 1], values[i + 2], values[i + 3]));
  const Image<uchar4> image(texels, make_cudaExtent(kWidth, kHeight, 0));
  check::DeviceArray<unsigned char> raw(values.size());
  const Texture plain(image.resource(), sampling(cudaFilterModePoint, cudaAddressModeClamp, false));
  sample_2d<<<kHeight, kWidth>>>(plain.get(), reinterpret_cast<uchar4*>(raw.get()), 0.5f, 1.0f, 1.0f);
  CUDA_CHECK_KERNEL();
  check::require_equal(raw.download(), values, "tex2D<uchar4>");

  check::DeviceArray<float> out(values.size());
  const Texture fractions(image.resource(), sampling(cudaFilterModePoint, cudaAddressModeClamp, false,
                                                     cudaReadModeNormalizedFloat));
  sample_2d<<<kHeight, kWidth>>>(fractions.get(), reinterpret_cast<float4*>(out.get()), 0.5f, 1.0f, 1.0f);
  CUDA_CHECK_KERNEL();
  std::vector<float> expected;
  for (const unsigned char value : values) expected.push_back(static_cast<float>(value) / 255);
  require_near(out.download(), expected, 1e-6f, "bytes as fractions");

  const auto integers = check::random_integers<int>(kWidth * kHeight, 5);
  const Image<int> of_integers(integers, make_cudaExtent(kWidth, kHeight, 0));
  check::DeviceArray<int> found(integers.size());
  const Texture texture(of_integers.resource(), sampling(cudaFilterModePoint, cudaAddressModeClamp, false));
  sample_2d<<<kHeight, kWidth>>>(texture.get(), found.get(), 0.5f, 1.0f, 1.0f);
  CUDA_CHECK_KERNEL();
  check::require_equal(found.download(), integers, "tex2D<int>");
}

// A format that is fractions by itself: the runtime takes no other read mode for it.
void fractions() {
  const auto values = check::random_integers<signed char>(kWidth * kHeight * 4, 7);
  const cudaChannelFormatDesc format = cudaCreateChannelDesc<cudaChannelFormatKindSignedNormalized8X4>();
  cudaArray_t array = nullptr;
  CUDA_CHECK(cudaMallocArray(&array, &format, kWidth, kHeight));
  CUDA_CHECK(cudaMemcpy2DToArray(array, 0, 0, values.data(), kWidth * 4, kWidth * 4, kHeight,
                                 cudaMemcpyHostToDevice));
  cudaResourceDesc resource{};
  resource.resType = cudaResourceTypeArray;
  resource.res.array.array = array;
  {
    const Texture texture(
        resource, sampling(cudaFilterModePoint, cudaAddressModeClamp, false, cudaReadModeNormalizedFloat));
    check::DeviceArray<float> out(values.size());
    sample_2d<<<kHeight, kWidth>>>(texture.get(), reinterpret_cast<float4*>(out.get()), 0.5f, 1.0f, 1.0f);
    CUDA_CHECK_KERNEL();
    std::vector<float> expected;
    for (const signed char value : values)
      expected.push_back(std::max(static_cast<float>(value) / 127, -1.0f));
    require_near(out.download(), expected, 1e-6f, "fractions with signs");
  }
  CUDA_CHECK(cudaFreeArray(array));
}

void three_dimensions() {
  const auto values = check::random_reals<float>(kWidth * kHeight * kDepth, 6, -1, 1);
  const cudaExtent extent = make_cudaExtent(kWidth, kHeight, kDepth);
  const dim3 grid(kHeight, kDepth);
  check::DeviceArray<float> out(values.size());
  const Image<float> layered(values, extent, cudaArrayLayered), solid(values, extent);
  const Texture layers(layered.resource(), sampling(cudaFilterModeLinear, cudaAddressModeClamp, false));
  sample_layers<<<grid, kWidth>>>(layers.get(), out.get());
  CUDA_CHECK_KERNEL();
  check::require_equal(out.download(), values, "tex2DLayered");

  const Texture texture(solid.resource(), sampling(cudaFilterModeLinear, cudaAddressModeClamp, false));
  sample_3d<<<grid, kWidth>>>(texture.get(), out.get(), 0.5f);
  CUDA_CHECK_KERNEL();
  check::require_equal(out.download(), values, "tex3D");
  sample_3d<<<grid, kWidth>>>(texture.get(), out.get(), 1.0f);
  CUDA_CHECK_KERNEL();
  std::vector<float> expected;
  for (int z = 0; z < kDepth; ++z) {
    for (int y = 0; y < kHeight; ++y) {
      for (int x = 0; x < kWidth; ++x) {
        float sum = 0;
        for (int corner = 0; corner < 8; ++corner)
          sum += values[static_cast<size_t>(
              (clamped(z + (corner >> 2), kDepth) * kHeight + clamped(y + (corner >> 1 & 1), kHeight)) *
                  kWidth +
              clamped(x + (corner & 1), kWidth))];
        expected.push_back(sum / 8);
      }
    }
  }
  require_near(out.download(), expected, 1e-6f, "tex3D, linear");
}

}  // namespace

int main() {
  linear_memory();
  one_dimension();
  two_dimensions();
  bytes();
  fractions();
  three_dimensions();
  return check::pass("textures");
}

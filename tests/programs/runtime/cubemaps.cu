// Cubemaps by the runtime: faces that surfCubemapwrite fills with a function of the direction are read back
// by texCubemap in any direction, in layers, by level and by gradients, and by surfCubemapread.
#include <algorithm>
#include <cmath>

#include "cuda_check.h"

namespace {

constexpr int kSize = 64, kCubes = 2, kFaces = 6;

// The direction of a texel's centre: the guide's table, solved for x, y and z.
__host__ __device__ float3 direction_of(int face, int x, int y, int size) {
  const float s = (2 * static_cast<float>(x) + 1) / static_cast<float>(size) - 1;
  const float t = (2 * static_cast<float>(y) + 1) / static_cast<float>(size) - 1;
  switch (face) {
    case 0:
      return make_float3(1, -t, -s);
    case 1:
      return make_float3(-1, -t, s);
    case 2:
      return make_float3(s, 1, t);
    case 3:
      return make_float3(s, -1, -t);
    case 4:
      return make_float3(s, -t, 1);
    default:
      return make_float3(-s, -t, -1);
  }
}

// Smooth over the sphere, and another in each cube.
__host__ __device__ float light(float3 d, int cube) {
  const float length = sqrtf(d.x * d.x + d.y * d.y + d.z * d.z);
  return (0.5f * d.x + 0.25f * d.y - 0.125f * d.z) / length + static_cast<float>(cube);
}

__global__ void paint(cudaSurfaceObject_t surface) {
  const int x = static_cast<int>(threadIdx.x), y = static_cast<int>(blockIdx.x),
            face = static_cast<int>(blockIdx.y);
  surfCubemapwrite(light(direction_of(face, x, y, kSize), 0), surface, x * static_cast<int>(sizeof(float)), y,
                   face);
}
__global__ void paint_layers(cudaSurfaceObject_t surface) {
  const int x = static_cast<int>(threadIdx.x), y = static_cast<int>(blockIdx.x),
            layer = static_cast<int>(blockIdx.y);
  surfCubemapLayeredwrite(light(direction_of(layer % kFaces, x, y, kSize), layer / kFaces), surface,
                          x * static_cast<int>(sizeof(float)), y, layer);
}
__global__ void read_layers(cudaSurfaceObject_t surface, float* out) {
  const int x = static_cast<int>(threadIdx.x), y = static_cast<int>(blockIdx.x),
            layer = static_cast<int>(blockIdx.y);
  out[(layer * kSize + y) * kSize + x] =
      surfCubemapLayeredread<float>(surface, x * static_cast<int>(sizeof(float)), y, layer);
}
__global__ void read_face(cudaSurfaceObject_t surface, float* out, int face) {
  const int x = static_cast<int>(threadIdx.x), y = static_cast<int>(blockIdx.x);
  out[y * kSize + x] = surfCubemapread<float>(surface, x * static_cast<int>(sizeof(float)), y, face);
}

enum Fetch { kCubemap, kLayered, kLod, kLayeredLod, kGrad, kLayeredGrad };
template <Fetch kFetch>
__global__ void look(cudaTextureObject_t texture, const float3* directions, float* out, int count, int cube) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i >= count) return;
  const float3 d = directions[i];
  const float4 step = make_float4(0, 0, 0, 0);
  if constexpr (kFetch == kCubemap) out[i] = texCubemap<float>(texture, d.x, d.y, d.z);
  if constexpr (kFetch == kLayered) out[i] = texCubemapLayered<float>(texture, d.x, d.y, d.z, cube);
  if constexpr (kFetch == kLod) out[i] = texCubemapLod<float>(texture, d.x, d.y, d.z, 0);
  if constexpr (kFetch == kLayeredLod) out[i] = texCubemapLayeredLod<float>(texture, d.x, d.y, d.z, cube, 0);
  if constexpr (kFetch == kGrad) out[i] = texCubemapGrad<float>(texture, d.x, d.y, d.z, step, step);
  if constexpr (kFetch == kLayeredGrad)
    out[i] = texCubemapLayeredGrad<float>(texture, d.x, d.y, d.z, cube, step, step);
}

// A cubemap, or several in layers, with its surface and a texture that filters over the edges.
class Cubemap {
 public:
  explicit Cubemap(int layers) {
    const cudaChannelFormatDesc format = cudaCreateChannelDesc<float>();
    const unsigned flags = cudaArrayCubemap | cudaArraySurfaceLoadStore | (layers > 1 ? cudaArrayLayered : 0);
    CUDA_CHECK(cudaMalloc3DArray(&array_, &format,
                                 make_cudaExtent(kSize, kSize, static_cast<size_t>(layers) * kFaces), flags));
    cudaResourceDesc resource{};
    resource.resType = cudaResourceTypeArray;
    resource.res.array.array = array_;
    CUDA_CHECK(cudaCreateSurfaceObject(&surface_, &resource));
    cudaTextureDesc how{};
    how.filterMode = cudaFilterModeLinear;
    how.normalizedCoords = 1;
    how.seamlessCubemap = 1;
    CUDA_CHECK(cudaCreateTextureObject(&texture_, &resource, &how, nullptr));
  }
  ~Cubemap() {
    CUDA_CHECK(cudaDestroyTextureObject(texture_));
    CUDA_CHECK(cudaDestroySurfaceObject(surface_));
    CUDA_CHECK(cudaFreeArray(array_));
  }
  Cubemap(const Cubemap&) = delete;
  Cubemap& operator=(const Cubemap&) = delete;
  cudaSurfaceObject_t surface() const { return surface_; }
  cudaTextureObject_t texture() const { return texture_; }

 private:
  cudaArray_t array_ = nullptr;
  cudaSurfaceObject_t surface_ = 0;
  cudaTextureObject_t texture_ = 0;
};

std::vector<float3> all_around() {
  std::vector<float3> directions;
  const auto numbers = check::random_reals<float>(3000, 2, -1, 1);
  for (size_t i = 0; i + 2 < numbers.size(); i += 3)
    directions.push_back(make_float3(numbers[i], numbers[i + 1], numbers[i + 2]));
  return directions;
}

template <Fetch kFetch>
void require_light(const Cubemap& cubemap, int cube, const char* what) {
  const auto directions = all_around();
  const int count = static_cast<int>(directions.size());
  const check::DeviceArray<float3> in(directions);
  check::DeviceArray<float> out(directions.size());
  look<kFetch><<<check::blocks_for(directions.size(), 128), 128>>>(cubemap.texture(), in.get(), out.get(),
                                                                   count, cube);
  CUDA_CHECK_KERNEL();
  const auto found = out.download();
  for (size_t i = 0; i < found.size(); ++i) {
    // Linear pieces of this length, and weights in steps of 1/256 of a texel.
    const float expected = light(directions[i], cube);
    REQUIRE(std::abs(found[i] - expected) < 2e-3f, "%s: towards %g %g %g is %g, not %g", what,
            directions[i].x, directions[i].y, directions[i].z, found[i], expected);
  }
}

void cubemaps() {
  const Cubemap one(1), several(kCubes);
  paint<<<dim3(kSize, kFaces), kSize>>>(one.surface());
  paint_layers<<<dim3(kSize, kCubes * kFaces), kSize>>>(several.surface());
  CUDA_CHECK_KERNEL();
  require_light<kCubemap>(one, 0, "texCubemap");
  require_light<kLod>(one, 0, "texCubemapLod");
  require_light<kGrad>(one, 0, "texCubemapGrad");
  for (int cube = 0; cube < kCubes; ++cube) {
    require_light<kLayered>(several, cube, "texCubemapLayered");
    require_light<kLayeredLod>(several, cube, "texCubemapLayeredLod");
    require_light<kLayeredGrad>(several, cube, "texCubemapLayeredGrad");
  }
  check::DeviceArray<float> texels(static_cast<size_t>(kCubes) * kFaces * kSize * kSize), face(kSize * kSize);
  read_layers<<<dim3(kSize, kCubes * kFaces), kSize>>>(several.surface(), texels.get());
  read_face<<<kSize, kSize>>>(one.surface(), face.get(), 3);
  CUDA_CHECK_KERNEL();
  const auto found = texels.download(), of_face = face.download();
  for (size_t i = 0; i < found.size(); ++i) {
    const int x = static_cast<int>(i % kSize), y = static_cast<int>(i / kSize % kSize),
              layer = static_cast<int>(i / (kSize * kSize));
    const float expected = light(direction_of(layer % kFaces, x, y, kSize), layer / kFaces);
    REQUIRE(std::abs(found[i] - expected) < 1e-6f, "surfCubemapLayeredread: [%zu] is %g, not %g", i, found[i],
            expected);
    if (layer == 3)
      REQUIRE(of_face[i % (kSize * kSize)] == found[i], "surfCubemapread: %d, %d is %g", x, y,
              of_face[i % (kSize * kSize)]);
  }
}

}  // namespace

int main() {
  cubemaps();
  return check::pass("%d cubes of %d by %d", kCubes, kSize, kSize);
}

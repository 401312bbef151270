// tex2Dgather: one component of the four texels around every corner of texels, also at the edges.
#include <algorithm>

#include "cuda_check.h"

namespace {

constexpr int kWidth = 23, kHeight = 9;

__global__ void gather(cudaTextureObject_t texture, uchar4* out) {
  const int x = static_cast<int>(threadIdx.x), y = static_cast<int>(blockIdx.x);
  const float u = static_cast<float>(x), v = static_cast<float>(y);  // a corner of texels
  uchar4* here = out + (y * static_cast<int>(blockDim.x) + x) * 4;
  here[0] = tex2Dgather<uchar4>(texture, u, v, 0);
  here[1] = tex2Dgather<uchar4>(texture, u, v, 1);
  here[2] = tex2Dgather<uchar4>(texture, u, v, 2);
  here[3] = tex2Dgather<uchar4>(texture, u, v, 3);
}

void corners() {
  const auto bytes = check::random_integers<unsigned char>(kWidth * kHeight * 4, 3);
  const cudaChannelFormatDesc format = cudaCreateChannelDesc<uchar4>();
  cudaArray_t array = nullptr;
  CUDA_CHECK(cudaMallocArray(&array, &format, kWidth, kHeight, cudaArrayTextureGather));
  CUDA_CHECK(cudaMemcpy2DToArray(array, 0, 0, bytes.data(), kWidth * 4, kWidth * 4, kHeight,
                                 cudaMemcpyHostToDevice));
  cudaResourceDesc resource{};
  resource.resType = cudaResourceTypeArray;
  resource.res.array.array = array;
  cudaTextureDesc how{};
  for (auto& mode : how.addressMode) mode = cudaAddressModeClamp;
  cudaTextureObject_t texture = 0;
  CUDA_CHECK(cudaCreateTextureObject(&texture, &resource, &how, nullptr));
  constexpr unsigned kColumns = kWidth + 1, kRows = kHeight + 1;
  check::DeviceArray<uchar4> out(kColumns * kRows * 4);
  gather<<<kRows, kColumns>>>(texture, out.get());
  CUDA_CHECK_KERNEL();
  const auto found = out.download();
  const auto texel = [&](int x, int y, size_t component) {
    const auto row = static_cast<size_t>(std::clamp(y, 0, kHeight - 1));
    return bytes[(row * kWidth + static_cast<size_t>(std::clamp(x, 0, kWidth - 1))) * 4 + component];
  };
  for (size_t i = 0; i < found.size(); ++i) {
    const int x = static_cast<int>(i / 4 % kColumns), y = static_cast<int>(i / 4 / kColumns);
    REQUIRE(found[i].x == texel(x - 1, y, i % 4) && found[i].y == texel(x, y, i % 4) &&
                found[i].z == texel(x, y - 1, i % 4) && found[i].w == texel(x - 1, y - 1, i % 4),
            "tex2Dgather of component %zu at %d, %d", i % 4, x, y);
  }
  CUDA_CHECK(cudaDestroyTextureObject(texture));
  CUDA_CHECK(cudaFreeArray(array));
}

}  // namespace

int main() {
  corners();
  return check::pass("%d by %d texels", kWidth, kHeight);
}

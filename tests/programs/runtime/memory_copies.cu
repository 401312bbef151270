// Copies and memsets in one, two and three dimensions, in every direction, pitched and not.
#include <algorithm>

#include "cuda_check.h"

namespace {

using Bytes = std::vector<uint8_t>;

void check_directions() {
  const Bytes in = check::random_integers<uint8_t>(100'003, 1);
  check::DeviceArray<uint8_t> a(in.size()), b(in.size());
  Bytes out(in.size());
  CUDA_CHECK(
      cudaMemcpy(a.get(), in.data(), in.size(), cudaMemcpyDefault));  // the direction from the addresses
  CUDA_CHECK(cudaMemcpy(b.get(), a.get(), in.size(), cudaMemcpyDeviceToDevice));
  CUDA_CHECK(cudaMemset(a.get(), 0x5a, a.bytes()));
  CUDA_CHECK(cudaMemcpy(b.get() + 7, a.get() + 3, 1000, cudaMemcpyDefault));
  CUDA_CHECK(cudaMemcpy(out.data(), b.get(), out.size(), cudaMemcpyDefault));
  Bytes want = in;
  std::fill(want.begin() + 7, want.begin() + 1007, 0x5a);
  check::require_equal(out, want, "bytes");
  Bytes host_copy(in.size());
  CUDA_CHECK(cudaMemcpy(host_copy.data(), in.data(), in.size(), cudaMemcpyHostToHost));
  check::require_equal(host_copy, in, "host to host");
  CUDA_CHECK(cudaMemcpy(a.get(), in.data(), 0, cudaMemcpyHostToDevice));  // nothing is a copy too
}

__global__ void invert(uint8_t* rows, size_t pitch, int width, int height) {
  const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
  if (x < width && y < height) rows[y * pitch + x] ^= 0xff;
}

void check_pitched() {
  constexpr int kWidth = 117, kHeight = 61;
  const Bytes picture = check::random_integers<uint8_t>(kWidth * kHeight, 2);
  uint8_t* rows = nullptr;
  size_t pitch = 0;
  CUDA_CHECK(cudaMallocPitch(&rows, &pitch, kWidth, kHeight));
  REQUIRE(pitch >= kWidth, "a pitch of %zu", pitch);
  CUDA_CHECK(cudaMemcpy2D(rows, pitch, picture.data(), kWidth, kWidth, kHeight, cudaMemcpyHostToDevice));
  invert<<<dim3(8, 8), dim3(16, 8)>>>(rows, pitch, kWidth, kHeight);
  CUDA_CHECK(cudaGetLastError());
  CUDA_CHECK(cudaMemset2D(rows + 4 * pitch + 20, pitch, 7, 30, 10));  // rows 4..13, columns 20..49
  Bytes got(kWidth * kHeight);
  CUDA_CHECK(cudaMemcpy2D(got.data(), kWidth, rows, pitch, kWidth, kHeight, cudaMemcpyDeviceToHost));
  for (int y = 0; y < kHeight; ++y) {
    for (int x = 0; x < kWidth; ++x) {
      const bool painted = y >= 4 && y < 14 && x >= 20 && x < 50;
      const uint8_t want = painted ? 7 : picture[y * kWidth + x] ^ 0xff;
      REQUIRE(got[y * kWidth + x] == want, "pixel %d, %d is %u, not %u", x, y, got[y * kWidth + x], want);
    }
  }
  CUDA_CHECK(cudaFree(rows));
}

void check_box() {
  const cudaExtent extent = make_cudaExtent(20, 9, 7);  // bytes, rows, slices
  const Bytes box = check::random_integers<uint8_t>(20 * 9 * 7, 3);
  cudaPitchedPtr device = {};
  CUDA_CHECK(cudaMalloc3D(&device, extent));
  cudaMemcpy3DParms in = {};
  in.srcPtr = make_cudaPitchedPtr(const_cast<uint8_t*>(box.data()), 20, 20, 9);
  in.dstPtr = device;
  in.extent = extent;
  in.kind = cudaMemcpyHostToDevice;
  CUDA_CHECK(cudaMemcpy3D(&in));

  Bytes inner(5 * 4 * 3);
  cudaMemcpy3DParms out = {};
  out.srcPtr = device;
  out.srcPos = make_cudaPos(6, 2, 1);
  out.dstPtr = make_cudaPitchedPtr(inner.data(), 5, 5, 4);
  out.extent = make_cudaExtent(5, 4, 3);
  out.kind = cudaMemcpyDeviceToHost;
  CUDA_CHECK(cudaMemcpy3D(&out));
  for (int i = 0; i < 5 * 4 * 3; ++i) {
    const int x = i % 5 + 6, y = i / 5 % 4 + 2, z = i / 20 + 1;
    REQUIRE(inner[i] == box[(z * 9 + y) * 20 + x], "voxel %d, %d, %d", x, y, z);
  }

  CUDA_CHECK(cudaMemset3D(device, 0x11, make_cudaExtent(20, 9, 2)));  // the first two slices
  Bytes all(box.size());
  out = {};
  out.srcPtr = device;
  out.dstPtr = make_cudaPitchedPtr(all.data(), 20, 20, 9);
  out.extent = extent;
  out.kind = cudaMemcpyDeviceToHost;
  CUDA_CHECK(cudaMemcpy3D(&out));
  Bytes want = box;
  std::fill(want.begin(), want.begin() + 2 * 9 * 20, 0x11);
  check::require_equal(all, want, "box after memset");
  CUDA_CHECK(cudaFree(device.ptr));
}

// Asynchronous copies of pageable memory: the source may be reused at once, the target is there after the
// wait.
void check_pageable_async() {
  cudaStream_t stream;
  CUDA_CHECK(cudaStreamCreate(&stream));
  std::vector<int> source(50'000), target(50'000), want(50'000);
  check::DeviceArray<int> device(source.size());
  for (int round = 0; round < 5; ++round) {
    for (size_t i = 0; i < source.size(); ++i) want[i] = source[i] = static_cast<int>(i) * (round + 1);
    CUDA_CHECK(cudaMemcpyAsync(device.get(), source.data(), device.bytes(), cudaMemcpyHostToDevice, stream));
    std::fill(source.begin(), source.end(), -1);
    CUDA_CHECK(cudaMemcpyAsync(target.data(), device.get(), device.bytes(), cudaMemcpyDeviceToHost, stream));
    CUDA_CHECK(cudaStreamSynchronize(stream));
    check::require_equal(target, want, "pageable copy");
  }
  CUDA_CHECK(cudaStreamDestroy(stream));
}

void check_refusals() {
  check::DeviceArray<uint8_t> array(256);
  uint8_t host[256];
  CUDA_EXPECT(cudaErrorInvalidPitchValue, cudaMemcpy2D(array.get(), 8, host, 16, 16, 4,
                                                       cudaMemcpyHostToDevice));  // width beyond the pitch
  CUDA_EXPECT(cudaErrorInvalidMemcpyDirection,
              cudaMemcpy(array.get(), host, 16, static_cast<cudaMemcpyKind>(9)));
  (void)cudaGetLastError();
}

}  // namespace

int main() {
  check_directions();
  check_pitched();
  check_box();
  check_pageable_async();
  check_refusals();
  return check::pass("1-D, 2-D, 3-D copies and memsets: exact");
}

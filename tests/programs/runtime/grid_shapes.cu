// Launches of every shape: 3-D grids and blocks, cudaLaunchKernel, cudaLaunchKernelEx, large parameters,
// templates.
#include "cuda_check.h"

namespace {

// Every thread of a 3-D grid of 3-D blocks claims one cell of a 3-D field and notes who it is.
__global__ void claim(unsigned* owner, unsigned* claims, dim3 field) {
  const dim3 at(blockIdx.x * blockDim.x + threadIdx.x, blockIdx.y * blockDim.y + threadIdx.y,
                blockIdx.z * blockDim.z + threadIdx.z);
  if (at.x >= field.x || at.y >= field.y || at.z >= field.z) return;
  const unsigned cell = (at.z * field.y + at.y) * field.x + at.x;
  const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  const unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  owner[cell] = block * 1024 + thread;
  atomicAdd(&claims[cell], 1u);
}

unsigned expected_owner(dim3 at, dim3 grid, dim3 block) {
  const unsigned in_grid = (at.z / block.z * grid.y + at.y / block.y) * grid.x + at.x / block.x;
  const unsigned in_block = (at.z % block.z * block.y + at.y % block.y) * block.x + at.x % block.x;
  return in_grid * 1024 + in_block;
}

void check_shape(dim3 field, dim3 block) {
  const dim3 grid(check::blocks_for(field.x, block.x), check::blocks_for(field.y, block.y),
                  check::blocks_for(field.z, block.z));
  const size_t cells = static_cast<size_t>(field.x) * field.y * field.z;
  check::DeviceArray<unsigned> owner(cells), claims(cells);
  claims.fill(0);
  claim<<<grid, block>>>(owner.get(), claims.get(), field);
  CUDA_CHECK_KERNEL();
  check::require_equal(claims.download(), std::vector<unsigned>(cells, 1), "claims");
  std::vector<unsigned> want(cells);
  for (unsigned i = 0; i < cells; ++i) {
    want[i] = expected_owner(dim3(i % field.x, i / field.x % field.y, i / field.x / field.y), grid, block);
  }
  check::require_equal(owner.download(), want, "owner");
}

// A parameter of 1 KiB by value, next to small ones that need alignment.
struct Table {
  int values[250];
  double scale;
};

__global__ void use_table(char offset, Table table, short step, double* out) {
  const int i = threadIdx.x;
  out[i] = table.scale * table.values[(i * step + offset) % 250];
}

void check_large_parameter() {
  Table table;
  for (int i = 0; i < 250; ++i) table.values[i] = i * i;
  table.scale = 0.5;
  check::DeviceArray<double> out(128);
  use_table<<<1, 128>>>(7, table, 3, out.get());
  CUDA_CHECK_KERNEL();
  std::vector<double> want(128);
  for (int i = 0; i < 128; ++i) want[i] = 0.5 * table.values[(i * 3 + 7) % 250];
  check::require_equal(out.download(), want, "table");
}

// Dynamic shared memory of a type the template decides, and the shared-memory size the launch gave.
template <typename T, int kStride>
__global__ void rotate_block(const T* in, T* out) {
  extern __shared__ __align__(16) unsigned char raw[];
  T* buffer = reinterpret_cast<T*>(raw);
  const unsigned base = blockIdx.x * blockDim.x;
  buffer[threadIdx.x] = in[base + threadIdx.x];
  __syncthreads();
  out[base + threadIdx.x] = buffer[(threadIdx.x + kStride) % blockDim.x];
}

template <typename T, int kStride>
std::vector<T> rotated(const std::vector<T>& values, unsigned block) {
  std::vector<T> want(values.size());
  for (size_t i = 0; i < values.size(); ++i)
    want[i] = values[i / block * block + (i % block + kStride) % block];
  return want;
}

template <typename T, int kStride>
void check_template_launches() {
  constexpr unsigned kBlock = 96, kBlocks = 10;
  const std::vector<T> values = check::random_integers<T>(kBlock * kBlocks, kStride);
  const std::vector<T> want = rotated<T, kStride>(values, kBlock);
  check::DeviceArray<T> in(values), out(values.size());
  rotate_block<T, kStride><<<kBlocks, kBlock, kBlock * sizeof(T)>>>(in.get(), out.get());
  CUDA_CHECK_KERNEL();
  check::require_equal(out.download(), want, "by <<<>>>");

  out.fill(0);
  const T* in_argument = in.get();
  T* out_argument = out.get();
  void* arguments[] = {&in_argument, &out_argument};
  CUDA_CHECK(cudaLaunchKernel(reinterpret_cast<const void*>(rotate_block<T, kStride>), dim3(kBlocks),
                              dim3(kBlock), arguments, kBlock * sizeof(T), nullptr));
  CUDA_CHECK(cudaDeviceSynchronize());
  check::require_equal(out.download(), want, "by cudaLaunchKernel");

  out.fill(0);
  cudaStream_t stream;
  CUDA_CHECK(cudaStreamCreate(&stream));
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(kBlocks);
  config.blockDim = dim3(kBlock);
  config.dynamicSmemBytes = kBlock * sizeof(T);
  config.stream = stream;
  CUDA_CHECK(cudaLaunchKernelEx(&config, rotate_block<T, kStride>, in_argument, out_argument));
  CUDA_CHECK(cudaStreamSynchronize(stream));
  CUDA_CHECK(cudaStreamDestroy(stream));
  check::require_equal(out.download(), want, "by cudaLaunchKernelEx");
}

}  // namespace

int main() {
  check_shape(dim3(20, 13, 9), dim3(8, 4, 2));
  check_shape(dim3(5, 70, 3), dim3(1, 64, 1));
  check_shape(dim3(3, 2, 130), dim3(2, 2, 64));
  check_shape(dim3(1000, 1, 1), dim3(1000, 1, 1));  // a last warp of 8 lanes
  check_large_parameter();
  check_template_launches<unsigned char, 5>();
  check_template_launches<unsigned, 1>();
  check_template_launches<unsigned long long, 33>();
  return check::pass("4 shapes, 3 ways to launch, a 1 KiB parameter: exact");
}

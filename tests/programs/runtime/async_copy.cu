// cp.async and cp.async.bulk: every size, sources that end early or are ignored, groups, barriers in memory
// that count bytes, and sums made on the way back.
#include <cuda/barrier>
#include <cuda/ptx>
#include <numeric>

#include "cuda_check.h"

namespace {

constexpr unsigned kThreads = 128;

__device__ unsigned shared_address(const void* p) {
  return static_cast<unsigned>(__cvta_generic_to_shared(p));
}

#if __CUDA_ARCH__ >= 800
template <int Bytes>
__device__ void copy_part(void* to, const void* from, unsigned read) {
  if constexpr (Bytes == 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from),
                 "r"(read)
                 : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(shared_address(to)), "l"(from),
                 "n"(Bytes), "r"(read)
                 : "memory");
  }
}
#endif

// Each thread copies Bytes bytes, of which it reads `read`; the rest has to be zero.
template <int Bytes>
__global__ void copy_limited(const unsigned char* from, unsigned char* to, unsigned read) {
#if __CUDA_ARCH__ >= 800
  __shared__ alignas(16) unsigned char tile[kThreads * Bytes];
  for (unsigned i = threadIdx.x; i < sizeof(tile); i += kThreads) tile[i] = 0xee;
  __syncthreads();
  // Where nothing is read the source may be anything.
  const unsigned char* source = read == 0 ? nullptr : from + threadIdx.x * Bytes;
  copy_part<Bytes>(tile + threadIdx.x * Bytes, source, read);
  asm volatile("cp.async.wait_all;" ::: "memory");
  __syncthreads();
  for (unsigned i = threadIdx.x; i < sizeof(tile); i += kThreads) to[i] = tile[i];
#endif
}

template <int Bytes>
void check_limited() {
  std::vector<unsigned char> data(kThreads * Bytes);
  std::iota(data.begin(), data.end(), static_cast<unsigned char>(1));
  const check::DeviceArray<unsigned char> from(data), to(data.size());
  for (unsigned read = 0; read <= Bytes; ++read) {
    copy_limited<Bytes><<<1, kThreads>>>(from.get(), to.get(), read);
    CUDA_CHECK_KERNEL();
    const std::vector<unsigned char> got = to.download();
    for (size_t i = 0; i < got.size(); ++i) {
      const int want = i % Bytes < read ? data[i] : 0;
      REQUIRE(got[i] == want, "%u of %d bytes: byte %zu is %d", read, Bytes, i, got[i]);
    }
  }
}

// Two groups in flight, the older one waited for first; odd threads ignore their source.
__global__ void groups(const int* from, int* to) {
#if __CUDA_ARCH__ >= 800
  __shared__ int tile[2][kThreads];
  for (int stage = 0; stage < 2; ++stage) {
    const unsigned address = shared_address(&tile[stage][threadIdx.x]);
    const int* source = from + stage * kThreads + threadIdx.x;
    asm volatile(
        "{ .reg .pred p; setp.ne.u32 p, %2, 0; cp.async.ca.shared.global.L2::128B [%0], [%1], 4, p; }" ::"r"(
            address),
        "l"(source), "r"(threadIdx.x & 1)
        : "memory");
    asm volatile("cp.async.commit_group;" ::: "memory");
  }
  asm volatile("cp.async.wait_group 1;" ::: "memory");
  to[threadIdx.x] = tile[0][threadIdx.x];
  asm volatile("cp.async.wait_group 0;" ::: "memory");
  to[kThreads + threadIdx.x] = tile[1][threadIdx.x];
#endif
}

void check_groups() {
  std::vector<int> data(2 * kThreads);
  std::iota(data.begin(), data.end(), 1);
  const check::DeviceArray<int> from(data), to(data.size());
  groups<<<1, kThreads>>>(from.get(), to.get());
  CUDA_CHECK_KERNEL();
  const std::vector<int> got = to.download();
  for (size_t i = 0; i < got.size(); ++i)
    REQUIRE(got[i] == (i % 2 == 0 ? data[i] : 0), "element %zu is %d", i, got[i]);
}

// One thread brings a tile in and takes it back; all wait at the barrier, which counts the bytes.
__global__ void bulk(int* data, int* sums) {
#if __CUDA_ARCH__ >= 900
  namespace ptx = cuda::ptx;
  using barrier = cuda::barrier<cuda::thread_scope_block>;
  __shared__ alignas(128) int tile[kThreads];
  __shared__ alignas(8) uint64_t bar;
  int* mine = data + blockIdx.x * kThreads;
  if (threadIdx.x == 0) {
    ptx::mbarrier_init(&bar, blockDim.x);
    ptx::fence_mbarrier_init(ptx::sem_release, ptx::scope_cluster);
    ptx::fence_proxy_async(ptx::space_shared);
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    ptx::cp_async_bulk(ptx::space_cluster, ptx::space_global, tile, mine, sizeof(tile), &bar);
    ptx::mbarrier_arrive_expect_tx(ptx::sem_release, ptx::scope_cta, ptx::space_shared, &bar, sizeof(tile));
  } else {
    (void)ptx::mbarrier_arrive(&bar);
  }
  while (!ptx::mbarrier_try_wait_parity(&bar, 0)) {
  }
  tile[threadIdx.x] += 1000;
  ptx::fence_proxy_async(ptx::space_shared);
  __syncthreads();
  if (threadIdx.x == 0) {
    ptx::cp_async_bulk(ptx::space_global, ptx::space_shared, mine, tile, sizeof(tile));
    ptx::cp_reduce_async_bulk(ptx::space_global, ptx::space_shared, ptx::op_add, sums, tile, sizeof(tile));
    ptx::cp_async_bulk_commit_group();
    ptx::cp_async_bulk_wait_group_read(ptx::n32_t<0>());
  }
#endif
}

void check_bulk() {
  constexpr unsigned kBlocks = 37;
  std::vector<int> data(kBlocks * kThreads);
  std::iota(data.begin(), data.end(), 0);
  const check::DeviceArray<int> device(data);
  check::DeviceArray<int> sums(kThreads);
  sums.fill(0);
  bulk<<<kBlocks, kThreads>>>(device.get(), sums.get());
  CUDA_CHECK_KERNEL();
  const std::vector<int> got = device.download(), added = sums.download();
  for (size_t i = 0; i < got.size(); ++i) REQUIRE(got[i] == data[i] + 1000, "element %zu is %d", i, got[i]);
  for (unsigned i = 0; i < kThreads; ++i) {
    int want = 0;
    for (unsigned block = 0; block < kBlocks; ++block) want += data[block * kThreads + i] + 1000;
    REQUIRE(added[i] == want, "sum %u is %d, not %d", i, added[i], want);
  }
}

int capability() {
  int major = 0;
  CUDA_CHECK(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0));
  return major;
}

}  // namespace

int main() {
  if (capability() < 8) check::skip("asynchronous copies need compute capability 8.0");
  check_limited<4>();
  check_limited<8>();
  check_limited<16>();
  check_groups();
  if (capability() >= 9) check_bulk();
  return check::pass("copies of 4, 8 and 16 bytes with every length of source, groups, bulk copies and sums");
}

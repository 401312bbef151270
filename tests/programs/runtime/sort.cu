// Sorting: a bitonic network (shared memory for near partners, global for far ones) and a radix sort by 4-bit
// digits.
#include <algorithm>

#include "cuda_check.h"

namespace {

constexpr unsigned kBlock = 256;

template <typename T>
__device__ void order(T& low, T& high, bool ascending) {
  if ((low > high) == ascending) {
    const T passing = low;
    low = high;
    high = passing;
  }
}

// Partners further apart than a block.
template <typename T>
__global__ void bitonic_far(T* values, unsigned size, unsigned distance) {
  const unsigned i = blockIdx.x * kBlock + threadIdx.x, partner = i ^ distance;
  if (partner > i) order(values[i], values[partner], (i & size) == 0);
}

// All the distances within a block, in shared memory.
template <typename T>
__global__ void bitonic_near(T* values, unsigned size, unsigned distance) {
  __shared__ T local[kBlock];
  const unsigned i = blockIdx.x * kBlock + threadIdx.x;
  local[threadIdx.x] = values[i];
  __syncthreads();
  for (; distance > 0; distance /= 2) {
    const unsigned partner = threadIdx.x ^ distance;
    if (partner > threadIdx.x) order(local[threadIdx.x], local[partner], (i & size) == 0);
    __syncthreads();
  }
  values[i] = local[threadIdx.x];
}

template <typename T>
void check_bitonic(std::vector<T> values, const char* what) {
  const unsigned count = static_cast<unsigned>(values.size());  // a power of two
  check::DeviceArray<T> device(values);
  for (unsigned size = 2; size <= count; size *= 2) {
    unsigned distance = size / 2;
    for (; distance >= kBlock; distance /= 2)
      bitonic_far<<<count / kBlock, kBlock>>>(device.get(), size, distance);
    bitonic_near<<<count / kBlock, kBlock>>>(device.get(), size, distance);
  }
  CUDA_CHECK_KERNEL();
  std::sort(values.begin(), values.end());
  check::require_equal(device.download(), values, what);
}

// Counts per block and digit, laid out digit by digit so that one scan gives every block its places.
__global__ void count_digits(const unsigned* keys, unsigned* counts, unsigned shift) {
  __shared__ unsigned local[16];
  if (threadIdx.x < 16) local[threadIdx.x] = 0;
  __syncthreads();
  atomicAdd(&local[keys[blockIdx.x * kBlock + threadIdx.x] >> shift & 15], 1u);
  __syncthreads();
  if (threadIdx.x < 16) counts[threadIdx.x * gridDim.x + blockIdx.x] = local[threadIdx.x];
}

// Exclusive, one block, any length: each thread carries a stretch.
__global__ void scan(unsigned* counts, unsigned length) {
  __shared__ unsigned sums[kBlock];
  const unsigned stretch = (length + kBlock - 1) / kBlock;
  const unsigned begin = min(threadIdx.x * stretch, length), end = min(begin + stretch, length);
  unsigned sum = 0;
  for (unsigned i = begin; i < end; ++i) sum += counts[i];
  sums[threadIdx.x] = sum;
  __syncthreads();
  for (unsigned distance = 1; distance < kBlock; distance *= 2) {
    const unsigned before = threadIdx.x >= distance ? sums[threadIdx.x - distance] : 0;
    __syncthreads();
    sums[threadIdx.x] += before;
    __syncthreads();
  }
  unsigned running = sums[threadIdx.x] - sum;
  for (unsigned i = begin; i < end; ++i) {
    const unsigned count = counts[i];
    counts[i] = running;
    running += count;
  }
}

// Stable: a key's rank among equal digits of its block comes from ballots within the warp and counts of the
// warps before.
__global__ void scatter(const unsigned* keys, const unsigned* values, const unsigned* places,
                        unsigned* out_keys, unsigned* out_values, unsigned shift) {
  __shared__ unsigned warp_counts[kBlock / 32][16];
  const unsigned i = blockIdx.x * kBlock + threadIdx.x, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const unsigned key = keys[i], digit = key >> shift & 15;
  if (lane < 16) warp_counts[warp][lane] = 0;
  __syncwarp();
  unsigned same = 0xffffffffu;
  for (unsigned bit = 0; bit < 4; ++bit) {
    const unsigned set = __ballot_sync(0xffffffffu, digit >> bit & 1);
    same &= digit >> bit & 1 ? set : ~set;
  }
  const unsigned rank = __popc(same & ((1u << lane) - 1));
  if (rank == 0) warp_counts[warp][digit] = __popc(same);
  __syncthreads();
  unsigned place = places[digit * gridDim.x + blockIdx.x] + rank;
  for (unsigned before = 0; before < warp; ++before) place += warp_counts[before][digit];
  out_keys[place] = key;
  out_values[place] = values[i];
}

void check_radix(unsigned count) {
  std::vector<unsigned> keys = check::random_integers<unsigned>(count, 2), indices(count);
  for (unsigned i = 0; i < count; ++i) {
    keys[i] &= 0xfff0ffff;  // some digits all equal, many duplicates of the rest
    indices[i] = i;
  }
  const unsigned blocks = count / kBlock;
  check::DeviceArray<unsigned> a(keys), b(count), a_values(indices), b_values(count), counts(16 * blocks);
  unsigned *in = a.get(), *out = b.get(), *in_values = a_values.get(), *out_values = b_values.get();
  for (unsigned shift = 0; shift < 32; shift += 4) {
    count_digits<<<blocks, kBlock>>>(in, counts.get(), shift);
    scan<<<1, kBlock>>>(counts.get(), 16 * blocks);
    scatter<<<blocks, kBlock>>>(in, in_values, counts.get(), out, out_values, shift);
    std::swap(in, out);
    std::swap(in_values, out_values);
  }
  CUDA_CHECK_KERNEL();  // an even number of passes: the result is back in a
  std::stable_sort(indices.begin(), indices.end(), [&](unsigned x, unsigned y) { return keys[x] < keys[y]; });
  check::require_equal(a_values.download(), indices, "order by radix sort");
  std::sort(keys.begin(), keys.end());
  check::require_equal(a.download(), keys, "keys by radix sort");
}

}  // namespace

int main() {
  check_bitonic(check::random_integers<int>(16'384, 1), "bitonic int");
  check_bitonic(check::random_reals<float>(4096, 1, -1e6, 1e6), "bitonic float");
  check_bitonic(check::random_integers<long long>(2048, 3), "bitonic long long");
  constexpr unsigned kCount = 32'768;
  check_radix(kCount);
  return check::pass("bitonic up to 16384, radix %u keys with values, stable: exact", kCount);
}

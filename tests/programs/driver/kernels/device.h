// What device code compiled by clang without CUDA's headers needs: attributes, indices, barriers, shuffles,
// atomics.
#pragma once

#define __global__ __attribute__((global))
#define __device__ __attribute__((device))
#define __shared__ __attribute__((shared))
#define __constant__ __attribute__((constant))

#define KERNEL extern "C" __global__ void
#define DEVICE __device__ inline __attribute__((always_inline))

using uint32_t = unsigned int;
using uint64_t = unsigned long long;

struct Index {
  uint32_t x, y, z;
};

DEVICE Index thread_index() {
  return {static_cast<uint32_t>(__nvvm_read_ptx_sreg_tid_x()),
          static_cast<uint32_t>(__nvvm_read_ptx_sreg_tid_y()),
          static_cast<uint32_t>(__nvvm_read_ptx_sreg_tid_z())};
}
DEVICE Index block_index() {
  return {static_cast<uint32_t>(__nvvm_read_ptx_sreg_ctaid_x()),
          static_cast<uint32_t>(__nvvm_read_ptx_sreg_ctaid_y()),
          static_cast<uint32_t>(__nvvm_read_ptx_sreg_ctaid_z())};
}
DEVICE Index block_size() {
  return {static_cast<uint32_t>(__nvvm_read_ptx_sreg_ntid_x()),
          static_cast<uint32_t>(__nvvm_read_ptx_sreg_ntid_y()),
          static_cast<uint32_t>(__nvvm_read_ptx_sreg_ntid_z())};
}
DEVICE Index grid_size() {
  return {static_cast<uint32_t>(__nvvm_read_ptx_sreg_nctaid_x()),
          static_cast<uint32_t>(__nvvm_read_ptx_sreg_nctaid_y()),
          static_cast<uint32_t>(__nvvm_read_ptx_sreg_nctaid_z())};
}
// Of a one-dimensional launch.
DEVICE uint32_t global_thread() { return block_index().x * block_size().x + thread_index().x; }
DEVICE uint32_t global_threads() { return grid_size().x * block_size().x; }

constexpr uint32_t kAllLanes = 0xffffffffu;
constexpr int kFullWidth = 31;  // the segment mask and clamp operand of shfl for a whole warp

DEVICE int shuffle_down(int value, int offset) {
  return __nvvm_shfl_sync_down_i32(kAllLanes, value, offset, kFullWidth);
}
DEVICE float shuffle_down(float value, int offset) {
  return __nvvm_shfl_sync_down_f32(kAllLanes, value, offset, kFullWidth);
}
// Lanes below `offset` keep their own value.
DEVICE int shuffle_up(int value, int offset) {
  return __nvvm_shfl_sync_up_i32(kAllLanes, value, offset, 0);
}
DEVICE int shuffle_xor(int value, int mask) {
  return __nvvm_shfl_sync_bfly_i32(kAllLanes, value, mask, kFullWidth);
}
DEVICE uint32_t ballot(bool predicate) { return __nvvm_vote_ballot_sync(kAllLanes, predicate); }

// Not __syncthreads(): clang 14 believes that its intrinsic leaves shared variables alone whose address is not
// taken, and reads them before the barrier. An asm statement that clobbers memory keeps its place.
DEVICE void barrier() { asm volatile("bar.sync 0;" ::: "memory"); }
DEVICE void fence() { __nvvm_membar_gl(); }
DEVICE uint32_t atomic_add(uint32_t* address, uint32_t value) {
  return __atomic_fetch_add(address, value, __ATOMIC_RELAXED);
}
DEVICE float atomic_add(float* address, float value) { return __nvvm_atom_add_gen_f(address, value); }

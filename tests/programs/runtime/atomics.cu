// Every atomic read-modify-write: on 32 and 64 bits, global and shared, CAS loops, a spin lock, and scopes.
#include "cuda_check.h"

namespace {

// One cell per operation. All operands derive from the thread's index, so that the host can fold them in any
// order.
template <typename U, typename S>
struct Cells {
  U add, exchange, compare_swap, minimum, maximum, bits_and, bits_or, bits_xor;
  S signed_minimum, signed_maximum;
  unsigned increment, decrement, subtract;
  float float_add;
  double double_add;
};

template <typename U, typename S>
__host__ __device__ Cells<U, S> initial() {
  Cells<U, S> cells = {};
  cells.minimum = ~U(0);
  cells.bits_and = ~U(0);
  cells.signed_minimum = 1;
  cells.signed_maximum = -1;
  cells.subtract = 1'000'000;
  return cells;
}

template <typename U>
__host__ __device__ U operand(unsigned i) {
  return static_cast<U>((i + 1) * 0x9e3779b97f4a7c15ull >> 7);
}

template <typename U, typename S>
__device__ void apply_all(Cells<U, S>* cells, unsigned i) {
  const U value = operand<U>(i);
  const S signed_value = static_cast<S>(value);
  atomicAdd(&cells->add, value);
  atomicExch(&cells->exchange, static_cast<U>(i + 1));
  atomicMin(&cells->minimum, value);
  atomicMax(&cells->maximum, value);
  atomicMin(&cells->signed_minimum, signed_value);
  atomicMax(&cells->signed_maximum, signed_value);
  atomicAnd(&cells->bits_and, ~(U(1) << (i % 23)));
  atomicOr(&cells->bits_or, U(1) << (i % 29));
  atomicXor(&cells->bits_xor, value);
  atomicInc(&cells->increment, 96);  // wraps to 0 after 96
  atomicDec(&cells->decrement, 50);  // wraps to 50 after 0
  atomicSub(&cells->subtract, i);
  atomicAdd(&cells->float_add, 0.5f);
  atomicAdd(&cells->double_add, 0.125 * i);
  // A CAS loop: saturating product-like update no single instruction has.
  U seen = cells->compare_swap, before;
  do {
    before = seen;
    seen = atomicCAS(&cells->compare_swap, before, static_cast<U>(before + 3 * (value & 0xff)));
  } while (seen != before);
}

template <typename U, typename S>
__global__ void atomics_global(Cells<U, S>* cells) {
  apply_all(cells, blockIdx.x * blockDim.x + threadIdx.x);
}

template <typename U, typename S>
__global__ void atomics_shared(Cells<U, S>* cells) {
  __shared__ Cells<U, S> local;
  if (threadIdx.x == 0) local = initial<U, S>();
  __syncthreads();
  apply_all(&local, threadIdx.x);
  __syncthreads();
  if (threadIdx.x == 0) *cells = local;
}

template <typename U, typename S>
Cells<U, S> reference(unsigned threads) {
  Cells<U, S> c = initial<U, S>();
  for (unsigned i = 0; i < threads; ++i) {
    const U value = operand<U>(i);
    const S signed_value = static_cast<S>(value);
    c.add += value;
    c.minimum = value < c.minimum ? value : c.minimum;
    c.maximum = value > c.maximum ? value : c.maximum;
    c.signed_minimum = signed_value < c.signed_minimum ? signed_value : c.signed_minimum;
    c.signed_maximum = signed_value > c.signed_maximum ? signed_value : c.signed_maximum;
    c.bits_and &= ~(U(1) << (i % 23));
    c.bits_or |= U(1) << (i % 29);
    c.bits_xor ^= value;
    c.increment = c.increment >= 96 ? 0 : c.increment + 1;
    c.decrement = c.decrement == 0 || c.decrement > 50 ? 50 : c.decrement - 1;
    c.subtract -= i;
    c.float_add += 0.5f;
    c.double_add += 0.125 * i;
    c.compare_swap += 3 * (value & 0xff);
  }
  return c;
}

template <typename U, typename S>
void require_same(const Cells<U, S>& got, unsigned threads, const char* what) {
  const Cells<U, S> want = reference<U, S>(threads);
#define SAME(field)                                                                               \
  REQUIRE(got.field == want.field, "%s: %s is %.17g, not %.17g", what, #field, double(got.field), \
          double(want.field))
  SAME(add);
  SAME(minimum);
  SAME(maximum);
  SAME(signed_minimum);
  SAME(signed_maximum);
  SAME(bits_and);
  SAME(bits_or);
  SAME(bits_xor);
  SAME(increment);
  SAME(decrement);
  SAME(subtract);
  SAME(float_add);
  SAME(double_add);
  SAME(compare_swap);
#undef SAME
  REQUIRE(got.exchange >= 1 && got.exchange <= threads, "%s: exchange left a value nobody wrote", what);
}

template <typename U, typename S>
void check_width(const char* what) {
  check::DeviceArray<Cells<U, S>> cells(std::vector<Cells<U, S>>{initial<U, S>()});
  atomics_global<<<20, 128>>>(cells.get());
  CUDA_CHECK_KERNEL();
  require_same(cells.download()[0], 20 * 128, what);
  atomics_shared<<<1, 320>>>(cells.get());
  CUDA_CHECK_KERNEL();
  require_same(cells.download()[0], 320, what);
}

__device__ int lock_word = 0;

// Each lane takes the lock for itself. The critical section sits inside the retry loop, the form that is
// correct with and without independent thread scheduling.
__global__ void spin_lock(volatile unsigned long long* guarded) {
  for (bool done = false; !done;) {
    if (atomicCAS(&lock_word, 0, 1) == 0) {
      __threadfence();
      guarded[0] = guarded[0] * 3 + 1;  // not atomic: lost updates would show
      guarded[1] = guarded[1] + 1;
      __threadfence();
      atomicExch(&lock_word, 0);
      done = true;
    }
  }
}

// The compiler-visible scopes and the 64-bit exchange; block scope must still be atomic within the block.
__global__ void scopes(unsigned* block_scope, unsigned long long* system_scope, unsigned* returned) {
  const unsigned old = atomicAdd_block(&block_scope[blockIdx.x], 1u);
  atomicAdd_system(system_scope, 1ull);
  atomicAdd(&returned[blockIdx.x * blockDim.x + old], 1u);  // every old value is seen exactly once
}

void check_lock() {
  check::DeviceArray<unsigned long long> guarded(2);
  guarded.fill(0);
  spin_lock<<<6, 64>>>(guarded.get());
  CUDA_CHECK_KERNEL();
  unsigned long long want = 0;
  for (int i = 0; i < 6 * 64; ++i) want = want * 3 + 1;
  const std::vector<unsigned long long> got = guarded.download();
  REQUIRE(got[1] == 6 * 64 && got[0] == want, "the lock was held %llu times, not %d", got[1], 6 * 64);
}

void check_scopes() {
  check::DeviceArray<unsigned> block_scope(8), returned(8 * 96);
  check::DeviceArray<unsigned long long> system_scope(1);
  block_scope.fill(0);
  returned.fill(0);
  system_scope.fill(0);
  scopes<<<8, 96>>>(block_scope.get(), system_scope.get(), returned.get());
  CUDA_CHECK_KERNEL();
  check::require_equal(block_scope.download(), std::vector<unsigned>(8, 96), "block scope");
  check::require_equal(returned.download(), std::vector<unsigned>(8 * 96, 1), "old values");
  REQUIRE(system_scope.download()[0] == 8 * 96, "system scope");
}

}  // namespace

int main() {
  check_width<unsigned, int>("32 bits");
  check_width<unsigned long long, long long>("64 bits");
  check_lock();
  check_scopes();
  return check::pass("14 operations on 32 and 64 bits, global and shared; spin lock by %d threads", 6 * 64);
}

// cp.async and mbarrier by instruction: one warp brings tiles into a ring, the others work on them.
#include "device.h"

constexpr uint32_t kTile = 128;  // elements, and threads that consume
constexpr uint32_t kStages = 2;
constexpr uint32_t kProducers = 32;  // threads behind the consumers

DEVICE uint32_t shared_address(const void* generic) {
  uint64_t address;
  asm("cvta.to.shared.u64 %0, %1;" : "=l"(address) : "l"(generic));
  return static_cast<uint32_t>(address);
}
DEVICE void init(uint64_t* barrier, uint32_t arrivals) {
  asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(arrivals) : "memory");
}
DEVICE uint64_t arrive(uint64_t* barrier) {
  uint64_t state;
  asm volatile("mbarrier.arrive.shared.b64 %0, [%1];"
               : "=l"(state)
               : "r"(shared_address(barrier))
               : "memory");
  return state;
}
DEVICE void wait(uint64_t* barrier, uint32_t parity) {
  uint32_t over;
  do {
    asm volatile("{ .reg .pred p; mbarrier.test_wait.parity.shared.b64 p, [%1], %2; selp.u32 %0, 1, 0, p; }"
                 : "=r"(over)
                 : "r"(shared_address(barrier)), "r"(parity)
                 : "memory");
  } while (over == 0);
}

// out[i] is in[i] plus its neighbour in the tile plus the tile's number. Launched with kTile + kProducers
// threads.
KERNEL ring(const uint32_t* in, uint32_t* out, uint32_t tiles) {
  __shared__ uint32_t tile[kStages][kTile];
  __shared__ uint64_t full[kStages];
  __shared__ uint64_t empty[kStages];
  const uint32_t thread = thread_index().x;
  if (thread == 0) {
    for (uint32_t stage = 0; stage < kStages; ++stage) {
      init(&full[stage], kProducers);
      init(&empty[stage], kTile);
    }
  }
  barrier();
  in += block_index().x * tiles * kTile;
  out += block_index().x * tiles * kTile;
  for (uint32_t t = 0; t < tiles; ++t) {
    const uint32_t stage = t % kStages, turn = t / kStages;
    if (thread >= kTile) {
      const uint32_t lane = thread - kTile;
      if (turn != 0) wait(&empty[stage], (turn - 1) % 2);
      asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_address(&tile[stage][lane * 4])),
                   "l"(in + t * kTile + lane * 4)
                   : "memory");
      asm volatile("cp.async.mbarrier.arrive.noinc.shared.b64 [%0];" ::"r"(shared_address(&full[stage]))
                   : "memory");
    } else {
      wait(&full[stage], turn % 2);
      const volatile uint32_t* now = tile[stage];
      out[t * kTile + thread] = now[thread] + now[(thread + 1) % kTile] + t;
      arrive(&empty[stage]);
    }
  }
}

// What an arrival returns: how many were missing before it, and whether its phase is over afterwards.
// Launched with one warp; out has two words for each lane.
KERNEL states(uint32_t* out) {
  __shared__ uint64_t counted;
  const uint32_t thread = thread_index().x;
  if (thread == 0) init(&counted, 32);
  barrier();
  uint64_t state = 0;
  for (uint32_t turn = 0; turn < 32; ++turn) {
    if (turn == thread) state = arrive(&counted);
    asm volatile("bar.warp.sync 0xffffffff;" ::: "memory");
  }
  uint32_t missing, over;
  asm("mbarrier.pending_count.b64 %0, %1;" : "=r"(missing) : "l"(state));
  barrier();
  asm volatile("{ .reg .pred p; mbarrier.test_wait.shared.b64 p, [%1], %2; selp.u32 %0, 1, 0, p; }"
               : "=r"(over)
               : "r"(shared_address(&counted)), "l"(state)
               : "memory");
  out[thread * 2] = missing;
  out[thread * 2 + 1] = over;
}

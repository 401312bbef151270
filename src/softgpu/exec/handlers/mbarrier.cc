// mbarrier: barriers in shared memory that also count bytes of asynchronous copies.
//
// One thread runs all blocks that can see such a barrier, so it is an ordinary word. What is in it is nobody
// else's business (PTX ISA, "mbarrier: opaque type"). A phase is over when no arrival and no byte is missing.
#include "softgpu/exec/handlers/access.h"
#include "softgpu/exec/handlers/tables.h"

namespace tessera::softgpu::exec {
namespace TESSERA_ISA {
namespace {

// Bits: 0..19 arrivals missing, 20..39 arrivals of a whole phase, 40..61 bytes missing, signed, 63 the
// phase's parity.
constexpr u32 kCountBits = 20;
constexpr u64 kCountMask = (u64{1} << kCountBits) - 1;
constexpr u32 kExpectedShift = kCountBits;
constexpr u32 kBytesShift = 2 * kCountBits;
constexpr u64 kBytesMask = (u64{1} << 22) - 1;
constexpr u32 kPhaseShift = 63;
constexpr s64 kMostBytes = (s64{1} << 20) - 1;

struct Fields {
  u64 missing, expected;
  s64 bytes;
  u64 phase;
};
Fields unpack(u64 word) {
  const s64 bytes = static_cast<s64>((word >> kBytesShift & kBytesMask) << 42) >> 42;
  return {word & kCountMask, word >> kExpectedShift & kCountMask, bytes, word >> kPhaseShift};
}
u64 pack(const Fields& f) {
  return f.missing | f.expected << kExpectedShift | (static_cast<u64>(f.bytes) & kBytesMask) << kBytesShift |
         f.phase << kPhaseShift;
}

// The barrier of a lane; null after raising a fault.
u64* barrier_of(Warp& w, const Op* op, std::byte* frame, u32 operand, u32 lane) {
  const u64 address = slot<u64>(frame, op->o[operand])[lane];
  const u32 kind = op->aux & kAddressMask;
  if (kind == kGenericAddress && address - w.shared_window >= kClusterWindowSize) {
    raise_fault(w, op, FaultKind::kInvalidAddressSpace, lane, address, 8,
                "mbarrier outside of shared memory");
    return nullptr;
  }
  return reinterpret_cast<u64*>(resolve_range(w, op, address, kind, lane, sizeof(u64), sizeof(u64), true));
}
bool misused(Warp& w, const Op* op, u32 lane, const char* what) {
  raise_fault(w, op, FaultKind::kIllegalInstruction, lane, 0, 0, what);
  return false;
}

void complete_if_due(Warp& w, Fields& f) {
  if (f.missing != 0 || f.bytes != 0) return;
  f.missing = f.expected;
  f.phase ^= 1;
  note_progress(w);
}

bool arrive(Warp& w, const Op* op, u32 lane, u64* word, u64 count, s64 bytes) {
  Fields f = unpack(*word);
  if (count == 0 || count > f.missing)
    return misused(w, op, lane, "more arrivals at an mbarrier than it expects");
  if ((op->aux & kMbarrierNoComplete) != 0 && count == f.missing && f.bytes == 0)
    return misused(w, op, lane, "mbarrier.arrive.noComplete would complete the phase");
  f.bytes += bytes;
  if (f.bytes > kMostBytes) return misused(w, op, lane, "an mbarrier expects more than 1048575 bytes");
  f.missing -= count;
  if ((op->aux & kMbarrierDrop) != 0) f.expected -= count;
  complete_if_due(w, f);
  *word = pack(f);
  return true;
}

// o: barrier, count.
const Op* init(Warp& w, const Op* op, std::byte* frame, uint32_t mask) {
  TESSERA_ACTIVE(mask) {
    u64* const word = barrier_of(w, op, frame, 0, i);
    if (word == nullptr) return kLeave;
    const u64 count = slot<u32>(frame, op->o[1])[i];
    if (count == 0 || count > kCountMask) {
      misused(w, op, i, "an mbarrier of no threads, or of more than 1048575");
      return kLeave;
    }
    *word = pack({count, count, 0, 0});
  }
  return op + 1;
}
// o: barrier. The memory is free for other use.
const Op* invalidate(Warp& w, const Op* op, std::byte* frame, uint32_t mask) {
  TESSERA_ACTIVE(mask) {
    u64* const word = barrier_of(w, op, frame, 0, i);
    if (word == nullptr) return kLeave;
    *word = 0;
  }
  return op + 1;
}

// o: barrier, count or bytes, and the state as it was before; aux says what is meant.
const Op* arrive_all(Warp& w, const Op* op, std::byte* frame, uint32_t mask) {
  const bool expect = (op->aux & kMbarrierExpect) != 0;
  TESSERA_ACTIVE(mask) {
    u64* const word = barrier_of(w, op, frame, 0, i);
    if (word == nullptr) return kLeave;
    const u32 operand = slot<u32>(frame, op->o[1])[i];
    const u64 before = *word;
    if (!arrive(w, op, i, word, expect ? 1 : operand, expect ? operand : 0)) return kLeave;
    if ((op->aux & kMbarrierNoState) == 0) slot<u64>(frame, op->o[2])[i] = before;
  }
  return op + 1;
}

// o: barrier, bytes.
template <bool Expect>
const Op* count_bytes(Warp& w, const Op* op, std::byte* frame, uint32_t mask) {
  TESSERA_ACTIVE(mask) {
    u64* const word = barrier_of(w, op, frame, 0, i);
    if (word == nullptr) return kLeave;
    const s64 bytes = slot<u32>(frame, op->o[1])[i];
    Fields f = unpack(*word);
    f.bytes += Expect ? bytes : -bytes;
    if (f.bytes > kMostBytes || f.bytes < -kMostBytes) {
      misused(w, op, i, "an mbarrier counts more than 1048575 bytes");
      return kLeave;
    }
    complete_if_due(w, f);
    *word = pack(f);
  }
  return op + 1;
}

// o: barrier, bytes, blocks of the cluster: the barrier at the same place in each of them.
const Op* complete_bytes_multicast(Warp& w, const Op* op, std::byte* frame, uint32_t mask) {
  TESSERA_ACTIVE(mask) {
    const u64 address = slot<u64>(frame, op->o[0])[i] % kSharedWindowSize;
    for (u32 blocks = slot<u16>(frame, op->o[2])[i]; blocks != 0; blocks &= blocks - 1) {
      const u64 there = (u64{lowest(blocks)} + 1) * kSharedWindowSize + address;
      u64* const word = reinterpret_cast<u64*>(
          resolve_range(w, op, there, kSharedAddress64, i, sizeof(u64), sizeof(u64), true));
      if (word == nullptr) return kLeave;
      Fields f = unpack(*word);
      f.bytes -= slot<u32>(frame, op->o[1])[i];
      complete_if_due(w, f);
      *word = pack(f);
    }
  }
  return op + 1;
}

// o: result, barrier, then the state that an arrival returned or the parity of a phase. A thread that has to
// wait lets others run at its next backward branch.
template <class T>
const Op* test(Warp& w, const Op* op, std::byte* frame, uint32_t mask) {
  const T* phases = slot<T>(frame, op->o[2]);
  uint32_t over = 0;
  TESSERA_ACTIVE(mask) {
    const u64* const word = barrier_of(w, op, frame, 1, i);
    if (word == nullptr) return kLeave;
    const u64 asked = sizeof(T) == 8 ? static_cast<u64>(phases[i]) >> kPhaseShift : phases[i] & 1u;
    if (*word >> kPhaseShift != asked) over |= 1u << i;
  }
  write_predicate(frame, op->o[0], mask, over);
  if (over != mask) {
    ++w.strong_ops;
    w.back_edges = 0;
  }
  return op + 1;
}

struct PendingCount {
  static u32 apply(u64 state) { return static_cast<u32>(state & kCountMask); }
};

}  // namespace

const Entry kMbarrierEntries[] = {
    {"mbarrier.init", "qw", &init},
    {"mbarrier.inval", "q", &invalidate},
    {"mbarrier.arrive", "qwQ", &arrive_all},
    {"mbarrier.expect_tx", "qw", &count_bytes<true>},
    {"mbarrier.complete_tx", "qw", &count_bytes<false>},
    {"mbarrier.complete_tx.multicast", "qwh", &complete_bytes_multicast},
    {"mbarrier.wait.state", "!Pqq", &test<u64>},
    {"mbarrier.wait.parity", "!Pqw", &test<u32>},
    {"mbarrier.pending_count.b64", "Wq", &unary<PendingCount, u32, u64>},
};
const size_t kMbarrierCount = sizeof(kMbarrierEntries) / sizeof(Entry);

}  // namespace TESSERA_ISA
}  // namespace tessera::softgpu::exec

// cp.async, cp.async.bulk and cp.reduce.async.bulk. Copies are done at once: nothing lets a program see that
// it did not have to wait.
#include "softgpu/exec/handlers/access.h"
#include "softgpu/exec/handlers/atomics.h"
#include "softgpu/exec/handlers/tables.h"

namespace tessera::softgpu::exec {
namespace TESSERA_ISA {
namespace {

constexpr u32 kBulkAlignment = 16;

void copy_bytes(u8* to, const u8* from, u64 bytes) { __builtin_memcpy(to, from, bytes); }

u32 destination_kind(const Op* op) { return op->aux & kAddressMask; }
u32 source_kind(const Op* op) { return op->aux >> kSourceShift & kAddressMask; }

// Lanes that read their source at all.
uint32_t reading(const Op* op, std::byte* frame, uint32_t mask) {
  if ((op->aux & kIgnoreSource) != 0) return mask & ~predicate(frame, op->o[2]);
  if ((op->aux & kLimitSource) == 0) return mask;
  const u32* bytes = slot<u32>(frame, op->o[2]);
  uint32_t some = 0;
  TESSERA_LANES some |= bytes[i] != 0 ? 1u << i : 0u;
  return mask & some;
}

// o: destination, source, then how many bytes of it or whether to ignore it: the rest of `Bytes` is zero.
// imm: added to the destination's address.
template <u32 Bytes>
const Op* copy(Warp& w, const Op* op, std::byte* frame, uint32_t mask) {
  Access to, from;
  if (!resolve(w, op, frame, {op->o[0], destination_kind(op), op->imm}, mask, Bytes, true, to)) return kLeave;
  const uint32_t read = reading(op, frame, mask);
  if (read != 0 && !resolve(w, op, frame, {op->o[1], source_kind(op)}, read, Bytes, false, from))
    return kLeave;
  const bool limited = (op->aux & kLimitSource) != 0;
  TESSERA_ACTIVE(mask) {
    u8* const target = to.pointer(i);
    if (lane_on(read, i) && !limited) {
      copy_bytes(target, from.pointer(i), Bytes);
      continue;
    }
    u8 value[Bytes] = {};
    if (lane_on(read, i)) {
      const u32 asked = slot<u32>(frame, op->o[2])[i];
      copy_bytes(value, from.pointer(i), asked < Bytes ? asked : Bytes);
    }
    copy_bytes(target, value, Bytes);
  }
  return op + 1;
}

bool bulk_size(Warp& w, const Op* op, u32 lane, u32 bytes) {
  if (bytes % kBulkAlignment == 0) return true;
  raise_fault(w, op, FaultKind::kIllegalInstruction, lane, 0, bytes,
              "size of a bulk copy is no multiple of 16");
  return false;
}

// o: destination, source, bytes [, bytes of each 16 to write].
template <bool Masked>
const Op* bulk(Warp& w, const Op* op, std::byte* frame, uint32_t mask) {
  TESSERA_ACTIVE(mask) {
    const u32 bytes = slot<u32>(frame, op->o[2])[i];
    if (!bulk_size(w, op, i, bytes)) return kLeave;
    const u8* from =
        resolve_range(w, op, slot<u64>(frame, op->o[1])[i], source_kind(op), i, bytes, kBulkAlignment, false);
    if (from == nullptr) return kLeave;
    u8* to = resolve_range(w, op, slot<u64>(frame, op->o[0])[i], destination_kind(op), i, bytes,
                           kBulkAlignment, true);
    if (to == nullptr) return kLeave;
    if (!Masked) {
      copy_bytes(to, from, bytes);
      continue;
    }
    const u32 wanted = slot<u16>(frame, op->o[3])[i];
    for (u32 k = 0; k < bytes; ++k) {
      if ((wanted >> k % kBulkAlignment & 1) != 0) to[k] = from[k];
    }
  }
  return op + 1;
}

// o: destination, source, bytes, blocks of the cluster: to the same place in each of them.
const Op* bulk_multicast(Warp& w, const Op* op, std::byte* frame, uint32_t mask) {
  TESSERA_ACTIVE(mask) {
    const u32 bytes = slot<u32>(frame, op->o[2])[i];
    if (!bulk_size(w, op, i, bytes)) return kLeave;
    const u8* from =
        resolve_range(w, op, slot<u64>(frame, op->o[1])[i], source_kind(op), i, bytes, kBulkAlignment, false);
    if (from == nullptr) return kLeave;
    const u64 place = slot<u64>(frame, op->o[0])[i] % kSharedWindowSize;
    for (u32 blocks = slot<u16>(frame, op->o[3])[i]; blocks != 0; blocks &= blocks - 1) {
      u8* to = resolve_range(w, op, (u64{lowest(blocks)} + 1) * kSharedWindowSize + place, kSharedAddress64,
                             i, bytes, kBulkAlignment, true);
      if (to == nullptr) return kLeave;
      copy_bytes(to, from, bytes);
    }
  }
  return op + 1;
}

// o: destination, source, bytes: each element of the source into that of the destination.
template <class F, class T>
const Op* reduce(Warp& w, const Op* op, std::byte* frame, uint32_t mask) {
  TESSERA_ACTIVE(mask) {
    const u32 bytes = slot<u32>(frame, op->o[2])[i];
    if (!bulk_size(w, op, i, bytes)) return kLeave;
    const T* from = reinterpret_cast<const T*>(resolve_range(
        w, op, slot<u64>(frame, op->o[1])[i], source_kind(op), i, bytes, kBulkAlignment, false));
    if (from == nullptr) return kLeave;
    T* to = reinterpret_cast<T*>(resolve_range(w, op, slot<u64>(frame, op->o[0])[i], destination_kind(op), i,
                                               bytes, kBulkAlignment, true));
    if (to == nullptr) return kLeave;
    for (u32 k = 0; k < bytes / sizeof(T); ++k) atomics::update<F, T>(to + k, from[k], T{0});
  }
  return op + 1;
}

struct Plus {
  template <class T>
  static T apply(T old, T b, T) {
    return static_cast<T>(old + b);
  }
};

using HalfMin = atomics::HalfPick<F16, false>;
using HalfMax = atomics::HalfPick<F16, true>;
using BfloatMin = atomics::HalfPick<BF16, false>;
using BfloatMax = atomics::HalfPick<BF16, true>;

}  // namespace

#define TESSERA_REDUCE(operation, type, F, T) \
  { "cp.reduce." operation "." type, "qqw", &reduce<F, T> }

const Entry kAsyncCopyEntries[] = {
    {"cp.async.4", "", &copy<4>},
    {"cp.async.8", "", &copy<8>},
    {"cp.async.16", "", &copy<16>},
    {"cp.async.bulk", "qqw", &bulk<false>},
    {"cp.async.bulk.masked", "qqwh", &bulk<true>},
    {"cp.async.bulk.multicast", "qqwh", &bulk_multicast},
    TESSERA_REDUCE("add", "b32", Plus, u32),
    TESSERA_REDUCE("add", "b64", Plus, u64),
    TESSERA_REDUCE("add", "f16", atomics::HalfAdd<F16>, u16),
    TESSERA_REDUCE("add", "bf16", atomics::HalfAdd<BF16>, u16),
    TESSERA_REDUCE("add", "f32", atomics::FloatAdd<f32>, u32),
    TESSERA_REDUCE("add", "f64", atomics::FloatAdd<f64>, u64),
    TESSERA_REDUCE("min", "f16", HalfMin, u16),
    TESSERA_REDUCE("min", "bf16", BfloatMin, u16),
    TESSERA_REDUCE("max", "f16", HalfMax, u16),
    TESSERA_REDUCE("max", "bf16", BfloatMax, u16),
    TESSERA_REDUCE("min", "u32", atomics::Min<u32>, u32),
    TESSERA_REDUCE("min", "s32", atomics::Min<s32>, u32),
    TESSERA_REDUCE("min", "u64", atomics::Min<u64>, u64),
    TESSERA_REDUCE("min", "s64", atomics::Min<s64>, u64),
    TESSERA_REDUCE("max", "u32", atomics::Max<u32>, u32),
    TESSERA_REDUCE("max", "s32", atomics::Max<s32>, u32),
    TESSERA_REDUCE("max", "u64", atomics::Max<u64>, u64),
    TESSERA_REDUCE("max", "s64", atomics::Max<s64>, u64),
    TESSERA_REDUCE("inc", "u32", atomics::Inc, u32),
    TESSERA_REDUCE("dec", "u32", atomics::Dec, u32),
    TESSERA_REDUCE("and", "b32", atomics::And, u32),
    TESSERA_REDUCE("or", "b32", atomics::Or, u32),
    TESSERA_REDUCE("xor", "b32", atomics::Xor, u32),
    TESSERA_REDUCE("and", "b64", atomics::And, u64),
    TESSERA_REDUCE("or", "b64", atomics::Or, u64),
    TESSERA_REDUCE("xor", "b64", atomics::Xor, u64),
};
const size_t kAsyncCopyCount = sizeof(kAsyncCopyEntries) / sizeof(Entry);

}  // namespace TESSERA_ISA
}  // namespace tessera::softgpu::exec

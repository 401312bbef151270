// atom and red. Memory that only this block sees needs no host atomics: one thread runs a block. Everywhere
// else they are the host's own, since other blocks, the CPU and other devices may touch the same words.
#include "softgpu/exec/handlers/access.h"
#include "softgpu/exec/handlers/atomics.h"
#include "softgpu/exec/handlers/tables.h"

namespace tessera::softgpu::exec {
namespace TESSERA_ISA {
namespace {

using namespace atomics;  // NOLINT(google-build-using-namespace): the names of this file's own subject

// Operands: [d,] address, b [, c].
template <class F, class T>
const Op* atom(Warp& w, const Op* op, std::byte* frame, uint32_t mask) {
  const bool result = (op->aux & kNoResult) == 0;
  const u32 first = result ? 1 : 0;
  Access access;
  ++w.strong_ops;
  if (!resolve(w, op, frame, op->o[first], mask, sizeof(T), true, access)) return kLeave;
  const T* b = slot<T>(frame, op->o[first + 1]);
  const T* c = slot<T>(frame, op->o[first + 2]);
  T* d = slot<T>(frame, op->o[0]);
  TESSERA_ACTIVE(mask) {
    T* p = reinterpret_cast<T*>(access.pointer(i));
    T old;
    if (access.shared) {
      old = *p;
      *p = F::apply(old, b[i], c[i]);
    } else {
      old = update<F, T>(p, b[i], c[i]);
    }
    if (result) d[i] = old;
  }
  return op + 1;
}

// Integer additions without a result to one address: one host atomic for the warp.
template <class T>
const Op* add(Warp& w, const Op* op, std::byte* frame, uint32_t mask) {
  const bool result = (op->aux & kNoResult) == 0;
  const u32 first = result ? 1 : 0;
  Access access;
  ++w.strong_ops;
  if (!resolve(w, op, frame, op->o[first], mask, sizeof(T), true, access)) return kLeave;
  const T* b = slot<T>(frame, op->o[first + 1]);
  T* d = slot<T>(frame, op->o[0]);
  if (!result && access.linear && access.stride == 0 && access.half[0] == access.half[1]) {
    T sum = 0;
    TESSERA_LANES sum = static_cast<T>(sum + b[i]);
    update_add(reinterpret_cast<T*>(access.half[0]), sum);
    return op + 1;
  }
  TESSERA_ACTIVE(mask) {
    T* p = reinterpret_cast<T*>(access.pointer(i));
    T old;
    if (access.shared) {
      old = *p;
      *p = static_cast<T>(old + b[i]);
    } else {
      old = update_add(p, b[i]);
    }
    if (result) d[i] = old;
  }
  return op + 1;
}

}  // namespace

const Entry kAtomicEntries[] = {
    {"atom.add.b32", "", &add<u32>},
    {"atom.add.b64", "", &add<u64>},
    {"atom.and.b32", "", &atom<And, u32>},
    {"atom.and.b64", "", &atom<And, u64>},
    {"atom.or.b32", "", &atom<Or, u32>},
    {"atom.or.b64", "", &atom<Or, u64>},
    {"atom.xor.b32", "", &atom<Xor, u32>},
    {"atom.xor.b64", "", &atom<Xor, u64>},
    {"atom.exch.b32", "", &atom<Exch, u32>},
    {"atom.exch.b64", "", &atom<Exch, u64>},
    {"atom.cas.b16", "", &atom<Cas, u16>},
    {"atom.cas.b32", "", &atom<Cas, u32>},
    {"atom.cas.b64", "", &atom<Cas, u64>},
    {"atom.inc.u32", "", &atom<Inc, u32>},
    {"atom.dec.u32", "", &atom<Dec, u32>},
    {"atom.min.u32", "", &atom<Min<u32>, u32>},
    {"atom.min.s32", "", &atom<Min<s32>, u32>},
    {"atom.min.u64", "", &atom<Min<u64>, u64>},
    {"atom.min.s64", "", &atom<Min<s64>, u64>},
    {"atom.max.u32", "", &atom<Max<u32>, u32>},
    {"atom.max.s32", "", &atom<Max<s32>, u32>},
    {"atom.max.u64", "", &atom<Max<u64>, u64>},
    {"atom.max.s64", "", &atom<Max<s64>, u64>},
    {"atom.add.f32", "", &atom<FloatAdd<f32>, u32>},
    {"atom.add.f64", "", &atom<FloatAdd<f64>, u64>},
    {"atom.add.f16", "", &atom<HalfAdd<F16>, u16>},
    {"atom.add.bf16", "", &atom<HalfAdd<BF16>, u16>},
    {"atom.add.f16x2", "", &atom<Pair<HalfAdd<F16>>, u32>},
    {"atom.add.bf16x2", "", &atom<Pair<HalfAdd<BF16>>, u32>},
    {"atom.min.f16", "", &atom<HalfPick<F16, false>, u16>},
    {"atom.min.bf16", "", &atom<HalfPick<BF16, false>, u16>},
    {"atom.min.f16x2", "", &atom<Pair<HalfPick<F16, false>>, u32>},
    {"atom.min.bf16x2", "", &atom<Pair<HalfPick<BF16, false>>, u32>},
    {"atom.max.f16", "", &atom<HalfPick<F16, true>, u16>},
    {"atom.max.bf16", "", &atom<HalfPick<BF16, true>, u16>},
    {"atom.max.f16x2", "", &atom<Pair<HalfPick<F16, true>>, u32>},
    {"atom.max.bf16x2", "", &atom<Pair<HalfPick<BF16, true>>, u32>},
};
const size_t kAtomicCount = sizeof(kAtomicEntries) / sizeof(Entry);

}  // namespace TESSERA_ISA
}  // namespace tessera::softgpu::exec

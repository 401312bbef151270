// ld and st in every state space, call parameters, cvta and isspacep.
#include "softgpu/exec/handlers/access.h"
#include "softgpu/exec/handlers/tables.h"

namespace tessera::softgpu::exec {
namespace TESSERA_ISA {
namespace {

#define TESSERA_HALF_LANES TESSERA_INDEPENDENT for (u32 i = 0; i < kHalfWarp; ++i)

// Element k of N of 16 lanes at a stride.
template <class M, class D, u32 N>
inline void load_half(D* d, const u8* base, s64 stride, u32 k) {
  if (stride == static_cast<s64>(sizeof(M) * N)) {
    const M* m = reinterpret_cast<const M*>(base);
    TESSERA_HALF_LANES d[i] = static_cast<D>(m[i * N + k]);
  } else if (stride == 0) {
    const D value = static_cast<D>(reinterpret_cast<const M*>(base)[k]);
    TESSERA_HALF_LANES d[i] = value;
  } else {
    for (u32 i = 0; i < kHalfWarp; ++i)
      d[i] = static_cast<D>(reinterpret_cast<const M*>(base + i * stride)[k]);
  }
}
template <class M, class S, u32 N>
inline void store_half(const S* s, u8* base, s64 stride, u32 k) {
  if (stride == static_cast<s64>(sizeof(M) * N)) {
    M* m = reinterpret_cast<M*>(base);
    TESSERA_HALF_LANES m[i * N + k] = static_cast<M>(s[i]);
  } else {
    for (u32 i = 0; i < kHalfWarp; ++i) reinterpret_cast<M*>(base + i * stride)[k] = static_cast<M>(s[i]);
  }
}

// M is the type in memory, D the register's. The address operand follows the vector's registers.
template <class M, class D, u32 N>
const Op* load(Warp& w, const Op* op, std::byte* frame, uint32_t mask) {
  Access access;
  if (!resolve(w, op, frame, op->o[N], mask, sizeof(M) * N, false, access)) return kLeave;
  for (u32 k = 0; k < N; ++k) {
    D* d = slot<D>(frame, op->o[k]);
    if (access.linear) {
      load_half<M, D, N>(d, access.half[0], access.stride, k);
      load_half<M, D, N>(d + kHalfWarp, access.half[1], access.stride, k);
    } else if (mask == kAllLanes) {
      for (u32 i = 0; i < kWarpSize; ++i)
        d[i] = static_cast<D>(reinterpret_cast<const M*>(access.lane[i])[k]);
    } else {
      alignas(64) D loaded[kWarpSize];
      for (u32 i = 0; i < kWarpSize; ++i)
        loaded[i] = static_cast<D>(reinterpret_cast<const M*>(access.lane[i])[k]);
      commit(d, loaded, mask);
    }
  }
  return op + 1;
}

// The address operand comes first, as PTX writes it.
template <class M, class S, u32 N>
const Op* store(Warp& w, const Op* op, std::byte* frame, uint32_t mask) {
  Access access;
  if (!resolve(w, op, frame, op->o[0], mask, sizeof(M) * N, true, access)) return kLeave;
  for (u32 k = 0; k < N; ++k) {
    const S* s = slot<S>(frame, op->o[k + 1]);
    if (access.linear) {
      store_half<M, S, N>(s, access.half[0], access.stride, k);
      store_half<M, S, N>(s + kHalfWarp, access.half[1], access.stride, k);
    } else {
      TESSERA_ACTIVE(mask) reinterpret_cast<M*>(access.lane[i])[k] = static_cast<M>(s[i]);
    }
  }
  return op + 1;
}

// volatile, relaxed, acquire and release: one atomic access per lane and element.
template <class M, class D, u32 N>
const Op* load_strong(Warp& w, const Op* op, std::byte* frame, uint32_t mask) {
  Access access;
  ++w.strong_ops;
  if (!resolve(w, op, frame, op->o[N], mask, sizeof(M) * N, false, access)) return kLeave;
  TESSERA_ACTIVE(mask) {
    const M* m = reinterpret_cast<const M*>(access.pointer(i));
    for (u32 k = 0; k < N; ++k)
      slot<D>(frame, op->o[k])[i] = static_cast<D>(__atomic_load_n(m + k, __ATOMIC_ACQUIRE));
  }
  return op + 1;
}
template <class M, class S, u32 N>
const Op* store_strong(Warp& w, const Op* op, std::byte* frame, uint32_t mask) {
  Access access;
  if (!resolve(w, op, frame, op->o[0], mask, sizeof(M) * N, true, access)) return kLeave;
  TESSERA_ACTIVE(mask) {
    M* m = reinterpret_cast<M*>(access.pointer(i));
    for (u32 k = 0; k < N; ++k)
      __atomic_store_n(m + k, static_cast<M>(slot<S>(frame, op->o[k + 1])[i]), __ATOMIC_RELEASE);
  }
  return op + 1;
}

// Call parameters live in the frame: row r holds bytes 4r..4r+3 of all lanes. Op::imm is the byte offset.
template <class M>
inline u8* parameter_lane(std::byte* frame, u32 region, u64 offset, u32 lane) {
  return reinterpret_cast<u8*>(frame) + region + (offset / 4) * (kWarpSize * 4) + lane * 4 + offset % 4;
}
template <class M, class D>
const Op* load_parameter(Warp&, const Op* op, std::byte* frame, uint32_t mask) {
  D* d = slot<D>(frame, op->o[0]);
  const u64 offset = static_cast<u64>(op->imm);
  TESSERA_LANES {
    u64 value;
    if (sizeof(M) == 8) {
      value = u64{*reinterpret_cast<const u32*>(parameter_lane<M>(frame, op->o[1], offset, i))} |
              u64{*reinterpret_cast<const u32*>(parameter_lane<M>(frame, op->o[1], offset + 4, i))} << 32;
    } else {
      value = static_cast<u64>(*reinterpret_cast<const M*>(parameter_lane<M>(frame, op->o[1], offset, i)));
    }
    d[i] = lane_on(mask, i) ? static_cast<D>(static_cast<M>(value)) : d[i];
  }
  return op + 1;
}
template <class M, class S>
const Op* store_parameter(Warp&, const Op* op, std::byte* frame, uint32_t mask) {
  const S* s = slot<S>(frame, op->o[1]);
  const u64 offset = static_cast<u64>(op->imm);
  TESSERA_ACTIVE(mask) {
    if (sizeof(M) == 8) {
      *reinterpret_cast<u32*>(parameter_lane<M>(frame, op->o[0], offset, i)) = static_cast<u32>(s[i]);
      *reinterpret_cast<u32*>(parameter_lane<M>(frame, op->o[0], offset + 4, i)) =
          static_cast<u32>(static_cast<u64>(s[i]) >> 32);
    } else {
      *reinterpret_cast<M*>(parameter_lane<M>(frame, op->o[0], offset, i)) = static_cast<M>(s[i]);
    }
  }
  return op + 1;
}

enum Window : u32 { kShared, kCluster, kLocal };
template <Window W>
u64 window_base(const Warp& w) {
  return W == kLocal ? w.local_window : w.shared_window;
}

template <Window W, class T, bool ToGeneric>
const Op* convert_address(Warp& w, const Op* op, std::byte* frame, uint32_t mask) {
  u64* d64 = slot<u64>(frame, op->o[0]);
  const T* a = slot<T>(frame, op->o[1]);
  const u64 base = window_base<W>(w);
  if (ToGeneric) {
    TESSERA_LANES d64[i] = lane_on(mask, i) ? static_cast<u64>(a[i]) + base : d64[i];
  } else {
    TESSERA_LANES d64[i] = lane_on(mask, i) ? static_cast<u64>(a[i]) - base : d64[i];
  }
  return op + 1;
}
template <Window W>
const Op* in_window(Warp& w, const Op* op, std::byte* frame, uint32_t mask) {
  const u64* a = slot<u64>(frame, op->o[1]);
  const u64 size = W == kShared ? kSharedWindowSize : W == kCluster ? kClusterWindowSize : kLocalWindowSize;
  uint32_t bits = 0;
  TESSERA_ACTIVE(mask) {
    if (a[i] - window_base<W>(w) < size) bits |= 1u << i;
  }
  write_predicate(frame, op->o[0], mask, bits);
  return op + 1;
}
// Where in local memory a variable of the running frame lies; Op::imm is its offset in the frame.
const Op* local_address(Warp& w, const Op* op, std::byte* frame, uint32_t mask) {
  u64* d = slot<u64>(frame, op->o[0]);
  const u64 address = w.local_base + static_cast<u64>(op->imm);
  TESSERA_LANES d[i] = lane_on(mask, i) ? address : d[i];
  return op + 1;
}
const Op* fence(Warp& w, const Op* op, std::byte*, uint32_t) {
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  ++w.strong_ops;
  return op + 1;
}
const Op* nothing(Warp&, const Op* op, std::byte*, uint32_t) { return op + 1; }

}  // namespace

// Signatures of ld and st are made by the decoder: the number of registers and the address's width vary.
#define TESSERA_LOAD(name, M, D)                                                                  \
  {"ld." name ".1", "", &load<M, D, 1>}, {"ld." name ".2", "", &load<M, D, 2>},                   \
      {"ld." name ".4", "", &load<M, D, 4>}, {"ld.strong." name ".1", "", &load_strong<M, D, 1>}, \
      {"ld.strong." name ".2", "", &load_strong<M, D, 2>},                                        \
      {"ld.strong." name ".4", "", &load_strong<M, D, 4>}, {                                      \
    "param.ld." name, "", &load_parameter<M, D>                                                   \
  }
#define TESSERA_STORE(name, M, S)                                                                   \
  {"st." name ".1", "", &store<M, S, 1>}, {"st." name ".2", "", &store<M, S, 2>},                   \
      {"st." name ".4", "", &store<M, S, 4>}, {"st.strong." name ".1", "", &store_strong<M, S, 1>}, \
      {"st.strong." name ".2", "", &store_strong<M, S, 2>},                                         \
      {"st.strong." name ".4", "", &store_strong<M, S, 4>}, {                                       \
    "param.st." name, "", &store_parameter<M, S>                                                    \
  }

// Names are type in memory, then register width.
const Entry kMemoryEntries[] = {
    TESSERA_LOAD("u8.16", u8, u16),
    TESSERA_LOAD("u8.32", u8, u32),
    TESSERA_LOAD("u8.64", u8, u64),
    TESSERA_LOAD("s8.16", s8, s16),
    TESSERA_LOAD("s8.32", s8, s32),
    TESSERA_LOAD("s8.64", s8, s64),
    TESSERA_LOAD("u16.16", u16, u16),
    TESSERA_LOAD("u16.32", u16, u32),
    TESSERA_LOAD("u16.64", u16, u64),
    TESSERA_LOAD("s16.32", s16, s32),
    TESSERA_LOAD("s16.64", s16, s64),
    TESSERA_LOAD("u32.32", u32, u32),
    TESSERA_LOAD("u32.64", u32, u64),
    TESSERA_LOAD("s32.64", s32, s64),
    TESSERA_LOAD("u64.64", u64, u64),
    TESSERA_STORE("u8.16", u8, u16),
    TESSERA_STORE("u8.32", u8, u32),
    TESSERA_STORE("u8.64", u8, u64),
    TESSERA_STORE("u16.16", u16, u16),
    TESSERA_STORE("u16.32", u16, u32),
    TESSERA_STORE("u16.64", u16, u64),
    TESSERA_STORE("u32.32", u32, u32),
    TESSERA_STORE("u32.64", u32, u64),
    TESSERA_STORE("u64.64", u64, u64),
    {"cvta.shared.u64", "Qq", &convert_address<kShared, u64, true>},
    {"cvta.local.u64", "Qq", &convert_address<kLocal, u64, true>},
    {"cvta.to.shared.u64", "Qq", &convert_address<kShared, u64, false>},
    {"cvta.to.local.u64", "Qq", &convert_address<kLocal, u64, false>},
    {"isspacep.shared", "Pq", &in_window<kShared>},
    {"isspacep.cluster", "Pq", &in_window<kCluster>},
    {"isspacep.local", "Pq", &in_window<kLocal>},
    {"local.address", "Q", &local_address},
    {"fence", "", &fence},
    {"nothing", "", &nothing},
};
const size_t kMemoryCount = sizeof(kMemoryEntries) / sizeof(Entry);

}  // namespace TESSERA_ISA
}  // namespace tessera::softgpu::exec

// Exchange between the lanes of a warp: shfl, vote, match, redux, activemask, elect, bar.warp.sync.
//
// A .sync instruction names the lanes that take part. Where they all stand here it runs at once. Otherwise
// the lanes park their values and wait (scheduler.cc); when the last one comes, the handler runs again for
// each waiting group with Warp::exchange set.
#include "softgpu/exec/handlers/lanes.h"
#include "softgpu/exec/handlers/runtime.h"
#include "softgpu/exec/handlers/tables.h"

namespace tessera::softgpu::exec {
namespace TESSERA_ISA {
namespace {

// Lanes named by the members' masks that are alive and not here.
inline uint32_t absent(const Warp& w, const u32* members, uint32_t mask) {
  uint32_t named = 0;
  TESSERA_LANES named |= lane_on(mask, i) ? members[i] : 0u;
  return named & w.alive & ~mask;
}

template <class T>
const Op* park(Warp& w, const Op* op, uint32_t mask, const u32* members, const T* values) {
  TESSERA_ACTIVE(mask) {
    w.parked_values[i] = values == nullptr ? 0 : static_cast<u64>(values[i]);
    w.parked_members[i] = members[i];
  }
  return wait_at_sync(w, op, mask);
}

// All lanes' values: the register itself, or what the waiting lanes parked. Copied, since results may
// overwrite them.
template <class T>
inline void gather(const Warp& w, const T* values, T (&all)[kWarpSize]) {
  if (w.exchange) {
    TESSERA_LANES all[i] = static_cast<T>(w.parked_values[i]);
  } else {
    TESSERA_LANES all[i] = values[i];
  }
}

enum Mode : u32 { kUp, kDown, kBfly, kIdx };
template <Mode M>
const Op* shuffle(Warp& w, const Op* op, std::byte* frame, uint32_t mask) {
  // o: d, p, a, b, c, members. aux: 1 where p is wanted, 2 where there are members.
  u32* d = slot<u32>(frame, op->o[0]);
  const u32* a = slot<u32>(frame, op->o[2]);
  const s32* b = slot<s32>(frame, op->o[3]);
  const u32* c = slot<u32>(frame, op->o[4]);
  const u32* members = slot<u32>(frame, op->o[5]);
  if ((op->aux & 2) != 0 && !w.exchange && absent(w, members, mask) != 0)
    return park(w, op, mask, members, a);
  u32 all[kWarpSize];
  alignas(64) u32 result[kWarpSize];
  gather(w, a, all);
  uint32_t valid = 0;
  TESSERA_LANES {
    const s32 lane = static_cast<s32>(i);
    const s32 segment = static_cast<s32>(c[i] >> 8) & 31;
    const s32 clamp = static_cast<s32>(c[i]) & 31;
    const s32 offset = b[i] & 31;
    const s32 highest = (lane & segment) | (clamp & ~segment);
    const s32 source = M == kUp     ? lane - offset
                       : M == kDown ? lane + offset
                       : M == kBfly ? lane ^ offset
                                    : (lane & segment) | (offset & ~segment);
    const bool inside = M == kUp ? source >= highest : source <= highest;
    result[i] = all[(inside ? source : lane) & 31];
    valid |= inside ? 1u << i : 0u;
  }
  commit(d, result, mask);
  if ((op->aux & 1) != 0) write_predicate(frame, op->o[1], mask, valid);
  return op + 1;
}

// Lanes that take part with lane `i`, of those that are here or waiting.
inline uint32_t participants(const Warp& w, const u32* members, uint32_t mask, u32 lane) {
  return members[lane] & (w.exchange ? w.exchange_lanes : mask);
}
inline uint32_t same_members(const u32* members, uint32_t mask, u32 lane) {
  uint32_t same = 0;
  TESSERA_LANES same |= members[i] == members[lane] ? 1u << i : 0u;
  return same & mask;
}

enum Vote : u32 { kAll, kAny, kUni, kBallot };
// o: d, source, members; aux: 2 where there are members.
template <Vote V>
const Op* vote(Warp& w, const Op* op, std::byte* frame, uint32_t mask) {
  const u32* members = slot<u32>(frame, op->o[2]);
  const bool sync = (op->aux & 2) != 0;
  uint32_t source = predicate(frame, op->o[1]);
  if (sync && !w.exchange && absent(w, members, mask) != 0) {
    u32 values[kWarpSize];
    TESSERA_LANES values[i] = lane_on(source, i) ? 1u : 0u;
    return park(w, op, mask, members, values);
  }
  if (w.exchange) {
    source = 0;
    TESSERA_LANES source |= w.parked_values[i] != 0 ? 1u << i : 0u;
  }
  for (uint32_t left = mask; left != 0;) {
    const u32 lane = lowest(left);
    const uint32_t part = sync ? participants(w, members, mask, lane) : mask;
    const uint32_t writers = sync ? same_members(members, left, lane) : left;
    const uint32_t votes = source & part;
    if (V == kBallot) {
      u32* d = slot<u32>(frame, op->o[0]);
      TESSERA_LANES d[i] = lane_on(writers, i) ? votes : d[i];
    } else {
      const bool holds = V == kAll ? votes == part : V == kAny ? votes != 0 : votes == part || votes == 0;
      write_predicate(frame, op->o[0], writers, holds ? kAllLanes : 0);
    }
    left &= ~writers;
  }
  return op + 1;
}

// o: d, p, a, members; aux bit 1: p is wanted.
template <class T, bool All>
const Op* match(Warp& w, const Op* op, std::byte* frame, uint32_t mask) {
  u32* d = slot<u32>(frame, op->o[0]);
  const T* a = slot<T>(frame, op->o[2]);
  const u32* members = slot<u32>(frame, op->o[3]);
  if (!w.exchange && absent(w, members, mask) != 0) return park(w, op, mask, members, a);
  T all[kWarpSize];
  gather(w, a, all);
  u32 result[kWarpSize];
  uint32_t agreed = 0;
  TESSERA_ACTIVE(mask) {
    const uint32_t part = participants(w, members, mask, i);
    uint32_t equal = 0;
    for (u32 k = 0; k < kWarpSize; ++k) equal |= all[k] == all[i] ? 1u << k : 0u;
    equal &= part;
    if (equal == part) agreed |= 1u << i;
    result[i] = !All ? equal : equal == part ? part : 0;
  }
  TESSERA_ACTIVE(mask) d[i] = result[i];
  if (All && (op->aux & 1) != 0) write_predicate(frame, op->o[1], mask, agreed);
  return op + 1;
}

struct Add {
  template <class T>
  static T apply(T a, T b) {
    return static_cast<T>(static_cast<u32>(a) + static_cast<u32>(b));
  }
};
struct Min {
  template <class T>
  static T apply(T a, T b) {
    return a < b ? a : b;
  }
};
struct Max {
  template <class T>
  static T apply(T a, T b) {
    return a > b ? a : b;
  }
};
struct And {
  template <class T>
  static T apply(T a, T b) {
    return a & b;
  }
};
struct Or {
  template <class T>
  static T apply(T a, T b) {
    return a | b;
  }
};
struct Xor {
  template <class T>
  static T apply(T a, T b) {
    return a ^ b;
  }
};

// o: d, a, members
template <class F, class T>
const Op* redux(Warp& w, const Op* op, std::byte* frame, uint32_t mask) {
  T* d = slot<T>(frame, op->o[0]);
  const T* a = slot<T>(frame, op->o[1]);
  const u32* members = slot<u32>(frame, op->o[2]);
  if (!w.exchange && absent(w, members, mask) != 0) return park(w, op, mask, members, a);
  T all[kWarpSize];
  gather(w, a, all);
  for (uint32_t left = mask; left != 0;) {
    const u32 lane = lowest(left);
    const uint32_t part = participants(w, members, mask, lane);
    const uint32_t writers = same_members(members, left, lane);
    T total = all[lane];
    const uint32_t others = part & ~(1u << lane);
    TESSERA_ACTIVE(others) total = F::apply(total, all[i]);
    TESSERA_ACTIVE(writers) d[i] = total;
    left &= ~writers;
  }
  return op + 1;
}

// o: d, p, members: the lowest participant is elected.
const Op* elect(Warp& w, const Op* op, std::byte* frame, uint32_t mask) {
  u32* d = slot<u32>(frame, op->o[0]);
  const u32* members = slot<u32>(frame, op->o[2]);
  if (!w.exchange && absent(w, members, mask) != 0) return park<u32>(w, op, mask, members, nullptr);
  uint32_t elected = 0;
  u32 leader[kWarpSize];
  TESSERA_ACTIVE(mask) {
    leader[i] = lowest(participants(w, members, mask, i));
    if (leader[i] == i) elected |= 1u << i;
  }
  TESSERA_ACTIVE(mask) d[i] = leader[i];
  write_predicate(frame, op->o[1], mask, elected);
  return op + 1;
}

const Op* bar_warp(Warp& w, const Op* op, std::byte* frame, uint32_t mask) {
  const u32* members = slot<u32>(frame, op->o[0]);
  if (!w.exchange && absent(w, members, mask) != 0) return park<u32>(w, op, mask, members, nullptr);
  ++w.strong_ops;
  return op + 1;
}

const Op* activemask(Warp&, const Op* op, std::byte* frame, uint32_t mask) {
  u32* d = slot<u32>(frame, op->o[0]);
  TESSERA_LANES d[i] = lane_on(mask, i) ? mask : d[i];
  return op + 1;
}

}  // namespace

// '!' throughout: results are written while other lanes' sources are still to be read.
const Entry kShuffleEntries[] = {
    {"shfl.up", "!WPwwww", &shuffle<kUp>},
    {"shfl.down", "!WPwwww", &shuffle<kDown>},
    {"shfl.bfly", "!WPwwww", &shuffle<kBfly>},
    {"shfl.idx", "!WPwwww", &shuffle<kIdx>},
    {"vote.all", "!Ppw", &vote<kAll>},
    {"vote.any", "!Ppw", &vote<kAny>},
    {"vote.uni", "!Ppw", &vote<kUni>},
    {"vote.ballot", "!Wpw", &vote<kBallot>},
    {"match.any.b32", "!WPww", &match<u32, false>},
    {"match.any.b64", "!WPqw", &match<u64, false>},
    {"match.all.b32", "!WPww", &match<u32, true>},
    {"match.all.b64", "!WPqw", &match<u64, true>},
    {"redux.sync.add.b32", "!Www", &redux<Add, u32>},
    {"redux.sync.min.u32", "!Www", &redux<Min, u32>},
    {"redux.sync.min.s32", "!Www", &redux<Min, s32>},
    {"redux.sync.max.u32", "!Www", &redux<Max, u32>},
    {"redux.sync.max.s32", "!Www", &redux<Max, s32>},
    {"redux.sync.and.b32", "!Www", &redux<And, u32>},
    {"redux.sync.or.b32", "!Www", &redux<Or, u32>},
    {"redux.sync.xor.b32", "!Www", &redux<Xor, u32>},
    {"elect.sync", "!WPw", &elect},
    {"bar.warp.sync", "w", &bar_warp},
    {"activemask.b32", "W", &activemask},
};
const size_t kShuffleCount = sizeof(kShuffleEntries) / sizeof(Entry);

}  // namespace TESSERA_ISA
}  // namespace tessera::softgpu::exec

// Addresses in the shared memory of a cluster's blocks: mapa, getctarank.
#include "softgpu/exec/handlers/lanes.h"
#include "softgpu/exec/handlers/tables.h"

namespace tessera::softgpu::exec {
namespace TESSERA_ISA {
namespace {

// The same place in the shared memory of the block of rank b.
struct Map {
  template <class T>
  static T apply(T a, u32 b) {
    return static_cast<T>((u64{b} + 1) * kSharedWindowSize + a % kSharedWindowSize);
  }
};
const Op* map_generic(Warp& w, const Op* op, std::byte* frame, uint32_t mask) {
  u64* d = slot<u64>(frame, op->o[0]);
  const u64* a = slot<u64>(frame, op->o[1]);
  const u32* b = slot<u32>(frame, op->o[2]);
  TESSERA_ACTIVE(mask) d[i] = w.shared_window + Map::apply(a[i] - w.shared_window, b[i]);
  return op + 1;
}

// The rank of the block whose memory it is.
template <class T, bool Generic>
const Op* rank_of(Warp& w, const Op* op, std::byte* frame, uint32_t mask) {
  u32* d = slot<u32>(frame, op->o[0]);
  const T* a = slot<T>(frame, op->o[1]);
  TESSERA_ACTIVE(mask) {
    const u64 offset = Generic ? static_cast<u64>(a[i]) - w.shared_window : static_cast<u64>(a[i]);
    const u64 owner = offset / kSharedWindowSize;
    d[i] = owner == 0 ? w.cluster_rank : static_cast<u32>(owner - 1);
  }
  return op + 1;
}

}  // namespace

const Entry kClusterEntries[] = {
    {"mapa.shared::cluster.u32", "Www", &binary<Map, u32, u32, u32>},
    {"mapa.shared::cluster.u64", "Qqw", &binary<Map, u64, u64, u32>},
    {"mapa.u64", "Qqw", &map_generic},
    {"getctarank.shared::cluster.u32", "!Ww", &rank_of<u32, false>},
    {"getctarank.shared::cluster.u64", "!Wq", &rank_of<u64, false>},
    {"getctarank.u64", "!Wq", &rank_of<u64, true>},
};
const size_t kClusterCount = sizeof(kClusterEntries) / sizeof(Entry);

}  // namespace TESSERA_ISA
}  // namespace tessera::softgpu::exec

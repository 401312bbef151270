// wmma.load and wmma.store, ldmatrix, stmatrix and movmatrix.
#include "softgpu/exec/handlers/access.h"
#include "softgpu/exec/handlers/fragments.h"
#include "softgpu/exec/handlers/tables.h"

namespace tessera::softgpu::exec {
namespace TESSERA_ISA {
namespace {

// Op::aux2 of wmma.load and wmma.store.
struct Fragment {
  u32 rows, columns, elements, bytes;
  bool column_major, by_columns;  // in memory, in the fragment
};
Fragment fragment_of(const Op* op) {
  return {op->aux2 & 0xff,
          op->aux2 >> 8 & 0xff,
          op->aux2 >> 16 & 0xff,
          op->aux2 >> 24,
          (op->aux & kMatrixColumnMajor) != 0,
          (op->aux & kMatrixColumnOrder) != 0};
}

// How many elements of a lane follow each other in memory and are moved together: up to 16 bytes, to which
// fragments in memory are aligned (PTX ISA, "wmma.load").
u32 together(const Fragment& f) {
  constexpr u32 kMostBytes = 16;
  if (f.column_major != f.by_columns) return 1;
  const u32 line = f.by_columns ? f.rows : f.columns;
  u32 count = kMostBytes / f.bytes;
  while (f.elements % count != 0 || line % count != 0) count /= 2;
  return count;
}

// Each lane's address of `count` elements from `index` on; T is as wide as the address register.
template <class T>
bool resolve_elements(Warp& w, const Op* op, std::byte* frame, u32 addresses, u32 strides, uint32_t mask,
                      const Fragment& f, u32 index, u32 count, bool write, Access& access) {
  alignas(64) T at[kWarpSize];
  const T* base = slot<T>(frame, addresses);
  const u32* stride = slot<u32>(frame, strides);
  TESSERA_LANES {
    const Place p = place_warp(i, index, f.elements, f.rows, f.columns, f.by_columns);
    const u64 offset = f.column_major ? u64{p.column} * stride[i] + p.row : u64{p.row} * stride[i] + p.column;
    at[i] = static_cast<T>(base[i] + offset * f.bytes);
  }
  return resolve(w, op, reinterpret_cast<std::byte*>(at), 0, mask, f.bytes * count, write, access);
}

// Where a lane's element is in the region: rows of 32 words.
u8* element_in(u32* rows, u32 index, u32 bytes, u32 lane) {
  const u32 offset = index * bytes;
  return reinterpret_cast<u8*>(rows + offset / 4 * kWarpSize + lane) + offset % 4;
}
// Whole words are a row apart; less than a word lies together.
template <bool Load>
void move(u8* lane, u8* memory, u32 bytes) {
  u32* const words = reinterpret_cast<u32*>(lane);
  for (u32 k = 0; k < bytes / 4; ++k) {
    u32* const word = reinterpret_cast<u32*>(memory) + k;
    if (Load) {
      words[k * kWarpSize] = *word;
    } else {
      *word = words[k * kWarpSize];
    }
  }
  if (bytes >= 4) return;
  for (u32 k = 0; k < bytes; ++k) (Load ? lane : memory)[k] = (Load ? memory : lane)[k];
}

// o: region, address, stride.
template <class T, bool Load>
const Op* warp_fragment(Warp& w, const Op* op, std::byte* frame, uint32_t mask) {
  const Fragment f = fragment_of(op);
  u32* const rows = slot<u32>(frame, op->o[0]);
  const u32 count = together(f);
  for (u32 index = 0; index < f.elements; index += count) {
    Access access;
    if (!resolve_elements<T>(w, op, frame, op->o[1], op->o[2], mask, f, index, count, !Load, access))
      return kLeave;
    TESSERA_ACTIVE(mask) {
      move<Load>(element_in(rows, index, f.bytes, i), access.pointer(i), count * f.bytes);
    }
  }
  return op + 1;
}

// Half `part` of the word that lane `lane` holds of an 8x8 matrix.
Place place_in_tile(u32 lane, u32 part, bool transposed) {
  const Place p = {lane / 4, lane % 4 * 2 + part};
  return transposed ? Place{p.column, p.row} : p;
}

constexpr u32 kTileRows = 8, kTileRowBytes = 16;

// o: region, address. Lane 8 * m + r has the address of row r of matrix m.
template <bool Load>
const Op* tiles(Warp& w, const Op* op, std::byte* frame, uint32_t mask) {
  const u32 count = op->aux2;
  const bool transposed = (op->aux & kMatrixTranspose) != 0;
  const uint32_t addressed = count == 4 ? kAllLanes : (1u << (kTileRows * count)) - 1;
  if ((mask & addressed) != addressed)
    return raise_fault(w, op, FaultKind::kIllegalInstruction, lowest(mask), 0, 0, "not all lanes are here");
  Access access;
  if (!resolve(w, op, frame, op->o[1], addressed, kTileRowBytes, !Load, access)) return kLeave;
  u32* const rows = slot<u32>(frame, op->o[0]);
  for (u32 tile = 0; tile < count; ++tile) {
    TESSERA_ACTIVE(mask) {
      u16* const halves = reinterpret_cast<u16*>(rows + tile * kWarpSize + i);
      for (u32 part = 0; part < 2; ++part) {
        const Place p = place_in_tile(i, part, transposed);
        u16* const row = reinterpret_cast<u16*>(access.pointer(tile * kTileRows + p.row));
        if (Load) {
          halves[part] = row[p.column];
        } else {
          row[p.column] = halves[part];
        }
      }
    }
  }
  return op + 1;
}

// o: d, a
const Op* transpose(Warp&, const Op* op, std::byte* frame, uint32_t mask) {
  u32* const d = slot<u32>(frame, op->o[0]);
  const u16* const a = slot<u16>(frame, op->o[1]);
  TESSERA_ACTIVE(mask) {
    u32 word = 0;
    for (u32 part = 0; part < 2; ++part) {
      const Place p = place_in_tile(i, part, true);
      word |= u32{a[(p.row * 4 + p.column / 2) * 2 + p.column % 2]} << (16 * part);
    }
    d[i] = word;
  }
  return op + 1;
}

}  // namespace

const Entry kMatrixMemoryEntries[] = {
    {"fragment.load.64", "!Mqw", &warp_fragment<u64, true>},
    {"fragment.load.32", "!Mww", &warp_fragment<u32, true>},
    {"fragment.store.64", "mqw", &warp_fragment<u64, false>},
    {"fragment.store.32", "mww", &warp_fragment<u32, false>},
    {"tiles.load.64", "!Mq", &tiles<true>},
    {"tiles.load.32", "!Mw", &tiles<true>},
    {"tiles.store.64", "mq", &tiles<false>},
    {"tiles.store.32", "mw", &tiles<false>},
    {"tiles.transpose", "!Ww", &transpose},
};
const size_t kMatrixMemoryCount = sizeof(kMatrixMemoryEntries) / sizeof(Entry);

}  // namespace TESSERA_ISA
}  // namespace tessera::softgpu::exec

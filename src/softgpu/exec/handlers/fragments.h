// Which element of a matrix each lane holds where, for mma and wmma (PTX ISA, "Matrix Fragments").
//
// All mma shapes but one follow one rule. Lane l has group g = l / 4 and place t = l % 4; a 32-bit register
// holds `e` neighbouring elements (1 for tf32 and f64, 2, 4, 8, 32 for narrower ones):
//   A, register r: row g (+ 8 for odd r, where there are 16 rows), columns from (t + 4 * step) * e, where
//   step
//                  counts registers of the same row
//   B, register r: rows from (t + 4 * r) * e, column g
//   C, element i:  row g + 8 * (i / 2), column 2 * t + i % 2
// m8n8k4 of f16 is older: four 8x8x4 products, each by the lanes 4q..4q+3 and 16+4q..16+4q+3.
// The fragments of wmma are nobody's business but wmma's: elements in the order of memory, lane after lane,
// from the start again where a fragment has room for more than the matrix. Those of sums are row after row,
// since they are loaded and stored in either layout.
#pragma once

#include "softgpu/exec/flags.h"
#include "softgpu/exec/handlers/lanes.h"

namespace tessera::softgpu::exec {
namespace TESSERA_ISA {

struct Place {
  u32 row, column;
};

inline Place place_a(u32 lane, u32 reg, u32 element, u32 per_register, u32 rows) {
  const u32 tall = rows == 16 ? 1 : 0;
  const u32 step = reg >> tall;
  return {lane / 4 + 8 * (reg & tall), (lane % 4 + 4 * step) * per_register + element};
}
inline Place place_b(u32 lane, u32 reg, u32 element, u32 per_register) {
  return {(lane % 4 + 4 * reg) * per_register + element, lane / 4};
}
inline Place place_c(u32 lane, u32 index) { return {lane / 4 + 8 * (index / 2), lane % 4 * 2 + index % 2}; }

inline Place place_warp(u32 lane, u32 index, u32 per_lane, u32 rows, u32 columns, bool by_columns) {
  const u32 at = (lane * per_lane + index) % (rows * columns);
  if (by_columns) return {at % rows, at / rows};
  return {at / columns, at % columns};
}

// m8n8k4 of f16, within the product of the lane's quads.
inline u32 quad_of(u32 lane) { return lane % 16 / 4; }
inline u32 lane_in_quad(u32 lane) { return lane % 4 + (lane < 16 ? 0 : 4); }
inline Place place_quad_a(u32 lane, u32 index, bool column_major) {
  if (column_major) return {index + (lane < 16 ? 0u : 4u), lane % 4};
  return {lane_in_quad(lane), index};
}
inline Place place_quad_b(u32 lane, u32 index, bool column_major) {
  if (column_major) return {index, lane_in_quad(lane)};
  return {lane % 4, index + (lane < 16 ? 0u : 4u)};
}
inline Place place_quad_c(u32 lane, u32 index, bool wide) {
  if (!wide) return {lane_in_quad(lane), index};
  return {(lane & 1) + (index & 2) + (lane < 16 ? 0u : 4u), (index & 4) + (lane & 2) + (index & 1)};
}

inline u32 bits_of_element(u32 format) {
  switch (format) {
    case kMatF16:
    case kMatBF16:
      return 16;
    case kMatS8:
    case kMatU8:
    case kMatE4M3:
    case kMatE5M2:
      return 8;
    case kMatS4:
    case kMatU4:
      return 4;
    case kMatB1:
      return 1;
    case kMatF64:
      return 64;
    default:
      return 32;
  }
}

}  // namespace TESSERA_ISA
}  // namespace tessera::softgpu::exec

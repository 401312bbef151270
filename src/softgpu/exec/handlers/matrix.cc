// mma and wmma.mma: fragments become plain matrices, which are multiplied and handed back.
//
// Sums are made in f32 for f16, bf16, tf32 and 8-bit floats, element after element; the hardware's order and
// extra bits are not specified. f64 is a chain of fma, integers wrap or saturate at the end.
#include "softgpu/exec/handlers/floats.h"
#include "softgpu/exec/handlers/fragments.h"
#include "softgpu/exec/handlers/tables.h"

namespace tessera::softgpu::exec {
namespace TESSERA_ISA {
namespace {

constexpr u32 kMaxRows = 32, kMaxColumns = 32, kMaxDepth = 256;
// m16n8k256 of bits; every other shape is smaller.
constexpr u32 kMaxA = 16 * kMaxDepth, kMaxB = 8 * kMaxDepth;

struct Shape {
  u32 m, n, k;
  u32 a, b, c, d;  // formats
  u32 flags;
  u32 a_registers, b_registers, c_registers;
  bool warp() const { return (flags & kMatrixWarp) != 0; }
};

u32 format_at(u32 aux, u32 index) { return (aux >> (index * kMatrixFormatBits)) & 15; }

f32 e4m3_to_float(u32 bits) {
  const u32 magnitude = bits & 0x7f;
  if (magnitude == 0x7f) return bits_as<f32>(kNan32);
  // Exponent and mantissa where f16 has them, one mantissa bit short of it; the biases differ by 8.
  const f32 scaled = half_to_float(static_cast<u16>(magnitude << 7)) * 256.0f;
  return (bits & 0x80) != 0 ? -scaled : scaled;
}

// Element `index` of a register's word.
template <class T>
T element(u32 format, u32 word, u32 index);
template <>
f32 element(u32 format, u32 word, u32 index) {
  switch (format) {
    case kMatF16:
      return half_to_float(static_cast<u16>(word >> (16 * index)));
    case kMatBF16:
      return bfloat_to_float(static_cast<u16>(word >> (16 * index)));
    case kMatTF32:
      return bits_as<f32>(word & 0xffffe000u);
    case kMatE4M3:
      return e4m3_to_float(word >> (8 * index) & 0xff);
    case kMatE5M2:
      return half_to_float(static_cast<u16>(word >> (8 * index) << 8));
    default:
      return bits_as<f32>(word);
  }
}
template <>
u32 element(u32 format, u32 word, u32 index) {
  switch (format) {
    case kMatS8:
      return static_cast<u32>(static_cast<s32>(static_cast<s8>(word >> (8 * index))));
    case kMatU8:
      return word >> (8 * index) & 0xff;
    case kMatS4:
      return static_cast<u32>(static_cast<s32>(word << (28 - 4 * index)) >> 28);
    case kMatU4:
      return word >> (4 * index) & 15;
    case kMatB1:
      return word >> index & 1;
    default:
      return word;
  }
}

template <class T>
T read(const u32* rows, u32 format, u32 reg, u32 index, u32 lane) {
  return element<T>(format, rows[reg * kWarpSize + lane], index);
}
template <>
f64 read(const u32* rows, u32, u32 reg, u32, u32 lane) {
  const u64 low = rows[2 * reg * kWarpSize + lane];
  const u64 high = rows[(2 * reg + 1) * kWarpSize + lane];
  return bits_as<f64>(low | high << 32);
}

void write(u32* rows, u32 format, u32 index, u32 lane, f32 value) {
  if (format == kMatF32) {
    rows[index * kWarpSize + lane] = bits_as<u32>(value);
    return;
  }
  u16* halves = reinterpret_cast<u16*>(rows + index / 2 * kWarpSize + lane);
  halves[index % 2] = float_to_half(value);
}
void write(u32* rows, u32, u32 index, u32 lane, u32 value) { rows[index * kWarpSize + lane] = value; }
void write(u32* rows, u32, u32 index, u32 lane, f64 value) {
  const u64 bits = bits_as<u64>(value);
  rows[2 * index * kWarpSize + lane] = static_cast<u32>(bits);
  rows[(2 * index + 1) * kWarpSize + lane] = static_cast<u32>(bits >> 32);
}

inline u32 per_register(u32 format) {
  const u32 bits = bits_of_element(format);
  return bits >= 32 ? 1 : 32 / bits;
}

// The matrices of one product; a and b row by row.
template <class T>
struct Matrices {
  alignas(64) T a[kMaxA];
  alignas(64) T b[kMaxB];
  alignas(64) T c[kMaxRows * kMaxColumns];
};

enum Role : u32 { kRoleA, kRoleB, kRoleC };
Place place_of(const Shape& s, Role role, u32 lane, u32 index) {
  const u32 format = role == kRoleA ? s.a : role == kRoleB ? s.b : s.c;
  const u32 each = per_register(format);
  if (s.warp()) {
    const u32 registers = role == kRoleA ? s.a_registers : role == kRoleB ? s.b_registers : s.c_registers;
    const u32 rows = role == kRoleB ? s.k : s.m;
    const u32 by_columns = role == kRoleA   ? s.flags & kMatrixColumnA
                           : role == kRoleB ? s.flags & kMatrixColumnB
                                            : 0;
    return place_warp(lane, index, registers * each, rows, role == kRoleA ? s.k : s.n, by_columns != 0);
  }
  if ((s.flags & kMatrixQuads) != 0) {
    if (role == kRoleA) return place_quad_a(lane, index, (s.flags & kMatrixColumnA) != 0);
    if (role == kRoleB) return place_quad_b(lane, index, (s.flags & kMatrixColumnB) != 0);
    return place_quad_c(lane, index, format == kMatF32);
  }
  if (role == kRoleA) return place_a(lane, index / each, index % each, each, s.m);
  if (role == kRoleB) return place_b(lane, index / each, index % each, each);
  return place_c(lane, index);
}

template <class T>
void gather(const Shape& s, Role role, const u32* rows, T* matrix, uint32_t lanes) {
  const u32 format = role == kRoleA ? s.a : role == kRoleB ? s.b : s.c;
  const u32 registers = role == kRoleA ? s.a_registers : role == kRoleB ? s.b_registers : s.c_registers;
  const u32 each = per_register(format);
  const u32 columns = role == kRoleA ? s.k : s.n;
  const u32 elements = (role == kRoleB ? s.k : s.m) * columns;
  // A fragment with room for more than the matrix has it several times.
  const u32 enough = elements / (registers * each);
  if (s.warp() && enough < kWarpSize) lanes &= (1u << enough) - 1;
  for (u32 index = 0; index < registers * each; ++index) {
    TESSERA_ACTIVE(lanes) {
      const Place at = place_of(s, role, i, index);
      matrix[at.row * columns + at.column] = read<T>(rows, format, index / each, index % each, i);
    }
  }
}

inline f32 step(f32 sum, f32 a, f32 b, bool) { return sum + a * b; }
inline f64 step(f64 sum, f64 a, f64 b, bool) { return __builtin_fma(a, b, sum); }
inline u32 step(u32 sum, u32 a, u32 b, bool exclusive) { return sum + (exclusive ? a ^ b : a * b); }

// Columns eight at a time: all shapes have a multiple of that.
template <class T>
void multiply(const Shape& s, Matrices<T>& x) {
  const bool exclusive = (s.flags & kMatrixXor) != 0;
  for (u32 row = 0; row < s.m; ++row) {
    for (u32 first = 0; first < s.n; first += 8) {
      T sum[8];
      T* c = x.c + row * s.n + first;
      for (u32 j = 0; j < 8; ++j) sum[j] = c[j];
      for (u32 k = 0; k < s.k; ++k) {
        const T a = x.a[row * s.k + k];
        const T* b = x.b + k * s.n + first;
        for (u32 j = 0; j < 8; ++j) sum[j] = step(sum[j], a, b[j], exclusive);
      }
      for (u32 j = 0; j < 8; ++j) c[j] = sum[j];
    }
  }
}
// .satfinite: products of at most 8 bits cannot leave 64.
void multiply_saturated(const Shape& s, Matrices<u32>& x) {
  for (u32 row = 0; row < s.m; ++row) {
    for (u32 column = 0; column < s.n; ++column) {
      u32& c = x.c[row * s.n + column];
      s64 sum = static_cast<s32>(c);
      for (u32 k = 0; k < s.k; ++k)
        sum += s64{static_cast<s32>(x.a[row * s.k + k])} * static_cast<s32>(x.b[k * s.n + column]);
      c = static_cast<u32>(sum > INT32_MAX ? INT32_MAX : sum < INT32_MIN ? INT32_MIN : sum);
    }
  }
}
void run(const Shape& s, Matrices<u32>& x) {
  if ((s.flags & kMatrixSaturate) != 0) {
    multiply_saturated(s, x);
  } else {
    multiply(s, x);
  }
}
template <class T>
void run(const Shape& s, Matrices<T>& x) {
  multiply(s, x);
}

// o: d, a, b, c, each a region. The low byte of imm: registers of a, then of b, then of c.
template <class T>
const Op* multiply_matrices(Warp&, const Op* op, std::byte* frame, uint32_t mask) {
  const u32 registers = static_cast<u32>(op->imm);
  const Shape s = {op->aux2 & 0xff,       op->aux2 >> 8 & 0xff,  op->aux2 >> 16,        format_at(op->aux, 0),
                   format_at(op->aux, 1), format_at(op->aux, 2), format_at(op->aux, 3), op->aux,
                   registers & 0xff,      registers >> 8 & 0xff, registers >> 16 & 0xff};
  u32* const d = slot<u32>(frame, op->o[0]);
  const u32* const a = slot<u32>(frame, op->o[1]);
  const u32* const b = slot<u32>(frame, op->o[2]);
  const u32* const c = slot<u32>(frame, op->o[3]);
  const bool quads = (s.flags & kMatrixQuads) != 0;
  Shape out = s;
  out.c = s.d;
  const u32 c_elements = s.c_registers * per_register(s.c);
  out.c_registers = c_elements / per_register(s.d);
  for (u32 quad = 0; quad < (quads ? 4u : 1u); ++quad) {
    const uint32_t lanes = quads ? 0x000f000fu << (4 * quad) : kAllLanes;
    Matrices<T> x;
    gather(s, kRoleA, a, x.a, lanes);
    gather(s, kRoleB, b, x.b, lanes);
    gather(s, kRoleC, c, x.c, lanes);
    run(s, x);
    for (u32 index = 0; index < c_elements; ++index) {
      TESSERA_ACTIVE(mask & lanes) {
        const Place at = place_of(out, kRoleC, i, index);
        write(d, s.d, index, i, x.c[at.row * s.n + at.column]);
      }
    }
  }
  return op + 1;
}

}  // namespace

const Entry kMatrixEntries[] = {
    {"matrix.multiply.f32", "!Mmmm", &multiply_matrices<f32>},
    {"matrix.multiply.s32", "!Mmmm", &multiply_matrices<u32>},
    {"matrix.multiply.f64", "!Mmmm", &multiply_matrices<f64>},
};
const size_t kMatrixCount = sizeof(kMatrixEntries) / sizeof(Entry);

}  // namespace TESSERA_ISA
}  // namespace tessera::softgpu::exec

// The video instructions: vadd and its kin on 32-bit values, and on two or four parts of a word. Rare; lane
// by lane, with flags.
#include "softgpu/exec/flags.h"
#include "softgpu/exec/handlers/lanes.h"
#include "softgpu/exec/handlers/tables.h"

namespace tessera::softgpu::exec {
namespace TESSERA_ISA {
namespace {

// Part `index` of a word split into `parts`, as a number.
s64 part_of(u32 word, u32 index, u32 parts, bool is_signed) {
  const u32 bits = 32 / parts;
  const u64 shifted = u64{word >> (index * bits)} << (64 - bits);
  return is_signed ? static_cast<s64>(shifted) >> (64 - bits) : static_cast<s64>(shifted >> (64 - bits));
}

bool holds(u32 comparison, s64 a, s64 b) {
  switch (comparison) {
    case kEq:
      return a == b;
    case kNe:
      return a != b;
    case kLt:
      return a < b;
    case kLe:
      return a <= b;
    case kGt:
      return a > b;
    default:
      return a >= b;
  }
}

s64 combine(u32 flags, s64 a, s64 b, s64 c) {
  const bool clamped = (flags & kVideoClamp) != 0;
  const s64 amount = clamped ? (b < 0 || b > 32 ? 32 : b) : b & 31;
  switch (flags & kVideoOperationMask) {
    case kVideoAdd:
      return a + b;
    case kVideoSub:
      return a - b;
    case kVideoAbsdiff:
      return a < b ? b - a : a - b;
    case kVideoMin:
      return a < b ? a : b;
    case kVideoMax:
      return a > b ? a : b;
    case kVideoAverage:
      return (a + b + (a + b < 0 ? 0 : 1)) >> 1;  // halves away from zero
    case kVideoSet:
      return holds((flags >> kVideoCompareShift) & 15, a, b) ? 1 : 0;
    case kVideoShl:
      return static_cast<s64>(static_cast<u64>(a) << amount);
    case kVideoShr:
      return a >> amount;
    default:
      return (a * b + c) >> ((flags >> kVideoScaleShift) & 15);
  }
}

s64 saturated(s64 value, u32 bits, bool is_signed) {
  const s64 low = is_signed ? -(s64{1} << (bits - 1)) : 0;
  const s64 high = is_signed ? (s64{1} << (bits - 1)) - 1 : (s64{1} << bits) - 1;
  return value < low ? low : value > high ? high : value;
}

u32 second(u32 flags, s64 value, u32 c, bool is_signed) {
  const s64 other = is_signed ? s64{static_cast<s32>(c)} : s64{c};
  switch (flags & kVideoSecondMask) {
    case kVideoThenAdd:
      return static_cast<u32>(value) + c;
    case kVideoThenMin:
      return static_cast<u32>(value < other ? value : other);
    case kVideoThenMax:
      return static_cast<u32>(value > other ? value : other);
    default:
      return static_cast<u32>(value);
  }
}

const Op* video(Warp&, const Op* op, std::byte* frame, uint32_t mask) {
  u32* d = slot<u32>(frame, op->o[0]);
  const u32* a = slot<u32>(frame, op->o[1]);
  const u32* b = slot<u32>(frame, op->o[2]);
  const u32* c = slot<u32>(frame, op->o[3]);
  const u32 flags = op->aux;
  const u32 parts = op->aux2;
  const u32 bits = 32 / parts;
  const bool d_signed = (flags & kVideoSignedD) != 0;
  TESSERA_ACTIVE(mask) {
    u32 word = 0;
    u32 sum = c[i];
    for (u32 k = 0; k < parts; ++k) {
      const s64 x = part_of(a[i], k, parts, (flags & kVideoSignedA) != 0);
      const s64 y = part_of(b[i], k, parts, (flags & kVideoSignedB) != 0);
      s64 value = combine(flags, x, y, d_signed ? s64{static_cast<s32>(c[i])} : s64{c[i]});
      if ((flags & kSaturate) != 0) value = saturated(value, bits, d_signed);
      const u64 field = (u64{1} << bits) - 1;
      sum += static_cast<u32>(value);
      word |= static_cast<u32>(static_cast<u64>(value) & field) << (k * bits);
    }
    if (parts > 1) {
      d[i] = (flags & kVideoSecondMask) == kVideoThenAdd ? sum : word;
    } else {
      d[i] = second(flags, d_signed ? s64{static_cast<s32>(word)} : s64{word}, c[i], d_signed);
    }
  }
  return op + 1;
}

}  // namespace

// Flags in Op::aux, parts of the word in Op::aux2.
const Entry kVideoEntries[] = {{"video", "Wwww", &video}};
const size_t kVideoCount = sizeof(kVideoEntries) / sizeof(Entry);

}  // namespace TESSERA_ISA
}  // namespace tessera::softgpu::exec

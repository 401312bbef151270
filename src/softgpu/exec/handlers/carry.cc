// Extended-precision arithmetic: the .cc forms write the carry flag, the c forms read it. The flag is a lane
// mask.
#include "softgpu/exec/handlers/lanes.h"
#include "softgpu/exec/handlers/tables.h"

namespace tessera::softgpu::exec {
namespace TESSERA_ISA {
namespace {

template <class T>
struct Sum {
  T value;
  bool carry;
};

template <class T>
Sum<T> add(T a, T b, bool carry) {
  const T partial = static_cast<T>(a + b);
  const T value = static_cast<T>(partial + (carry ? 1 : 0));
  return {value, partial < a || value < partial};
}
template <class T>
Sum<T> subtract(T a, T b, bool borrow) {
  const T partial = static_cast<T>(a - b);
  return {static_cast<T>(partial - (borrow ? 1 : 0)), a < b || (borrow && partial == 0)};
}

// Operands in the order of the signature: d, [carry out], a, b, [carry in].
template <class T, Sum<T> (*F)(T, T, bool), bool Out, bool In>
const Op* with_carry(Warp&, const Op* op, std::byte* frame, uint32_t mask) {
  constexpr u32 first = Out ? 2 : 1;
  T* d = slot<T>(frame, op->o[0]);
  const T* a = slot<T>(frame, op->o[first]);
  const T* b = slot<T>(frame, op->o[first + 1]);
  const uint32_t in = In ? predicate(frame, op->o[first + 2]) : 0;
  uint32_t out = 0;
  TESSERA_ACTIVE(mask) {
    const Sum<T> sum = F(a[i], b[i], lane_on(in, i));
    d[i] = sum.value;
    if (sum.carry) out |= 1u << i;
  }
  if (Out) write_predicate(frame, op->o[1], mask, out);
  return op + 1;
}

// W is the product's type, signed where the operands are; High takes its upper half.
template <class T, class S, class W, bool High, bool Out, bool In>
const Op* mad_carry(Warp&, const Op* op, std::byte* frame, uint32_t mask) {
  constexpr u32 first = Out ? 2 : 1;
  T* d = slot<T>(frame, op->o[0]);
  const S* a = slot<S>(frame, op->o[first]);
  const S* b = slot<S>(frame, op->o[first + 1]);
  const T* c = slot<T>(frame, op->o[first + 2]);
  const uint32_t in = In ? predicate(frame, op->o[first + 3]) : 0;
  uint32_t out = 0;
  TESSERA_ACTIVE(mask) {
    const W product = static_cast<W>(a[i]) * static_cast<W>(b[i]);
    const T part = static_cast<T>(High ? product >> (sizeof(T) * 8) : product);
    const Sum<T> sum = add<T>(part, c[i], lane_on(in, i));
    d[i] = sum.value;
    if (sum.carry) out |= 1u << i;
  }
  if (Out) write_predicate(frame, op->o[1], mask, out);
  return op + 1;
}

}  // namespace

#define TESSERA_CARRY_FORMS(name, function, type, width, D, s)                            \
  {name ".cc." width, "!" D "C" s s, &with_carry<type, function<type>, true, false>},     \
      {name "c." width, "!" D s s "c", &with_carry<type, function<type>, false, true>}, { \
    name "c.cc." width, "!" D "C" s s "c", &with_carry<type, function<type>, true, true>  \
  }
#define TESSERA_MAD_CARRY(part, suffix, T, S, W, high, D, s)                                \
  {"mad." part ".cc." suffix, "!" D "C" s s s, &mad_carry<T, S, W, high, true, false>},     \
      {"madc." part "." suffix, "!" D s s s "c", &mad_carry<T, S, W, high, false, true>}, { \
    "madc." part ".cc." suffix, "!" D "C" s s s "c", &mad_carry<T, S, W, high, true, true>  \
  }

const Entry kCarryEntries[] = {
    TESSERA_CARRY_FORMS("add", add, u32, "b32", "W", "w"),
    TESSERA_CARRY_FORMS("add", add, u64, "b64", "Q", "q"),
    TESSERA_CARRY_FORMS("sub", subtract, u32, "b32", "W", "w"),
    TESSERA_CARRY_FORMS("sub", subtract, u64, "b64", "Q", "q"),
    TESSERA_MAD_CARRY("lo", "b32", u32, u32, u64, false, "W", "w"),
    TESSERA_MAD_CARRY("hi", "u32", u32, u32, u64, true, "W", "w"),
    TESSERA_MAD_CARRY("hi", "s32", u32, s32, s64, true, "W", "w"),
    TESSERA_MAD_CARRY("lo", "b64", u64, u64, u128, false, "Q", "q"),
    TESSERA_MAD_CARRY("hi", "u64", u64, u64, u128, true, "Q", "q"),
    TESSERA_MAD_CARRY("hi", "s64", u64, s64, s128, true, "Q", "q"),
};
const size_t kCarryCount = sizeof(kCarryEntries) / sizeof(Entry);

}  // namespace TESSERA_ISA
}  // namespace tessera::softgpu::exec

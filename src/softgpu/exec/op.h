// One decoded instruction, as the interpreter's loop sees it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tessera::softgpu::exec {

struct Op;
struct Warp;

// Executes one instruction for the lanes of `mask` (never empty) and returns the next op, or kLeave where the
// warp's groups changed and Warp::event says why. `frame` is the register frame of the running function.
using Handler = const Op* (*)(Warp&, const Op*, std::byte* frame, uint32_t mask);

constexpr int kMaxOperands = 6;

struct alignas(64) Op {
  Handler run = nullptr;
  Handler inner = nullptr;  // what a guarded op runs for the lanes whose guard holds
  uint32_t o[kMaxOperands] =
      {};              // byte offsets of operand slots in the frame, in the order of the entry's signature
  uint32_t guard = 0;  // byte offset of the guard predicate
  uint32_t line = 0;   // in the PTX text
  int64_t imm = 0;     // immediate, address offset, branch distance in ops or index into a side table
  uint32_t aux = 0;    // flags of the instruction; meaning is the handler family's
  uint32_t aux2 = 0;
};
static_assert(sizeof(Op) == 64, "one op is one cache line");

// Greater than any op's address, so that the interpreter's `op < limit` ends the loop.
inline const Op* const kLeave = reinterpret_cast<const Op*>(~uintptr_t{0} & ~uintptr_t{63});

constexpr uint32_t kAllLanes = ~uint32_t{0};
constexpr uint32_t kWarpSize = 32;

// An instruction the handlers can run. Names are PTX's own, "add.s32"; "b32" stands for every 32-bit integer
// type.
//
// The signature has one letter per operand: h 16 bits, w 32, q 64, o 128, p predicate, f and d the same as w
// and q for f32 and f64 (their literals differ), upper case where it is written. "i" is an integer literal
// that goes to Op::imm. "c"/"C" is the carry flag, which no PTX operand names. A leading '!' means that
// results may be written before all operands are read, so that they must not share slots.
struct Entry {
  const char* name;
  const char* signature;
  Handler handler;
};
struct EntryTable {
  const Entry* entries;
  size_t count;
};

}  // namespace tessera::softgpu::exec

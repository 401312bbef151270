// Constant expressions: literals and the C operators over them. Reference: PTX ISA, "Constants".
#pragma once

#include <cstdint>

#include "softgpu/ptx/cursor.h"

namespace tessera::softgpu::ptx {

struct Constant {
  enum class Kind : uint8_t { kSigned, kUnsigned, kF32, kF64 };
  Kind kind = Kind::kSigned;
  uint64_t bits = 0;

  bool is_float() const { return kind == Kind::kF32 || kind == Kind::kF64; }
  double as_double() const;
};

// Whether the current token can begin a constant expression.
bool at_constant(const Cursor& cursor);
bool parse_constant(Cursor& cursor, Constant* value);
// What follows a base in "base+8-4": stops at anything but + and -; no sign at all is 0.
bool parse_offset(Cursor& cursor, int64_t* offset);
// A constant that must be an integer of at most `limit`.
bool parse_count(Cursor& cursor, uint64_t limit, const char* what, uint64_t* value);
// The same between < and >, where > ends it instead of comparing.
bool parse_range_count(Cursor& cursor, uint64_t limit, const char* what, uint64_t* value);

}  // namespace tessera::softgpu::ptx

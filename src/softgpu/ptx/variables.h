// Declarations: what stands before the names, the names with their bounds, and initial values.
#pragma once

#include <string_view>
#include <vector>

#include "softgpu/ptx/ast.h"
#include "softgpu/ptx/cursor.h"

namespace tessera::softgpu::ptx {

// Bounds on hostile input.
constexpr uint64_t kMaxVariableBytes = uint64_t{1} << 40;
constexpr size_t kMaxDimensions = 16;

// ".visible .global .align 8 .v2 .f32" – what all names of one declaration share.
struct Qualifiers {
  Linkage linkage = Linkage::kLocal;
  Space space = Space::kGeneric;  // kGeneric: none was written
  Type type = Type::kNone;
  uint32_t lanes = 1;
  uint32_t align = 0;  // 0: the natural one
  bool managed = false;
};

// Reads directives as long as they qualify a variable. The caller sets `linkage` and `space` if it has read
// them already.
bool parse_qualifiers(Cursor& cursor, Qualifiers* qualifiers);
// ".attribute(.managed, .unified(…))", at its directive.
bool parse_attribute(Cursor& cursor, bool* managed);

// "name[2][3]" and, where `with_initialiser`, "= {…}".
bool parse_declarator(Cursor& cursor, const Qualifiers& qualifiers, bool with_initialiser,
                      Variable* variable);
// "( .param .b32 a, .param .align 8 .b8 b[16] )", at its parenthesis.
bool parse_parameters(Cursor& cursor, std::vector<Variable>* parameters);

// "{ {1, 2}, {sym+4} }" or "5" into variable->initial. `dimensions` are the array bounds, outermost first; an
// outermost bound of 0 is found from the values and stored back.
bool parse_initialiser(Cursor& cursor, uint32_t lanes, std::vector<uint64_t>* dimensions, Variable* variable);

}  // namespace tessera::softgpu::ptx

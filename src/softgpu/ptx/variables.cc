#include "softgpu/ptx/variables.h"

#include <bit>

#include "softgpu/ptx/constant.h"
#include "softgpu/ptx/names.h"

namespace tessera::softgpu::ptx {
namespace {

constexpr uint64_t kMaxAlign = 1u << 16;
constexpr uint64_t kMaxConstantBank = 10;

bool parse_align(Cursor& cursor, uint32_t* align) {
  cursor.next();
  const uint32_t line = cursor.line();
  uint64_t value = 0;
  if (!parse_count(cursor, kMaxAlign, "an alignment", &value)) return false;
  if (!std::has_single_bit(value)) return cursor.fail_at(line, "an alignment must be a power of two");
  *align = static_cast<uint32_t>(value);
  return true;
}

// ".ptr .global .align 16": where a pointer parameter points. A promise to optimisers, which means nothing
// here.
bool skip_pointer_attributes(Cursor& cursor) {
  cursor.next();
  if (cursor.at_directive() && space_of_directive(cursor.token().text) != Space::kGeneric) cursor.next();
  uint32_t align = 0;
  return !cursor.at_directive(".align") || parse_align(cursor, &align);
}

bool parse_space(Cursor& cursor, Space space, Qualifiers* qualifiers) {
  if (qualifiers->space != Space::kGeneric) return cursor.fail("two state spaces");
  qualifiers->space = space;
  cursor.next();
  uint64_t bank = 0;  // .const[2]: the banks of the first devices are one today
  if (space != Space::kConst || !cursor.accept('[')) return true;
  return parse_count(cursor, kMaxConstantBank, "a constant bank", &bank) && cursor.expect(']');
}

bool parse_dimensions(Cursor& cursor, std::vector<uint64_t>* dimensions) {
  while (cursor.accept('[')) {
    if (dimensions->size() == kMaxDimensions) return cursor.fail("more than %zu dimensions", kMaxDimensions);
    uint64_t bound = 0;
    if (!cursor.at(']')) {
      const uint32_t line = cursor.line();
      if (!parse_count(cursor, kMaxVariableBytes, "an array bound", &bound)) return false;
      if (bound == 0) return cursor.fail_at(line, "an array bound of 0");
    } else if (!dimensions->empty()) {
      return cursor.fail("only the first array bound may be left out");
    }
    dimensions->push_back(bound);
    if (!cursor.expect(']')) return false;
  }
  return true;
}

}  // namespace

bool parse_attribute(Cursor& cursor, bool* managed) {
  cursor.next();
  if (!cursor.expect('(')) return false;
  do {
    if (cursor.at_directive(".managed")) {
      *managed = true;
      cursor.next();
    } else if (cursor.at_directive(".unified")) {  // an identity for tools
      cursor.next();
      Constant ignored;
      if (!cursor.accept('(')) continue;
      do {
        if (!parse_constant(cursor, &ignored)) return false;
      } while (cursor.accept(','));
      if (!cursor.expect(')')) return false;
    } else {
      return cursor.fail("unknown attribute");
    }
  } while (cursor.accept(','));
  return cursor.expect(')');
}

bool parse_qualifiers(Cursor& cursor, Qualifiers* qualifiers) {
  while (cursor.at_directive()) {
    const std::string_view text = cursor.token().text;
    if (const Type type = type_of_directive(text); type != Type::kNone) {
      if (qualifiers->type != Type::kNone) return cursor.fail("two types");
      qualifiers->type = type;
      cursor.next();
    } else if (const Space space = space_of_directive(text); space != Space::kGeneric) {
      if (!parse_space(cursor, space, qualifiers)) return false;
    } else if (text == ".align") {
      if (!parse_align(cursor, &qualifiers->align)) return false;
    } else if (text == ".v2" || text == ".v4") {
      qualifiers->lanes = text == ".v2" ? 2 : 4;
      cursor.next();
    } else if (text == ".ptr") {
      if (!skip_pointer_attributes(cursor)) return false;
    } else if (text == ".attribute") {
      if (!parse_attribute(cursor, &qualifiers->managed)) return false;
    } else if (text == ".samplerref" || text == ".tex") {
      return cursor.fail_unsupported("%s is not supported; .global .texref is", shown(text).c_str());
    } else {
      return cursor.fail("unknown qualifier in a declaration");
    }
  }
  if (qualifiers->type == Type::kNone) return cursor.fail("expected a type");
  if (qualifiers->type == Type::kPred && qualifiers->space != Space::kReg)
    return cursor.fail("only registers can be predicates");
  if (is_reference(qualifiers->type) && qualifiers->space != Space::kGlobal)
    return cursor.fail_unsupported("references to textures and surfaces that are not .global variables");
  return true;
}

bool parse_declarator(Cursor& cursor, const Qualifiers& qualifiers, bool with_initialiser,
                      Variable* variable) {
  const uint32_t line = cursor.line();
  std::string_view name;
  if (!cursor.expect_word(&name, "the name of a variable")) return false;
  const uint64_t element = uint64_t{size_of(qualifiers.type)} * qualifiers.lanes;
  variable->name = name;
  variable->space = qualifiers.space;
  variable->type = qualifiers.type;
  variable->align =
      qualifiers.align != 0 ? qualifiers.align : static_cast<uint32_t>(element != 0 ? element : 1);
  variable->linkage = qualifiers.linkage;
  variable->managed = qualifiers.managed;

  std::vector<uint64_t> dimensions;
  if (!parse_dimensions(cursor, &dimensions)) return false;
  uint64_t inner = element;  // bytes of one element of the outermost dimension
  for (size_t i = 1; i < dimensions.size(); ++i)
    if (__builtin_mul_overflow(inner, dimensions[i], &inner)) inner = kMaxVariableBytes + 1;
  if (inner > kMaxVariableBytes) return cursor.fail_at(line, "%s is too large", shown(name).c_str());
  if (is_reference(qualifiers.type) && (!dimensions.empty() || cursor.at('=')))
    return cursor.fail_unsupported("arrays and initial values of references to textures and surfaces");
  if (with_initialiser && cursor.accept('=') &&
      !parse_initialiser(cursor, qualifiers.lanes, &dimensions, variable))
    return false;
  const uint64_t outermost = dimensions.empty() ? 1 : dimensions[0];
  if (__builtin_mul_overflow(inner, outermost, &variable->size) || variable->size > kMaxVariableBytes)
    return cursor.fail_at(line, "%s is too large", shown(name).c_str());
  return true;
}

bool parse_parameters(Cursor& cursor, std::vector<Variable>* parameters) {
  if (!cursor.expect('(')) return false;
  if (cursor.accept(')')) return true;
  do {
    Qualifiers qualifiers;
    if (!parse_qualifiers(cursor, &qualifiers)) return false;
    if (qualifiers.space != Space::kParam && qualifiers.space != Space::kReg)
      return cursor.fail("a parameter is .param or .reg");
    if (!parse_declarator(cursor, qualifiers, false, &parameters->emplace_back())) return false;
  } while (cursor.accept(','));
  return cursor.expect(')');
}

}  // namespace tessera::softgpu::ptx

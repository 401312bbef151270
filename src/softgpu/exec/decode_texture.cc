// tex.geom.v4.dtype.ctype {r, g, b, a}, [handle, {coordinates}].
#include "softgpu/exec/function_decoder.h"
#include "softgpu/exec/texture_ops.h"

namespace tessera::softgpu::exec {
namespace {

// Op::aux of a geometry; 0 for one that is not known.
uint32_t geometry_of(const std::string& name) {
  struct Geometry {
    const char* name;
    uint32_t flags;
  };
  constexpr Geometry kGeometries[] = {
      {"1d", 1}, {"2d", 2}, {"3d", 3}, {"a1d", 1 | kTextureLayered}, {"a2d", 2 | kTextureLayered}};
  for (const Geometry& geometry : kGeometries) {
    if (name == geometry.name) return geometry.flags;
  }
  return 0;
}

size_t components(const ptx::Operand& operand) {
  return operand.kind == ptx::OperandKind::kVector ? operand.elements.size() : 1;
}

}  // namespace

Status FunctionDecoder::texture(const Instruction& in) {
  const auto& modifiers = in.modifiers;
  if (modifiers.size() != 4 || modifiers[1] != "v4" || type_bits(modifiers[2]) != 32) return unsupported(in);
  uint32_t flags = geometry_of(modifiers[0]);
  if (flags == 0 || (modifiers[3] != "f32" && modifiers[3] != "s32")) return unsupported(in);
  if (modifiers[3] == "s32") flags |= kTextureInteger;
  if (in.operands.size() != 2) return unsupported(in, "only fetches without offsets and comparisons are");
  const Operand& at = in.operands[1];
  if (at.kind != ptx::OperandKind::kAddress || at.reg < 0)
    return unsupported(in, "only textures that a register names are");
  const uint32_t least = (flags & kTextureDimensions) + ((flags & kTextureLayered) != 0 ? 1 : 0);
  if (components(in.operands[0]) != 4 || at.offset != 0 || at.elements.size() != 1 ||
      components(at.elements[0]) < least)
    return malformed(in, "wrong operands");
  Operand name;
  name.kind = ptx::OperandKind::kRegister;
  name.reg = at.reg;
  TESSERA_ASSIGN_OR_RETURN(const ValueId handle, source(in, name, 'q'));
  TESSERA_ASSIGN_OR_RETURN(const ValueId coordinates, gather_fragment(in, at.elements[0], 'w'));
  TESSERA_ASSIGN_OR_RETURN(const ValueId results, new_fragment(in, in.operands[0], 'w'));
  ProtoOp& proto = builder_.emit(fetch_texture, "!Mqm", {results, handle, coordinates});
  proto.partial = false;
  proto.op.aux = flags;
  return scatter_fragment(in, in.operands[0], 'w', results);
}

}  // namespace tessera::softgpu::exec

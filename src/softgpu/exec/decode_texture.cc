// tex.geom.v4.dtype.ctype {r, g, b, a}, [handle, {coordinates}].
// suld.b.geom.vec.dtype.bounds values, [handle, {coordinates}], and sust.b with its operands the other way.
#include <optional>

#include "softgpu/exec/function_decoder.h"
#include "softgpu/exec/surface_ops.h"
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

std::optional<SurfaceBounds> bounds_of(const std::string& name) {
  if (name == "trap") return SurfaceBounds::kTrap;
  if (name == "clamp") return SurfaceBounds::kClamp;
  if (name == "zero") return SurfaceBounds::kZero;
  return std::nullopt;
}

size_t components(const ptx::Operand& operand) {
  return operand.kind == ptx::OperandKind::kVector ? operand.elements.size() : 1;
}

}  // namespace

Result<FunctionDecoder::TexturePlace> FunctionDecoder::texture_place(const Instruction& in, const Operand& at,
                                                                     uint32_t geometry) {
  if (at.kind != ptx::OperandKind::kAddress || at.reg < 0)
    return unsupported(in, "only textures and surfaces that a register names are");
  const uint32_t least = (geometry & kTextureDimensions) + ((geometry & kTextureLayered) != 0 ? 1 : 0);
  if (at.offset != 0 || at.elements.size() != 1 || components(at.elements[0]) < least)
    return malformed(in, "wrong operands");
  Operand name;
  name.kind = ptx::OperandKind::kRegister;
  name.reg = at.reg;
  TexturePlace place;
  TESSERA_ASSIGN_OR_RETURN(place.handle, source(in, name, 'q'));
  TESSERA_ASSIGN_OR_RETURN(place.coordinates, gather_fragment(in, at.elements[0], 'w'));
  return place;
}

Status FunctionDecoder::texture(const Instruction& in) {
  const auto& modifiers = in.modifiers;
  if (modifiers.size() != 4 || modifiers[1] != "v4" || type_bits(modifiers[2]) != 32) return unsupported(in);
  uint32_t flags = geometry_of(modifiers[0]);
  if (flags == 0 || (modifiers[3] != "f32" && modifiers[3] != "s32")) return unsupported(in);
  if (modifiers[3] == "s32") flags |= kTextureInteger;
  if (in.operands.size() != 2) return unsupported(in, "only fetches without offsets and comparisons are");
  if (components(in.operands[0]) != 4) return malformed(in, "wrong operands");
  TESSERA_ASSIGN_OR_RETURN(const TexturePlace at, texture_place(in, in.operands[1], flags));
  TESSERA_ASSIGN_OR_RETURN(const ValueId results, new_fragment(in, in.operands[0], 'w'));
  ProtoOp& proto = builder_.emit(fetch_texture, "!Mqm", {results, at.handle, at.coordinates});
  proto.partial = false;
  proto.op.aux = flags;
  return scatter_fragment(in, in.operands[0], 'w', results);
}

Status FunctionDecoder::surface(const Instruction& in) {
  const auto& modifiers = in.modifiers;
  const bool load = in.opcode == "suld";
  if (modifiers.size() < 4 || modifiers.size() > 5 || modifiers[0] != "b") return unsupported(in);
  const uint32_t geometry = geometry_of(modifiers[1]);
  const std::optional<SurfaceBounds> bounds = bounds_of(modifiers.back());
  const std::string& type = modifiers[modifiers.size() - 2];
  if (geometry == 0 || !bounds || type[0] != 'b' || type_bits(type) > 64) return unsupported(in);
  Instruction plain = in;  // the same registers of a load or store
  plain.modifiers.assign(modifiers.begin() + 2, modifiers.end() - 1);
  const uint32_t elements = modifiers.size() == 4  ? 1
                            : modifiers[2] == "v2" ? 2
                            : modifiers[2] == "v4" ? 4
                                                   : 0;
  const uint32_t bytes = elements * type_bits(type) / 8;
  if (bytes == 0 || bytes > 16) return unsupported(in);
  if (in.operands.size() != 2 || components(in.operands[load ? 0 : 1]) != elements)
    return malformed(in, "wrong operands");
  TESSERA_ASSIGN_OR_RETURN(const TexturePlace at, texture_place(in, in.operands[load ? 1 : 0], geometry));
  const Name data{Name::Kind::kRegion, builder_.new_region(bytes), 0, bytes};
  if (!load) TESSERA_RETURN_IF_ERROR(store_region(plain, data, type));
  ProtoOp& proto = builder_.emit(load ? load_surface : store_surface, load ? "!Mqm" : "mqm",
                                 {data.region, at.handle, at.coordinates});
  proto.partial = false;
  proto.op.aux = geometry;
  proto.op.aux2 = static_cast<uint32_t>(*bounds);
  proto.op.imm = bytes;
  return load ? load_region(plain, data, type) : Status();
}

}  // namespace tessera::softgpu::exec

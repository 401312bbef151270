// suld.b.geom.vec.dtype.bounds values, [handle, {coordinates}], and sust.b with its operands the other way.
// sust.p.geom.vec.b32.bounds and sured.{b, p}.op.geom.type.bounds [handle, {coordinates}], values.
#include <optional>

#include "softgpu/exec/function_decoder.h"
#include "softgpu/exec/surface_ops.h"
#include "softgpu/exec/texture_ops.h"

namespace tessera::softgpu::exec {
namespace {

std::optional<SurfaceBounds> bounds_of(const std::string& name) {
  if (name == "trap") return SurfaceBounds::kTrap;
  if (name == "clamp") return SurfaceBounds::kClamp;
  if (name == "zero") return SurfaceBounds::kZero;
  return std::nullopt;
}

std::optional<SurfaceReduction> reduction_of(const std::string& name) {
  if (name == "add") return SurfaceReduction::kAdd;
  if (name == "min") return SurfaceReduction::kMin;
  if (name == "max") return SurfaceReduction::kMax;
  if (name == "and") return SurfaceReduction::kAnd;
  if (name == "or") return SurfaceReduction::kOr;
  return std::nullopt;
}

uint32_t elements_of(const ptx::Operand& operand) {
  return operand.kind == ptx::OperandKind::kVector ? static_cast<uint32_t>(operand.elements.size()) : 1;
}

}  // namespace

Status FunctionDecoder::surface(const Instruction& in) {
  const auto& modifiers = in.modifiers;
  const bool load = in.opcode == "suld";
  if (modifiers.size() < 4 || modifiers.size() > 5) return unsupported(in);
  const bool formatted = modifiers[0] == "p" && !load;
  const uint32_t geometry = texture_geometry(modifiers[1]);
  const std::optional<SurfaceBounds> bounds = bounds_of(modifiers.back());
  const std::string& type = modifiers[modifiers.size() - 2];
  if ((modifiers[0] != "b" && !formatted) || (formatted && type != "b32")) return unsupported(in);
  if (geometry == 0 || (geometry & kTextureCubemap) != 0 || !bounds || type[0] != 'b' || type_bits(type) > 64)
    return unsupported(in);
  Instruction plain = in;  // the same registers of a load or store
  plain.modifiers.assign(modifiers.begin() + 2, modifiers.end() - 1);
  const uint32_t elements = modifiers.size() == 4  ? 1
                            : modifiers[2] == "v2" ? 2
                            : modifiers[2] == "v4" ? 4
                                                   : 0;
  const uint32_t bytes = elements * type_bits(type) / 8;
  if (bytes == 0 || bytes > 16) return unsupported(in);
  if (in.operands.size() != 2 || elements_of(in.operands[load ? 0 : 1]) != elements)
    return malformed(in, "wrong operands");
  TESSERA_ASSIGN_OR_RETURN(const TexturePlace at, texture_place(in, in.operands[load ? 1 : 0], geometry, {}));
  const Name data{Name::Kind::kRegion, builder_.new_region(bytes), 0, bytes};
  if (!load) TESSERA_RETURN_IF_ERROR(store_region(plain, data, type));
  const Handler handler = load ? load_surface : formatted ? store_surface_formatted : store_surface;
  ProtoOp& proto = builder_.emit(handler, load ? "!Mqm" : "mqm", {data.region, at.handle, at.coordinates});
  proto.partial = false;
  proto.op.aux = geometry | (formatted ? kSurfaceTexels | elements << kSurfaceParameterShift : 0);
  proto.op.aux2 = static_cast<uint32_t>(*bounds);
  proto.op.imm = formatted ? 0 : bytes;
  return load ? load_region(plain, data, type) : Status();
}

Status FunctionDecoder::surface_reduction(const Instruction& in) {
  const auto& modifiers = in.modifiers;
  if (modifiers.size() != 5 || (modifiers[0] != "b" && modifiers[0] != "p")) return unsupported(in);
  const std::optional<SurfaceReduction> reduction = reduction_of(modifiers[1]);
  const uint32_t geometry = texture_geometry(modifiers[2]), bits = type_bits(modifiers[3]);
  const std::optional<SurfaceBounds> bounds = bounds_of(modifiers[4]);
  const char kind = modifiers[3][0];
  if (!reduction || geometry == 0 || geometry > kTextureDimensions || !bounds || (bits != 32 && bits != 64) ||
      kind == 'f')
    return unsupported(in);
  if (in.operands.size() != 2) return malformed(in, "wrong operands");
  TESSERA_ASSIGN_OR_RETURN(const TexturePlace at, texture_place(in, in.operands[0], geometry, {}));
  const bool wide = bits == 64;
  TESSERA_ASSIGN_OR_RETURN(const ValueId number, source(in, in.operands[1], wide ? 'q' : 'w'));
  ProtoOp& proto = builder_.emit(reduce_surface, wide ? "qqm" : "wqm", {number, at.handle, at.coordinates});
  proto.op.aux = geometry | (modifiers[0] == "p" ? kSurfaceTexels : 0) | (kind == 's' ? kSurfaceSigned : 0) |
                 static_cast<uint32_t>(*reduction) << kSurfaceParameterShift;
  proto.op.aux2 = static_cast<uint32_t>(*bounds);
  proto.op.imm = bits / 8;
  return {};
}

}  // namespace tessera::softgpu::exec

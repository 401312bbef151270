// tex{.base, .level, .grad}.geom.v4.dtype.ctype {r, g, b, a}{|p}, [handle, {coordinates}]{, lod}{, dx, dy}{,
// offset}. tld4.comp.geom.v4.dtype.f32 likewise. txq and suq.
#include <algorithm>
#include <iterator>

#include "softgpu/exec/function_decoder.h"
#include "softgpu/exec/texture_ops.h"
#include "softgpu/exec/texture_query.h"
#include "softgpu/ptx/names.h"

namespace tessera::softgpu::exec {
namespace {

size_t components(const ptx::Operand& operand) {
  return operand.kind == ptx::OperandKind::kVector ? operand.elements.size() : 1;
}

// Appends the first `count` elements of a vector, or the scalar; false where there are fewer.
bool append(const ptx::Operand& operand, size_t count, std::vector<ptx::Operand>* words) {
  if (components(operand) < count) return false;
  if (operand.kind != ptx::OperandKind::kVector) {
    words->push_back(operand);
  } else {
    words->insert(words->end(), operand.elements.begin(),
                  operand.elements.begin() + static_cast<std::ptrdiff_t>(count));
  }
  return true;
}

size_t coordinates_of(uint32_t flags) {
  return (flags & kTextureCubemap) != 0 ? 3 : flags & kTextureDimensions;
}

struct QueryName {
  const char* name;
  TextureQuery query;
  bool of_textures, of_surfaces;
};
constexpr QueryName kQueries[] = {
    {"width", TextureQuery::kWidth, true, true},
    {"height", TextureQuery::kHeight, true, true},
    {"depth", TextureQuery::kDepth, true, true},
    {"array_size", TextureQuery::kArraySize, true, true},
    {"channel_data_type", TextureQuery::kChannelDataType, true, true},
    {"channel_order", TextureQuery::kChannelOrder, true, true},
    {"num_mipmap_levels", TextureQuery::kMipmapLevels, true, false},
    {"num_samples", TextureQuery::kSamples, true, false},
    {"normalized_coords", TextureQuery::kNormalizedCoordinates, true, false},
    {"force_unnormalized_coords", TextureQuery::kForceUnnormalizedCoordinates, true, false},
    {"filter_mode", TextureQuery::kFilterMode, true, false},
    {"addr_mode_0", TextureQuery::kAddressMode0, true, false},
    {"addr_mode_1", TextureQuery::kAddressMode1, true, false},
    {"addr_mode_2", TextureQuery::kAddressMode2, true, false},
    {"memory_layout", TextureQuery::kMemoryLayout, false, true},
};

}  // namespace

uint32_t FunctionDecoder::texture_geometry(const std::string& name) {
  struct Geometry {
    const char* name;
    uint32_t flags;
  };
  constexpr Geometry kGeometries[] = {{"1d", 1},
                                      {"2d", 2},
                                      {"3d", 3},
                                      {"a1d", 1 | kTextureLayered},
                                      {"a2d", 2 | kTextureLayered},
                                      {"cube", 2 | kTextureCubemap},
                                      {"acube", 2 | kTextureCubemap | kTextureLayered}};
  for (const Geometry& geometry : kGeometries) {
    if (name == geometry.name) return geometry.flags;
  }
  return 0;
}

Result<ValueId> FunctionDecoder::texture_handle(const Instruction& in, const Operand& at) {
  if (at.kind != ptx::OperandKind::kAddress || at.offset != 0) return malformed(in, "wrong operands");
  if (at.reg < 0) {
    const ptx::Variable* reference = image_.variable(at.symbol);
    if (reference == nullptr || !ptx::is_reference(reference->type))
      return malformed(in, "neither a register nor a reference names the texture or surface");
    return symbol_address(in, at.symbol, 0, Width::k64);
  }
  Operand name;
  name.kind = ptx::OperandKind::kRegister;
  name.reg = at.reg;
  name.component = at.component;
  return source(in, name, 'q');
}

Result<FunctionDecoder::TexturePlace> FunctionDecoder::texture_place(const Instruction& in, const Operand& at,
                                                                     uint32_t flags,
                                                                     const std::vector<Operand>& more) {
  TexturePlace place;
  TESSERA_ASSIGN_OR_RETURN(place.handle, texture_handle(in, at));
  const size_t layer = (flags & kTextureLayered) != 0 ? 1 : 0;
  Operand words;
  words.kind = ptx::OperandKind::kVector;
  if (at.elements.size() != 1 || !append(at.elements[0], layer + coordinates_of(flags), &words.elements))
    return malformed(in, "wrong operands");
  words.elements.insert(words.elements.end(), more.begin(), more.end());
  TESSERA_ASSIGN_OR_RETURN(place.coordinates, gather_fragment(in, words, 'w'));
  return place;
}

// What follows the coordinates, as op words and flags.
Status FunctionDecoder::texture_options(const Instruction& in, size_t next, uint32_t* flags,
                                        std::vector<Operand>* words) const {
  const auto take = [&](size_t count) {
    return next < in.operands.size() && append(in.operands[next++], count, words);
  };
  if ((*flags & kTextureLevel) != 0 && !take(1)) return malformed(in, "no level");
  if ((*flags & kTextureGradient) != 0 && !(take(coordinates_of(*flags)) && take(coordinates_of(*flags))))
    return malformed(in, "no gradients");
  if (next == in.operands.size()) return {};
  if ((*flags & kTextureCubemap) != 0) return unsupported(in, "offsets in cubemaps and depth comparisons");
  *flags |= kTextureOffset;
  if (!take(*flags & kTextureDimensions)) return malformed(in, "wrong operands");
  return next == in.operands.size() ? Status() : unsupported(in, "depth comparisons");
}

// {.v4, .f32}: how results lie in their region.
Status FunctionDecoder::fetch(const Instruction& in, const std::string& geometry, const std::string& vector,
                              const std::string& type, uint32_t flags, uint32_t component) {
  const uint32_t known = texture_geometry(geometry);
  const bool packed = vector == "v2" && type == "f16x2", half = type == "f16" || packed;
  const bool whole = type == "f32" || type == "s32" || type == "u32" || type == "b32";
  if (known == 0 || (vector != "v4" && !packed) || (!half && !whole)) return unsupported(in);
  flags |= known | (half ? kTextureHalf : 0);
  if ((flags & kTextureInteger) != 0 && (flags & kTextureCubemap) != 0) return unsupported(in);
  const size_t place = in.paired_destinations != 0 ? 2 : 1;
  if (in.operands.size() <= place) return malformed(in, "wrong operands");
  std::vector<Operand> options;
  TESSERA_RETURN_IF_ERROR(texture_options(in, place + 1, &flags, &options));
  TESSERA_ASSIGN_OR_RETURN(const TexturePlace at, texture_place(in, in.operands[place], flags, options));
  const uint32_t bytes = half ? 8 : 16;
  const Name results{Name::Kind::kRegion, builder_.new_region(bytes), 0, bytes};
  ProtoOp& proto = builder_.emit(fetch_texture, "!Mqm", {results.region, at.handle, at.coordinates});
  proto.partial = false;
  proto.op.aux = flags;
  proto.op.aux2 = component;
  if (place == 2) {  // whether the texels have memory: all have, where arrays are never sparse
    TESSERA_ASSIGN_OR_RETURN(const ValueId resident, destination(in, in.operands[1], 'p'));
    emit("mov.pred", {resident, builder_.constant(Width::kPredicate, 1)});
  }
  Instruction plain = in;  // the same registers of a load
  plain.modifiers = {vector, type};
  plain.operands = {in.operands[0], Operand()};
  return load_region(plain, results, type);
}

Status FunctionDecoder::texture(const Instruction& in) {
  std::vector<std::string> modifiers = in.modifiers;
  if (modifiers.size() < 4) return unsupported(in);
  uint32_t flags = 0;
  const std::string& way = modifiers[0];
  if (way == "base" || way == "level" || way == "grad") {
    if (way != "base") flags |= way == "level" ? kTextureLevel : kTextureGradient;
    modifiers.erase(modifiers.begin());
  }
  if (modifiers.size() != 4 || (modifiers[3] != "f32" && modifiers[3] != "s32")) return unsupported(in);
  if (modifiers[3] == "s32") flags |= kTextureInteger;
  if (modifiers[3] == "s32" && (flags & kTextureGradient) != 0) return unsupported(in);
  return fetch(in, modifiers[0], modifiers[1], modifiers[2], flags, 0);
}

Status FunctionDecoder::gather_texels(const Instruction& in) {
  const auto& modifiers = in.modifiers;
  if (modifiers.size() != 5 || modifiers[0].size() != 1 || modifiers[4] != "f32") return unsupported(in);
  const int component = ptx::component_of_directive("." + modifiers[0]);
  const uint32_t geometry = texture_geometry(modifiers[1]);
  if (component < 0 || (geometry & kTextureDimensions) != 2 || modifiers[2] != "v4") return unsupported(in);
  return fetch(in, modifiers[1], modifiers[2], modifiers[3], kTextureGather,
               static_cast<uint32_t>(component));
}

Status FunctionDecoder::query_texture_or_surface(const Instruction& in) {
  const bool texture = in.opcode == "txq";
  const bool level = texture && in.modifiers.size() == 3 && in.modifiers[0] == "level";
  if (in.modifiers.size() != (level ? 3u : 2u) || in.modifiers.back() != "b32") return unsupported(in);
  const std::string& name = in.modifiers[level ? 1 : 0];
  const auto* known = std::find_if(std::begin(kQueries), std::end(kQueries), [&](const QueryName& each) {
    return name == each.name && (texture ? each.of_textures : each.of_surfaces);
  });
  if (known == std::end(kQueries)) return unsupported(in);
  if (in.operands.size() != (level ? 3u : 2u) || !in.operands[1].elements.empty())
    return malformed(in, "wrong operands");
  TESSERA_ASSIGN_OR_RETURN(const ValueId answer, destination(in, in.operands[0], 'w'));
  TESSERA_ASSIGN_OR_RETURN(const ValueId handle, texture_handle(in, in.operands[1]));
  ValueId of_level = builder_.constant(Width::k32, 0);
  if (level) {
    TESSERA_ASSIGN_OR_RETURN(of_level, source(in, in.operands[2], 'w'));
  }
  builder_.emit(texture ? query_texture : query_surface, "!Wqw", {answer, handle, of_level}).op.aux =
      static_cast<uint32_t>(known->query);
  return {};
}

}  // namespace tessera::softgpu::exec

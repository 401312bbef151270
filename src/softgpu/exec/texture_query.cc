#include "softgpu/exec/texture_query.h"

#include <algorithm>
#include <bit>

#include "softgpu/exec/handlers/runtime.h"
#include "softgpu/exec/texture_table.h"
#include "softgpu/exec/warp.h"

namespace tessera::softgpu::exec {
namespace {

uint32_t data_type_of(const Texture& texture) {
  constexpr uint32_t kSnormInt8 = 0x10D0, kSnormInt16 = 0x10D1, kUnormInt8 = 0x10D2, kUnormInt16 = 0x10D3,
                     kSignedInt8 = 0x10D7, kSignedInt16 = 0x10D8, kSignedInt32 = 0x10D9,
                     kUnsignedInt8 = 0x10DA, kUnsignedInt16 = 0x10DB, kUnsignedInt32 = 0x10DC,
                     kHalfFloat = 0x10DD, kFloat = 0x10DE;
  const bool floats = texture.reads_floats();
  switch (texture.channel) {
    case Channel::kU8:
      return floats ? kUnormInt8 : kUnsignedInt8;
    case Channel::kU16:
      return floats ? kUnormInt16 : kUnsignedInt16;
    case Channel::kU32:
      return kUnsignedInt32;
    case Channel::kS8:
      return floats ? kSnormInt8 : kSignedInt8;
    case Channel::kS16:
      return floats ? kSnormInt16 : kSignedInt16;
    case Channel::kS32:
      return kSignedInt32;
    case Channel::kF16:
      return kHalfFloat;
    case Channel::kF32:
      break;
  }
  return kFloat;
}

uint32_t order_of(const Texture& texture) {
  constexpr uint32_t kR = 0x10B0, kRg = 0x10B2, kRgba = 0x10B5;
  return texture.channels == 1 ? kR : texture.channels == 2 ? kRg : kRgba;
}

// wrap, mirror, clamp_ogl, clamp_to_edge, clamp_to_border: from 0.
uint32_t address_mode_of(AddressMode mode) {
  constexpr uint32_t kNumbers[] = {0, 3, 1, 4};
  return kNumbers[static_cast<size_t>(mode)];
}

const Op* answer(Warp& warp, const Op* op, std::byte* frame, uint32_t mask, const TextureTable& table) {
  auto* answers = reinterpret_cast<uint32_t*>(frame + op->o[0]);
  const auto* handles = reinterpret_cast<const uint64_t*>(frame + op->o[1]);
  const auto* levels = reinterpret_cast<const int32_t*>(frame + op->o[2]);
  for (uint32_t left = mask; left != 0; left &= left - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(left));
    const auto texture = table.find(handles[lane]);
    if (texture == nullptr)
      return raise_fault(warp, op, FaultKind::kIllegalAddress, lane, handles[lane], 0,
                         "nothing has this handle");
    answers[lane] = answer_of(*texture, static_cast<TextureQuery>(op->aux), levels[lane]);
  }
  return op + 1;
}

}  // namespace

uint32_t answer_of(const Texture& texture, TextureQuery query, int32_t level) {
  const auto last = static_cast<int32_t>(texture.levels.size()) - 1;
  const auto& extent = texture.levels[static_cast<size_t>(std::clamp(level, 0, last))].extent;
  switch (query) {
    case TextureQuery::kWidth:
      return extent[0];
    case TextureQuery::kHeight:
      return extent[1];
    case TextureQuery::kDepth:
      return extent[2];
    case TextureQuery::kArraySize:
      return texture.layered ? texture.layers : 0;
    case TextureQuery::kChannelDataType:
      return data_type_of(texture);
    case TextureQuery::kChannelOrder:
      return order_of(texture);
    case TextureQuery::kMipmapLevels:
      return texture.mipmapped ? static_cast<uint32_t>(texture.levels.size()) : 0;
    case TextureQuery::kNormalizedCoordinates:
      return texture.normalized_coordinates ? 1 : 0;
    case TextureQuery::kFilterMode:
      return texture.linear_filter ? 1 : 0;
    case TextureQuery::kAddressMode0:
    case TextureQuery::kAddressMode1:
    case TextureQuery::kAddressMode2:
      return address_mode_of(texture.address_mode[static_cast<size_t>(query) -
                                                  static_cast<size_t>(TextureQuery::kAddressMode0)]);
    case TextureQuery::kSamples:
    case TextureQuery::kForceUnnormalizedCoordinates:
    case TextureQuery::kMemoryLayout:
      break;
  }
  return 0;
}

const Op* query_texture(Warp& warp, const Op* op, std::byte* frame, uint32_t mask) {
  return answer(warp, op, frame, mask, TextureTable::textures());
}

const Op* query_surface(Warp& warp, const Op* op, std::byte* frame, uint32_t mask) {
  return answer(warp, op, frame, mask, TextureTable::surfaces());
}

}  // namespace tessera::softgpu::exec

// Arrays, mipmapped arrays, textures, surfaces.
#include <iterator>

#include "tests/fuzz/driver_calls/world.h"

namespace tessera::fuzz {
namespace {

CUarray array(World& w) { return w.get<CUarray>(Kind::kArray); }
CUmipmappedArray mipmap(World& w) { return w.get<CUmipmappedArray>(Kind::kMipmap); }

CUarray_format format(World& w) {
  constexpr CUarray_format kFormats[] = {CU_AD_FORMAT_FLOAT, CU_AD_FORMAT_UNSIGNED_INT8, CU_AD_FORMAT_HALF,
                                         CU_AD_FORMAT_SIGNED_INT16, CU_AD_FORMAT_UNSIGNED_INT32};
  constexpr CUarray_format kWrong[] = {CU_AD_FORMAT_NV12, CU_AD_FORMAT_UNORM_INT8X4,
                                       static_cast<CUarray_format>(0x77)};
  return w.bytes.one_of(kFormats, kWrong);
}

unsigned channels(World& w) {
  constexpr unsigned kChannels[] = {1, 2, 4}, kWrong[] = {3, 0, ~0u};
  return w.bytes.one_of(kChannels, kWrong);
}

size_t extent(World& w) {
  constexpr size_t kExtents[] = {1, 4, 6, 16, 64, 100}, kWrong[] = {0, 1024, 16385, 1ull << 32, ~0ull};
  return w.bytes.one_of(kExtents, kWrong);
}

CUDA_ARRAY3D_DESCRIPTOR shape(World& w) {
  constexpr unsigned kFlags[] = {0, CUDA_ARRAY3D_LAYERED, CUDA_ARRAY3D_CUBEMAP,
                                 CUDA_ARRAY3D_CUBEMAP | CUDA_ARRAY3D_LAYERED};
  constexpr unsigned kWrong[] = {0xffff, CUDA_ARRAY3D_SPARSE, CUDA_ARRAY3D_TEXTURE_GATHER};
  CUDA_ARRAY3D_DESCRIPTOR made{};
  const unsigned dimensions = w.bytes.below(3);
  made.Width = extent(w);
  if (dimensions > 0) made.Height = extent(w);
  if (dimensions > 1) made.Depth = extent(w);
  made.Format = format(w);
  made.NumChannels = channels(w);
  made.Flags = w.bytes.one_of(kFlags, kWrong);
  if ((made.Flags & CUDA_ARRAY3D_CUBEMAP) != 0 && !w.bytes.rarely()) {
    made.Height = made.Width;
    made.Depth = (made.Flags & CUDA_ARRAY3D_LAYERED) != 0 ? 12 : 6;
  }
  if (made.Flags == CUDA_ARRAY3D_LAYERED && !w.bytes.rarely()) made.Depth = 3;
  if (w.bytes.coin()) made.Flags |= CUDA_ARRAY3D_SURFACE_LDST;
  return made;
}

void create_array(World& w) {
  const CUDA_ARRAY3D_DESCRIPTOR wanted = shape(w);
  CUarray made = nullptr;
  const CUDA_ARRAY_DESCRIPTOR flat{wanted.Width, wanted.Height, wanted.Format, wanted.NumChannels};
  const CUresult result =
      w.bytes.coin() ? CALL(w, cuArrayCreate_v2, &made, &flat) : CALL(w, cuArray3DCreate_v2, &made, &wanted);
  if (result == CUDA_SUCCESS) w.add(Kind::kArray, made);
}
void destroy_array(World& w) {
  const CUarray old = array(w);
  if (CALL(w, cuArrayDestroy, old) == CUDA_SUCCESS) w.gone(Kind::kArray, old);
}

unsigned levels(World& w) {
  constexpr unsigned kLevels[] = {1, 1, 2, 3}, kWrong[] = {0, 7, 20, ~0u};
  return w.bytes.one_of(kLevels, kWrong);
}

void create_mipmap(World& w) {
  const CUDA_ARRAY3D_DESCRIPTOR wanted = shape(w);
  CUmipmappedArray made = nullptr;
  if (CALL(w, cuMipmappedArrayCreate, &made, &wanted, levels(w)) == CUDA_SUCCESS) w.add(Kind::kMipmap, made);
}
void destroy_mipmap(World& w) {
  const CUmipmappedArray old = mipmap(w);
  if (CALL(w, cuMipmappedArrayDestroy, old) == CUDA_SUCCESS) w.gone(Kind::kMipmap, old);
}
void mipmap_level(World& w) {
  CUarray level = nullptr;
  if (CALL(w, cuMipmappedArrayGetLevel, &level, mipmap(w), levels(w) - 1) == CUDA_SUCCESS)
    w.add(Kind::kArray, level);
}

void ask_array(World& w) {
  CUDA_ARRAY3D_DESCRIPTOR found{};
  CUDA_ARRAY_DESCRIPTOR flat{};
  CUDA_ARRAY_MEMORY_REQUIREMENTS needed{};
  CALL(w, cuArray3DGetDescriptor_v2, &found, array(w));
  CALL(w, cuArrayGetDescriptor_v2, &flat, array(w));
  CALL(w, cuArrayGetMemoryRequirements, &needed, array(w), w.device());
}

CUDA_RESOURCE_DESC resource(World& w) {
  CUDA_RESOURCE_DESC made{};
  made.resType = static_cast<CUresourcetype>(w.bytes.rarely() ? 4 : w.bytes.below(4));
  const Span memory = w.device_span(1 << 16);
  switch (made.resType) {
    case CU_RESOURCE_TYPE_ARRAY:
      made.res.array.hArray = array(w);
      break;
    case CU_RESOURCE_TYPE_MIPMAPPED_ARRAY:
      made.res.mipmap.hMipmappedArray = mipmap(w);
      break;
    case CU_RESOURCE_TYPE_LINEAR:
      made.res.linear = {memory.begin, format(w), channels(w), memory.size};
      break;
    default:
      made.res.pitch2D = {memory.begin, format(w), channels(w), 16, 8, 512};
      if (w.bytes.rarely()) made.res.pitch2D.width = w.size(), made.res.pitch2D.pitchInBytes = w.size();
      break;
  }
  made.flags = w.bytes.rarely();
  return made;
}

void create_texture(World& w) {
  const CUDA_RESOURCE_DESC of = resource(w);
  CUDA_TEXTURE_DESC how{};
  for (CUaddress_mode& mode : how.addressMode)
    mode = static_cast<CUaddress_mode>(w.bytes.rarely() ? 4 : w.bytes.below(4));
  how.filterMode = static_cast<CUfilter_mode>(w.bytes.below(4) == 0);
  how.flags = w.bytes.coin() ? 0 : w.bytes.below(8);
  how.maxAnisotropy = w.bytes.below(17);
  CUtexObject made = 0;
  if (CALL(w, cuTexObjectCreate, &made, &of, &how, nullptr) == CUDA_SUCCESS) w.add(Kind::kTexture, made);
}
void destroy_texture(World& w) {
  CUDA_RESOURCE_DESC found{};
  CALL(w, cuTexObjectGetResourceDesc, &found, w.get<CUtexObject>(Kind::kTexture));
  const auto old = w.get<CUtexObject>(Kind::kTexture);
  if (CALL(w, cuTexObjectDestroy, old) == CUDA_SUCCESS) w.gone(Kind::kTexture, old);
}
void create_surface(World& w) {
  CUDA_RESOURCE_DESC of{};
  of.resType = CU_RESOURCE_TYPE_ARRAY;
  of.res.array.hArray = array(w);
  if (w.bytes.rarely()) of = resource(w);
  CUsurfObject made = 0;
  if (CALL(w, cuSurfObjectCreate, &made, &of) == CUDA_SUCCESS) w.add(Kind::kSurface, made);
}
void destroy_surface(World& w) {
  CUDA_RESOURCE_DESC found{};
  CALL(w, cuSurfObjectGetResourceDesc, &found, w.get<CUsurfObject>(Kind::kSurface));
  const auto old = w.get<CUsurfObject>(Kind::kSurface);
  if (CALL(w, cuSurfObjectDestroy, old) == CUDA_SUCCESS) w.gone(Kind::kSurface, old);
}

}  // namespace

std::span<const Call> array_calls() {
  static constexpr Call kCalls[] = {create_array,    create_array,   destroy_array,  create_mipmap,
                                    destroy_mipmap,  mipmap_level,   ask_array,      create_texture,
                                    destroy_texture, create_surface, destroy_surface};
  return kCalls;
}

}  // namespace tessera::fuzz

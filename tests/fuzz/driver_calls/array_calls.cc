// Arrays, mipmapped arrays, textures, surfaces.
#include <iterator>

#include "tests/fuzz/driver_calls/world.h"

namespace tessera::fuzz {
namespace {

CUarray array(World& w) { return w.get<CUarray>(Kind::kArray); }
CUmipmappedArray mipmap(World& w) { return w.get<CUmipmappedArray>(Kind::kMipmap); }

CUarray_format format(World& w) {
  constexpr CUarray_format kFormats[] = {CU_AD_FORMAT_FLOAT,          CU_AD_FORMAT_UNSIGNED_INT8,
                                         CU_AD_FORMAT_HALF,           CU_AD_FORMAT_SIGNED_INT16,
                                         CU_AD_FORMAT_UNSIGNED_INT32, CU_AD_FORMAT_NV12,
                                         CU_AD_FORMAT_UNORM_INT8X4,   static_cast<CUarray_format>(0x77)};
  return w.bytes.one_of(kFormats);
}

unsigned channels(World& w) {
  constexpr unsigned kChannels[] = {1, 2, 4, 4, 3, 0, ~0u};
  return w.bytes.one_of(kChannels);
}

CUDA_ARRAY3D_DESCRIPTOR shape(World& w) {
  constexpr size_t kExtents[] = {0, 0, 1, 4, 6, 16, 64, 100, 1024, 16385, 1ull << 32, ~0ull};
  constexpr unsigned kFlags[] = {0,
                                 0,
                                 0,
                                 CUDA_ARRAY3D_LAYERED,
                                 CUDA_ARRAY3D_SURFACE_LDST,
                                 CUDA_ARRAY3D_CUBEMAP,
                                 CUDA_ARRAY3D_CUBEMAP | CUDA_ARRAY3D_LAYERED,
                                 0xffff};
  CUDA_ARRAY3D_DESCRIPTOR made{};
  made.Width = w.bytes.one_of(kExtents);
  made.Height = w.bytes.one_of(kExtents);
  made.Depth = w.bytes.one_of(kExtents);
  made.Format = format(w);
  made.NumChannels = channels(w);
  made.Flags = w.bytes.one_of(kFlags);
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
void destroy_array(World& w) { CALL(w, cuArrayDestroy, array(w)); }

void create_mipmap(World& w) {
  const CUDA_ARRAY3D_DESCRIPTOR wanted = shape(w);
  CUmipmappedArray made = nullptr;
  if (CALL(w, cuMipmappedArrayCreate, &made, &wanted, w.bytes.byte() % 20) == CUDA_SUCCESS)
    w.add(Kind::kMipmap, made);
}
void destroy_mipmap(World& w) { CALL(w, cuMipmappedArrayDestroy, mipmap(w)); }
void mipmap_level(World& w) {
  CUarray level = nullptr;
  if (CALL(w, cuMipmappedArrayGetLevel, &level, mipmap(w), w.bytes.byte() % 20) == CUDA_SUCCESS)
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
  made.resType = static_cast<CUresourcetype>(w.bytes.below(5));
  switch (made.resType) {
    case CU_RESOURCE_TYPE_ARRAY:
      made.res.array.hArray = array(w);
      break;
    case CU_RESOURCE_TYPE_MIPMAPPED_ARRAY:
      made.res.mipmap.hMipmappedArray = mipmap(w);
      break;
    case CU_RESOURCE_TYPE_LINEAR:
      made.res.linear = {w.device_pointer(), format(w), channels(w), w.size()};
      break;
    default:
      made.res.pitch2D = {w.device_pointer(), format(w), channels(w), w.size(), w.size(), w.size()};
      break;
  }
  made.flags = w.bytes.below(16) == 0;
  return made;
}

void create_texture(World& w) {
  const CUDA_RESOURCE_DESC of = resource(w);
  CUDA_TEXTURE_DESC how{};
  for (CUaddress_mode& mode : how.addressMode) mode = static_cast<CUaddress_mode>(w.bytes.below(5));
  how.filterMode = static_cast<CUfilter_mode>(w.bytes.below(3));
  how.flags = w.bytes.below(8);
  how.maxAnisotropy = w.bytes.byte();
  CUtexObject made = 0;
  if (CALL(w, cuTexObjectCreate, &made, &of, &how, nullptr) == CUDA_SUCCESS) w.add(Kind::kTexture, made);
}
void destroy_texture(World& w) {
  CUDA_RESOURCE_DESC found{};
  CALL(w, cuTexObjectGetResourceDesc, &found, w.get<CUtexObject>(Kind::kTexture));
  CALL(w, cuTexObjectDestroy, w.get<CUtexObject>(Kind::kTexture));
}
void create_surface(World& w) {
  const CUDA_RESOURCE_DESC of = resource(w);
  CUsurfObject made = 0;
  if (CALL(w, cuSurfObjectCreate, &made, &of) == CUDA_SUCCESS) w.add(Kind::kSurface, made);
}
void destroy_surface(World& w) {
  CUDA_RESOURCE_DESC found{};
  CALL(w, cuSurfObjectGetResourceDesc, &found, w.get<CUsurfObject>(Kind::kSurface));
  CALL(w, cuSurfObjectDestroy, w.get<CUsurfObject>(Kind::kSurface));
}

}  // namespace

std::span<const Call> array_calls() {
  static constexpr Call kCalls[] = {create_array,    create_array,   destroy_array,  create_mipmap,
                                    destroy_mipmap,  mipmap_level,   ask_array,      create_texture,
                                    destroy_texture, create_surface, destroy_surface};
  return kCalls;
}

}  // namespace tessera::fuzz

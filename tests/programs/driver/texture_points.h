// Kernels that evaluate one texture instruction at many points, and the arrays that they look at.
//
// A point is eight words, %c0 to %c7 in the instruction; a result is the four words %r0 to %r3.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <string>
#include <vector>

#include "driver_check.h"

namespace check {

using Point = std::array<float, 8>;
using Colour = std::array<float, 4>;

inline float as_float(int word) { return std::bit_cast<float>(word); }
inline int as_int(float word) { return std::bit_cast<int>(word); }

inline const char* ptx_header() { return ".version 8.1\n.target sm_75\n.address_size 64\n"; }

// %t is the texture or surface.
inline std::string point_kernel(const std::string& name, const std::string& body) {
  return ".visible .entry " + name + R"((.param .u64 object, .param .u64 in, .param .u64 out) {
  .reg .b64 %t, %a, %b, %q; .reg .b32 %i, %n, %c<8>, %r<4>; .reg .b16 %h<4>; .reg .pred %p;
  ld.param.u64 %t, [object]; ld.param.u64 %a, [in]; ld.param.u64 %b, [out];
  mov.u32 %i, %ctaid.x; mov.u32 %n, %tid.x; mad.lo.u32 %i, %i, 32, %n;
  mad.wide.u32 %a, %i, 32, %a; mad.wide.u32 %b, %i, 16, %b;
  ld.global.v4.b32 {%c0, %c1, %c2, %c3}, [%a]; ld.global.v4.b32 {%c4, %c5, %c6, %c7}, [%a+16];
  mov.b32 %r0, 0; mov.b32 %r1, 0; mov.b32 %r2, 0; mov.b32 %r3, 0;
)" + body +
         "\nst.global.v4.b32 [%b], {%r0, %r1, %r2, %r3};\nret;\n}\n";
}

// The kernel at all points; the last is repeated to fill a warp.
inline std::vector<Colour> evaluate(const Module& module, const char* name, CUtexObject object,
                                    const std::vector<Point>& points) {
  std::vector<Point> padded = points;
  padded.resize((points.size() + 31) / 32 * 32, points.back());
  DeviceArray<Point> in(padded);
  DeviceArray<Colour> out(padded.size());
  launch(module.function(name), {static_cast<unsigned>(padded.size() / 32)}, {32}, nullptr, object, in.get(),
         out.get());
  CU_CHECK(cuCtxSynchronize());
  auto colours = out.download();
  colours.resize(points.size());
  return colours;
}

inline void require_near(const std::vector<Colour>& found, const std::vector<float>& reds, float bound,
                         const char* what) {
  REQUIRE(found.size() == reds.size(), "%s: %zu results", what, found.size());
  for (size_t i = 0; i < found.size(); ++i)
    REQUIRE(std::abs(found[i][0] - reds[i]) <= bound, "%s: [%zu] is %g, not %g", what, i,
            static_cast<double>(found[i][0]), static_cast<double>(reds[i]));
}

inline CUDA_RESOURCE_DESC resource_of(CUarray array) {
  CUDA_RESOURCE_DESC d{};
  d.resType = CU_RESOURCE_TYPE_ARRAY;
  d.res.array.hArray = array;
  return d;
}
inline CUDA_RESOURCE_DESC resource_of(CUmipmappedArray array) {
  CUDA_RESOURCE_DESC d{};
  d.resType = CU_RESOURCE_TYPE_MIPMAPPED_ARRAY;
  d.res.mipmap.hMipmappedArray = array;
  return d;
}

// Clamped, by normalized coordinates, all levels.
inline CUDA_TEXTURE_DESC sampling(CUfilter_mode filter, CUfilter_mode levels = CU_TR_FILTER_MODE_POINT) {
  CUDA_TEXTURE_DESC d{};
  for (auto& mode : d.addressMode) mode = CU_TR_ADDRESS_MODE_CLAMP;
  d.filterMode = filter;
  d.flags = CU_TRSF_NORMALIZED_COORDINATES;
  d.mipmapFilterMode = levels;
  d.maxMipmapLevelClamp = 99;
  return d;
}

class TextureObject {
 public:
  TextureObject(const CUDA_RESOURCE_DESC& resource, const CUDA_TEXTURE_DESC& how,
                const CUDA_RESOURCE_VIEW_DESC* view = nullptr) {
    CU_CHECK(cuTexObjectCreate(&object_, &resource, &how, view));
  }
  ~TextureObject() { (void)cuTexObjectDestroy(object_); }
  TextureObject(const TextureObject&) = delete;
  TextureObject& operator=(const TextureObject&) = delete;
  CUtexObject get() const { return object_; }

 private:
  CUtexObject object_ = 0;
};

// The whole of an array from or to the host, in the direction that `to_array` says.
template <class T>
void transfer(CUarray array, std::vector<T>& texels, bool to_array) {
  CUDA_ARRAY3D_DESCRIPTOR d{};
  CU_CHECK(cuArray3DGetDescriptor_v2(&d, array));
  CUDA_MEMCPY3D copy{};
  copy.WidthInBytes = d.Width * sizeof(T);
  copy.Height = std::max<size_t>(d.Height, 1);
  copy.Depth = std::max<size_t>(d.Depth, 1);
  REQUIRE(texels.size() == d.Width * copy.Height * copy.Depth, "%zu texels", texels.size());
  (to_array ? copy.srcMemoryType : copy.dstMemoryType) = CU_MEMORYTYPE_HOST;
  (to_array ? copy.dstMemoryType : copy.srcMemoryType) = CU_MEMORYTYPE_ARRAY;
  (to_array ? copy.dstArray : copy.srcArray) = array;
  copy.srcHost = copy.dstHost = texels.data();
  (to_array ? copy.srcPitch : copy.dstPitch) = copy.WidthInBytes;
  (to_array ? copy.srcHeight : copy.dstHeight) = copy.Height;
  CU_CHECK(cuMemcpy3D_v2(&copy));
}

template <class T>
CUarray array_of(std::vector<T> texels, const CUDA_ARRAY3D_DESCRIPTOR& d) {
  CUarray array = nullptr;
  CU_CHECK(cuArray3DCreate_v2(&array, &d));
  transfer(array, texels, true);
  return array;
}

}  // namespace check

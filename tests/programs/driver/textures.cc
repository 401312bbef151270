// Texture objects: what kernels fetch from arrays, linear and pitched memory; a box filter by texture; what
// creation refuses; and the fault of a handle that names no texture.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "driver_check.h"

namespace {

constexpr unsigned kWidth = 37, kHeight = 19;

// A kernel of one thread per texel of a grid as wide as %nctaid.x * 32: %x and %y are its place.
std::string kernel(const std::string& name, const std::string& body) {
  return ".visible .entry " + name + R"((.param .u64 tex, .param .u64 out, .param .u32 width) {
  .reg .b32 %x, %y, %n, %w; .reg .b64 %t, %o, %a; .reg .f32 %f<8>, %u, %v, %s; .reg .b32 %r<8>; .reg .pred %p;
  ld.param.u64 %t, [tex]; ld.param.u64 %o, [out]; ld.param.u32 %w, [width];
  mov.u32 %x, %ctaid.x; mov.u32 %n, %tid.x; mad.lo.u32 %x, %x, 32, %n; mov.u32 %y, %ctaid.y;
  setp.ge.u32 %p, %x, %w; @%p bra END;
  cvt.rn.f32.u32 %u, %x; cvt.rn.f32.u32 %v, %y; add.f32 %u, %u, 0f3F000000; add.f32 %v, %v, 0f3F000000;
  mad.lo.u32 %n, %y, %w, %x; mul.wide.u32 %a, %n, 4; add.u64 %o, %o, %a;
)" + body +
         "\nst.global.f32 [%o], %s;\nEND: ret;\n}\n";
}

std::string source() {
  return ".version 6.4\n.target sm_70\n.address_size 64\n" +
         kernel("fetch_1d", "tex.1d.v4.f32.s32 {%s, %f1, %f2, %f3}, [%t, {%x}];") +
         kernel("sample_2d", "tex.2d.v4.f32.f32 {%s, %f1, %f2, %f3}, [%t, {%u, %v}];") +
         kernel("second_layer",
                "mov.u32 %r0, 1; mov.b32 %f0, %r0;"
                "tex.a2d.v4.f32.f32 {%s, %f1, %f2, %f3}, [%t, {%r0, %u, %v, %v}];") +
         kernel("third_slice",
                "mov.f32 %f0, 0f40200000;"
                "tex.3d.v4.f32.f32 {%s, %f1, %f2, %f3}, [%t, {%u, %v, %f0, %f0}];") +
         // Four bilinear fetches at the corners of texels: a filter of 3 by 3 with weights 1, 2 and 4.
         kernel("box", R"(
    add.f32 %f4, %u, 0fBF000000; add.f32 %f5, %v, 0fBF000000; add.f32 %f6, %u, 0f3F000000; add.f32 %f7, %v, 0f3F000000;
    tex.2d.v4.f32.f32 {%s, %f1, %f2, %f3}, [%t, {%f4, %f5}];
    tex.2d.v4.f32.f32 {%f0, %f1, %f2, %f3}, [%t, {%f6, %f5}]; add.f32 %s, %s, %f0;
    tex.2d.v4.f32.f32 {%f0, %f1, %f2, %f3}, [%t, {%f4, %f7}]; add.f32 %s, %s, %f0;
    tex.2d.v4.f32.f32 {%f0, %f1, %f2, %f3}, [%t, {%f6, %f7}]; add.f32 %s, %s, %f0;
    mul.f32 %s, %s, 0f3E800000;)");
}

CUDA_TEXTURE_DESC sampling(CUfilter_mode filter) {
  CUDA_TEXTURE_DESC d{};
  for (auto& mode : d.addressMode) mode = CU_TR_ADDRESS_MODE_CLAMP;
  d.filterMode = filter;
  return d;
}
CUDA_RESOURCE_DESC of_array(CUarray array) {
  CUDA_RESOURCE_DESC d{};
  d.resType = CU_RESOURCE_TYPE_ARRAY;
  d.res.array.hArray = array;
  return d;
}
CUDA_RESOURCE_DESC of_memory(CUdeviceptr address, size_t bytes) {
  CUDA_RESOURCE_DESC d{};
  d.resType = CU_RESOURCE_TYPE_LINEAR;
  d.res.linear = {address, CU_AD_FORMAT_FLOAT, 1, bytes};
  return d;
}

std::vector<float> run(const check::Module& module, const char* name, const CUDA_RESOURCE_DESC& resource,
                       CUfilter_mode filter, unsigned width, unsigned height) {
  CUtexObject texture = 0;
  const CUDA_TEXTURE_DESC how = sampling(filter);
  CU_CHECK(cuTexObjectCreate(&texture, &resource, &how, nullptr));
  CUDA_RESOURCE_DESC told{};
  CU_CHECK(cuTexObjectGetResourceDesc(&told, texture));
  REQUIRE(told.resType == resource.resType, "the resource has changed");
  CUDA_TEXTURE_DESC told_how{};
  CU_CHECK(cuTexObjectGetTextureDesc(&told_how, texture));
  REQUIRE(told_how.filterMode == filter, "the filter has changed");
  check::DeviceArray<float> out(size_t{width} * height);
  check::launch(module.function(name), {(width + 31) / 32, height}, {32}, nullptr, texture, out.get(), width);
  CU_CHECK(cuCtxSynchronize());
  CU_CHECK(cuTexObjectDestroy(texture));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuTexObjectDestroy(texture));
  return out.download();
}

CUarray array_of(const std::vector<float>& values, size_t depth, unsigned flags) {
  const CUDA_ARRAY3D_DESCRIPTOR d{kWidth, kHeight, depth, CU_AD_FORMAT_FLOAT, 1, flags};
  CUarray array = nullptr;
  CU_CHECK(cuArray3DCreate_v2(&array, &d));
  CUDA_MEMCPY3D copy{};
  copy.srcMemoryType = CU_MEMORYTYPE_HOST;
  copy.srcHost = values.data();
  copy.srcPitch = copy.WidthInBytes = kWidth * sizeof(float);
  copy.srcHeight = copy.Height = kHeight;
  copy.Depth = std::max<size_t>(depth, 1);
  copy.dstMemoryType = CU_MEMORYTYPE_ARRAY;
  copy.dstArray = array;
  CU_CHECK(cuMemcpy3D_v2(&copy));
  return array;
}

void image(const check::Module& module) {
  const auto values = check::random_reals<float>(kWidth * kHeight, 3, -1, 1);
  CUarray array = array_of(values, 0, 0);
  const CUDA_RESOURCE_DESC resource = of_array(array);
  const auto plain = run(module, "sample_2d", resource, CU_TR_FILTER_MODE_POINT, kWidth, kHeight);
  check::require_equal(plain, values, "a 2-D array");
  check::require_equal(run(module, "sample_2d", resource, CU_TR_FILTER_MODE_LINEAR, kWidth, kHeight), values,
                       "the centres of texels");
  const auto box = run(module, "box", resource, CU_TR_FILTER_MODE_LINEAR, kWidth, kHeight);
  const auto at = [&](int x, int y) {
    const auto column = static_cast<size_t>(std::clamp(x, 0, static_cast<int>(kWidth) - 1));
    return values[static_cast<size_t>(std::clamp(y, 0, static_cast<int>(kHeight) - 1)) * kWidth + column];
  };
  for (int y = 0; y < static_cast<int>(kHeight); ++y) {
    for (int x = 0; x < static_cast<int>(kWidth); ++x) {
      float sum = 0;
      for (int dy = -1; dy <= 1; ++dy)
        for (int dx = -1; dx <= 1; ++dx)
          sum += at(x + dx, y + dy) * static_cast<float>((2 - std::abs(dx)) * (2 - std::abs(dy))) / 16;
      const float found = box[static_cast<size_t>(y) * kWidth + static_cast<size_t>(x)];
      REQUIRE(std::abs(found - sum) < 1e-5f, "box filter at %d, %d: %g for %g", x, y, found, sum);
    }
  }
  CU_CHECK(cuArrayDestroy(array));
}

void layers_and_slices(const check::Module& module) {
  constexpr size_t kTexels = kWidth * kHeight, kDepth = 4;
  const auto values = check::random_reals<float>(kTexels * kDepth, 4, -1, 1);
  const auto part = [&](size_t i) {
    return std::vector<float>(values.begin() + static_cast<long>(i * kTexels),
                              values.begin() + static_cast<long>((i + 1) * kTexels));
  };
  CUarray layered = array_of(values, kDepth, CUDA_ARRAY3D_LAYERED), solid = array_of(values, kDepth, 0);
  check::require_equal(
      run(module, "second_layer", of_array(layered), CU_TR_FILTER_MODE_LINEAR, kWidth, kHeight), part(1),
      "the second layer");
  check::require_equal(run(module, "third_slice", of_array(solid), CU_TR_FILTER_MODE_LINEAR, kWidth, kHeight),
                       part(2), "the third slice");
  CU_CHECK(cuArrayDestroy(layered));
  CU_CHECK(cuArrayDestroy(solid));
}

void memory(const check::Module& module) {
  constexpr unsigned kCount = 100, kBeyond = 120, kPitch = 64;
  const auto values = check::random_reals<float>(kPitch * kHeight, 5, -1, 1);
  check::DeviceArray<float> linear(values);
  auto expected = std::vector<float>(values.begin(), values.begin() + kCount);
  expected.resize(kBeyond);
  check::require_equal(run(module, "fetch_1d", of_memory(linear.get(), kCount * sizeof(float)),
                           CU_TR_FILTER_MODE_POINT, kBeyond, 1),
                       expected, "linear memory and what is beyond it");
  CUDA_RESOURCE_DESC pitched{};
  pitched.resType = CU_RESOURCE_TYPE_PITCH2D;
  pitched.res.pitch2D = {linear.get(), CU_AD_FORMAT_FLOAT, 1, kWidth, kHeight, kPitch * sizeof(float)};
  std::vector<float> rows;
  for (size_t i = 0; i < kWidth * kHeight; ++i) rows.push_back(values[i / kWidth * kPitch + i % kWidth]);
  check::require_equal(run(module, "sample_2d", pitched, CU_TR_FILTER_MODE_POINT, kWidth, kHeight), rows,
                       "pitched memory");

  CUtexObject texture = 0;
  const CUDA_TEXTURE_DESC how = sampling(CU_TR_FILTER_MODE_POINT);
  const CUDA_RESOURCE_DESC unaligned = of_memory(linear.get() + 4, 64), empty = of_memory(linear.get(), 0);
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuTexObjectCreate(&texture, &unaligned, &how, nullptr));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuTexObjectCreate(&texture, &empty, &how, nullptr));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuTexObjectCreate(&texture, &pitched, nullptr, nullptr));
  pitched.res.pitch2D.pitchInBytes = kWidth * sizeof(float);
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuTexObjectCreate(&texture, &pitched, &how, nullptr));
}

// The last: the context is of no use afterwards.
void bad_handle(const check::Module& module) {
  check::DeviceArray<float> out(32);
  check::launch(module.function("fetch_1d"), {1}, {32}, nullptr, CUtexObject{0xDEADBEEF}, out.get(), 32u);
  CU_EXPECT(CUDA_ERROR_ILLEGAL_ADDRESS, cuCtxSynchronize());
}

}  // namespace

int main() {
  check::Context context;
  const check::Module module(source().c_str());
  image(module);
  layers_and_slices(module);
  memory(module);
  bad_handle(module);
  return 0;
}

// Texture and surface references, as programs from before CUDA 12 have them: variables of a module that are
// bound to arrays, mipmaps, linear and pitched memory, in the middle of launches; what they tell; what they
// refuse; and the fault of one that is bound to nothing.
#include "texture_points.h"

namespace {

constexpr unsigned kWidth = 16, kHeight = 8;

std::string source() {
  using check::point_kernel;
  return check::ptx_header() +
         std::string(
             ".visible .global .texref picture;\n.global .texref line;\n"
             ".visible .global .surfref surface;\n.global .u32 counter;\n") +
         point_kernel("look", "tex.2d.v4.f32.f32 {%r0, %r1, %r2, %r3}, [picture, {%c0, %c1}];") +
         point_kernel("look_by_address",
                      "mov.u64 %q, picture;"
                      "tex.level.2d.v4.f32.f32 {%r0, %r1, %r2, %r3}, [%q, {%c0, %c1}], %c2;") +
         point_kernel("fetch", "tex.1d.v4.f32.s32 {%r0, %r1, %r2, %r3}, [line, {%c0}];") +
         point_kernel("query",
                      "txq.width.b32 %r0, [picture]; txq.height.b32 %r1, [picture];"
                      "txq.filter_mode.b32 %r2, [picture]; suq.width.b32 %r3, [surface];") +
         point_kernel("store", "shl.b32 %r0, %c0, 2; sust.b.2d.b32.trap [surface, {%r0, %c1}], {%c2};");
}

CUtexref texture(const check::Module& module, const char* name) {
  CUtexref reference = nullptr;
  CU_CHECK(cuModuleGetTexRef(&reference, module.get(), name));
  return reference;
}

// Every texel's centre.
std::vector<check::Point> centres() {
  std::vector<check::Point> points;
  for (unsigned i = 0; i < kWidth * kHeight; ++i)
    points.push_back({static_cast<float>(i % kWidth) + 0.5f, static_cast<float>(i / kWidth) + 0.5f, 0});
  return points;
}

std::vector<float> numbers(uint64_t seed) {
  return check::random_reals<float>(kWidth * kHeight, seed, -1, 1);
}

CUarray picture_of(const std::vector<float>& texels, unsigned flags = 0) {
  return check::array_of(texels, {kWidth, kHeight, 0, CU_AD_FORMAT_FLOAT, 1, flags});
}

void arrays(const check::Module& module) {
  const auto texels = numbers(1), others = numbers(2);
  CUarray one = picture_of(texels), two = picture_of(others);
  CUtexref picture = texture(module, "picture");
  CU_CHECK(cuTexRefSetArray(picture, one, CU_TRSA_OVERRIDE_FORMAT));
  check::require_near(check::evaluate(module, "look", 0, centres()), texels, 0, "an array");
  CUarray told = nullptr;
  CU_CHECK(cuTexRefGetArray(&told, picture));
  REQUIRE(told == one, "another array");
  CU_CHECK(cuTexRefSetArray(picture, two, CU_TRSA_OVERRIDE_FORMAT));
  check::require_near(check::evaluate(module, "look", 0, centres()), others, 0, "another array");
  check::require_near(check::evaluate(module, "look_by_address", 0, centres()), others, 0, "by its address");

  // Between two texels, by normalized coordinates.
  CU_CHECK(cuTexRefSetFilterMode(picture, CU_TR_FILTER_MODE_LINEAR));
  CU_CHECK(cuTexRefSetFlags(picture, CU_TRSF_NORMALIZED_COORDINATES));
  const auto found = check::evaluate(module, "look", 0, {{1.0f / kWidth, 0.5f / kHeight}});
  check::require_near(found, {(others[0] + others[1]) / 2}, 1e-6f, "a linear filter");
  CU_CHECK(cuTexRefSetFilterMode(picture, CU_TR_FILTER_MODE_POINT));
  CU_CHECK(cuTexRefSetFlags(picture, 0));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuTexRefSetArray(picture, one, 0));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuTexRefSetFlags(picture, 0x100));
  CU_CHECK(cuArrayDestroy(one));
  CU_CHECK(cuArrayDestroy(two));
}

// Launches that wait in a stream see the array that was bound when they were made.
void changes_between_launches(const check::Module& module) {
  const auto texels = numbers(3), others = numbers(4);
  CUarray one = picture_of(texels), two = picture_of(others);
  CUtexref picture = texture(module, "picture");
  CUstream stream = nullptr;
  CU_CHECK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  const check::DeviceArray<check::Point> in(centres());
  const check::DeviceArray<check::Colour> first(kWidth * kHeight), second(kWidth * kHeight);
  const auto launch = [&](CUarray array, const check::DeviceArray<check::Colour>& out) {
    CU_CHECK(cuTexRefSetArray(picture, array, CU_TRSA_OVERRIDE_FORMAT));
    check::launch(module.function("look"), {kWidth * kHeight / 32}, {32}, stream, CUtexObject{0}, in.get(),
                  out.get());
  };
  launch(one, first);
  launch(two, second);
  CU_CHECK(cuStreamSynchronize(stream));
  check::require_near(first.download(), texels, 0, "the first launch");
  check::require_near(second.download(), others, 0, "the second launch");
  CU_CHECK(cuStreamDestroy_v2(stream));
  CU_CHECK(cuArrayDestroy(one));
  CU_CHECK(cuArrayDestroy(two));
}

void memory(const check::Module& module) {
  const auto texels = numbers(5);
  check::DeviceArray<float> values(texels);
  CUtexref line = texture(module, "line"), picture = texture(module, "picture");
  CU_CHECK(cuTexRefSetFormat(line, CU_AD_FORMAT_FLOAT, 1));
  size_t offset = 1;
  CU_CHECK(cuTexRefSetAddress_v2(&offset, line, values.get(), values.bytes()));
  REQUIRE(offset == 0, "an offset of %zu bytes", offset);
  std::vector<check::Point> at;
  for (unsigned i = 0; i < kWidth * kHeight; ++i) at.push_back({check::as_float(static_cast<int>(i))});
  check::require_near(check::evaluate(module, "fetch", 0, at), texels, 0, "linear memory");
  // From the fifth on: the program adds what it is told.
  CU_CHECK(cuTexRefSetAddress_v2(&offset, line, values.get() + 16, 64));
  REQUIRE(offset == 16, "an offset of %zu bytes", offset);
  const auto found = check::evaluate(module, "fetch", 0,
                                     {{check::as_float(4)}, {check::as_float(19)}, {check::as_float(20)}});
  check::require_near(found, {texels[4], texels[19], 0}, 0, "linear memory with an offset");
  CUdeviceptr told = 0;
  CU_CHECK(cuTexRefGetAddress_v2(&told, line));
  REQUIRE(told == values.get() + 16, "another address");
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuTexRefSetAddress_v2(nullptr, line, values.get() + 16, 64));

  const CUDA_ARRAY_DESCRIPTOR d{kWidth, kHeight, CU_AD_FORMAT_FLOAT, 1};
  CU_CHECK(cuTexRefSetAddress2D_v3(picture, &d, values.get(), kWidth * sizeof(float)));
  check::require_near(check::evaluate(module, "look", 0, centres()), texels, 0, "pitched memory");
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE,
            cuTexRefSetAddress2D_v3(picture, &d, values.get() + 4, kWidth * sizeof(float)));
  CUarray none = nullptr;
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuTexRefGetArray(&none, picture));
}

void mipmaps(const check::Module& module) {
  const CUDA_ARRAY3D_DESCRIPTOR d{kWidth, kHeight, 0, CU_AD_FORMAT_FLOAT, 1, 0};
  CUmipmappedArray mipmap = nullptr, told = nullptr;
  CU_CHECK(cuMipmappedArrayCreate(&mipmap, &d, 2));
  CUarray level = nullptr;
  CU_CHECK(cuMipmappedArrayGetLevel(&level, mipmap, CU_TRSA_OVERRIDE_FORMAT));
  auto texels = check::random_reals<float>(kWidth * kHeight / 4, 6, -1, 1);
  check::transfer(level, texels, true);
  CUtexref picture = texture(module, "picture");
  CU_CHECK(cuTexRefSetMipmappedArray(picture, mipmap, CU_TRSA_OVERRIDE_FORMAT));
  CU_CHECK(cuTexRefGetMipmappedArray(&told, picture));
  REQUIRE(told == mipmap, "another mipmap");
  CU_CHECK(cuTexRefSetFlags(picture, CU_TRSF_NORMALIZED_COORDINATES));
  CU_CHECK(cuTexRefSetMipmapLevelClamp(picture, 0, 1));
  std::vector<check::Point> at;
  for (unsigned i = 0; i < texels.size(); ++i) {
    const unsigned x = i % (kWidth / 2), y = i / (kWidth / 2);
    at.push_back(
        {(static_cast<float>(x) + 0.5f) / (kWidth / 2), (static_cast<float>(y) + 0.5f) / (kHeight / 2), 1});
  }
  check::require_near(check::evaluate(module, "look_by_address", 0, at), texels, 0, "the second level");
  CU_CHECK(cuTexRefSetFlags(picture, 0));
  CU_CHECK(cuMipmappedArrayDestroy(mipmap));
}

void surfaces(const check::Module& module) {
  CUarray array = picture_of(std::vector<float>(kWidth * kHeight), CUDA_ARRAY3D_SURFACE_LDST), told = nullptr;
  CUarray plain = picture_of(numbers(7));
  CUsurfref surface = nullptr;
  CU_CHECK(cuModuleGetSurfRef(&surface, module.get(), "surface"));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuSurfRefGetArray(&told, surface));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuSurfRefSetArray(surface, plain, 0));
  CU_CHECK(cuSurfRefSetArray(surface, array, 0));
  CU_CHECK(cuSurfRefGetArray(&told, surface));
  REQUIRE(told == array, "another array");
  const auto texels = numbers(8);
  std::vector<check::Point> at;
  for (unsigned i = 0; i < texels.size(); ++i)
    at.push_back({check::as_float(static_cast<int>(i % kWidth)),
                  check::as_float(static_cast<int>(i / kWidth)), texels[i]});
  (void)check::evaluate(module, "store", 0, at);
  std::vector<float> found(texels.size());
  check::transfer(array, found, false);
  check::require_equal(found, texels, "stores by a surface reference");

  CUtexref picture = texture(module, "picture");
  CU_CHECK(cuTexRefSetArray(picture, plain, CU_TRSA_OVERRIDE_FORMAT));
  const auto answers =
      std::bit_cast<std::array<int, 4>>(check::evaluate(module, "query", 0, {check::Point{}})[0]);
  REQUIRE((answers == std::array<int, 4>{kWidth, kHeight, 0, kWidth}), "%d %d %d %d", answers[0], answers[1],
          answers[2], answers[3]);
  CU_CHECK(cuArrayDestroy(array));
  CU_CHECK(cuArrayDestroy(plain));
}

// What is set is told; a reference of no module knows as much.
void attributes(const check::Module& module) {
  CUtexref reference = nullptr;
  CU_CHECK(cuTexRefCreate(&reference));
  CU_CHECK(cuTexRefSetFormat(reference, CU_AD_FORMAT_SIGNED_INT16, 2));
  CU_CHECK(cuTexRefSetAddressMode(reference, 1, CU_TR_ADDRESS_MODE_MIRROR));
  CU_CHECK(cuTexRefSetFilterMode(reference, CU_TR_FILTER_MODE_LINEAR));
  CU_CHECK(cuTexRefSetMipmapFilterMode(reference, CU_TR_FILTER_MODE_LINEAR));
  CU_CHECK(cuTexRefSetMipmapLevelBias(reference, 0.5f));
  CU_CHECK(cuTexRefSetMipmapLevelClamp(reference, 1, 3));
  CU_CHECK(cuTexRefSetMaxAnisotropy(reference, 4));
  float colour[4] = {1, 2, 3, 4};
  CU_CHECK(cuTexRefSetBorderColor(reference, colour));
  CU_CHECK(cuTexRefSetFlags(reference, CU_TRSF_READ_AS_INTEGER));
  CUarray_format format{};
  int channels = 0, anisotropy = 0;
  CUaddress_mode mode{};
  CUfilter_mode filter{}, levels{};
  float bias = 0, least = 0, greatest = 0, border[4] = {};
  unsigned flags = 0;
  CU_CHECK(cuTexRefGetFormat(&format, &channels, reference));
  CU_CHECK(cuTexRefGetAddressMode(&mode, reference, 1));
  CU_CHECK(cuTexRefGetFilterMode(&filter, reference));
  CU_CHECK(cuTexRefGetMipmapFilterMode(&levels, reference));
  CU_CHECK(cuTexRefGetMipmapLevelBias(&bias, reference));
  CU_CHECK(cuTexRefGetMipmapLevelClamp(&least, &greatest, reference));
  CU_CHECK(cuTexRefGetMaxAnisotropy(&anisotropy, reference));
  CU_CHECK(cuTexRefGetBorderColor(border, reference));
  CU_CHECK(cuTexRefGetFlags(&flags, reference));
  REQUIRE(format == CU_AD_FORMAT_SIGNED_INT16 && channels == 2 && mode == CU_TR_ADDRESS_MODE_MIRROR,
          "a format or mode");
  REQUIRE(filter == CU_TR_FILTER_MODE_LINEAR && levels == CU_TR_FILTER_MODE_LINEAR, "a filter");
  REQUIRE(bias == 0.5f && least == 1 && greatest == 3 && anisotropy == 4 && flags == CU_TRSF_READ_AS_INTEGER,
          "levels, anisotropy or flags");
  REQUIRE(std::equal(colour, colour + 4, border), "a border");
  CU_CHECK(cuParamSetTexRef(module.function("look"), CU_PARAM_TR_DEFAULT, texture(module, "picture")));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE,
            cuParamSetTexRef(module.function("look"), 0, texture(module, "picture")));
  CU_CHECK(cuTexRefDestroy(reference));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuTexRefDestroy(reference));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuTexRefSetFlags(reference, 0));
  CU_EXPECT(CUDA_ERROR_NOT_FOUND, cuModuleGetTexRef(&reference, module.get(), "surface"));
  CUsurfref surface = nullptr;
  CU_EXPECT(CUDA_ERROR_NOT_FOUND, cuModuleGetSurfRef(&surface, module.get(), "counter"));
}

// The last: the context is of no use afterwards.
void unbound() {
  const check::Module module(source().c_str());
  check::DeviceArray<check::Point> in(32);
  check::DeviceArray<check::Colour> out(32);
  check::launch(module.function("look"), {1}, {32}, nullptr, CUtexObject{0}, in.get(), out.get());
  CU_EXPECT(CUDA_ERROR_ILLEGAL_ADDRESS, cuCtxSynchronize());
}

}  // namespace

int main() {
  check::Context context;
  {
    const check::Module module(source().c_str());
    arrays(module);
    changes_between_launches(module);
    memory(module);
    mipmaps(module);
    surfaces(module);
    attributes(module);
  }
  unbound();
  return check::pass("%u by %u texels", kWidth, kHeight);
}

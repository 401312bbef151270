// What PTX has beside plain fetches: gathers of one component, offsets, results in half precision, the
// predicate of residency, and queries; and views of an array's texels as those of another format.
#include "texture_points.h"

namespace {

constexpr int kWidth = 8, kHeight = 4, kLayers = 3;

std::string source() {
  using check::point_kernel;
  std::string text = check::ptx_header();
  for (const char* component : {"r", "g", "b", "a"})
    text += point_kernel(
        std::string("gather_") + component,
        std::string("tld4.") + component + ".2d.v4.f32.f32 {%r0, %r1, %r2, %r3}, [%t, {%c0, %c1}];");
  return text +
         point_kernel("gather_offset",
                      "tld4.g.a2d.v4.f32.f32 {%r0, %r1, %r2, %r3}, [%t, {%c2, %c0, %c1, %c1}], {%c3, %c4};") +
         point_kernel("offset_2d", "tex.2d.v4.f32.f32 {%r0, %r1, %r2, %r3}, [%t, {%c0, %c1}], {%c3, %c4};") +
         point_kernel("offset_texels",
                      "cvt.rmi.s32.f32 %c0, %c0; cvt.rmi.s32.f32 %c1, %c1;"
                      "tex.2d.v4.f32.s32 {%r0, %r1, %r2, %r3}, [%t, {%c0, %c1}], {%c3, %c4};") +
         point_kernel("offset_level",
                      "tex.level.2d.v4.f32.f32 {%r0, %r1, %r2, %r3}, [%t, {%c0, %c1}], %c5, {%c3, %c4};") +
         point_kernel("halves_packed", "tex.2d.v2.f16x2.f32 {%r0, %r1}, [%t, {%c0, %c1}];") +
         point_kernel("halves",
                      "tex.2d.v4.f16.f32 {%h0, %h1, %h2, %h3}, [%t, {%c0, %c1}];"
                      "mov.b32 %r0, {%h0, %h1}; mov.b32 %r1, {%h2, %h3};") +
         point_kernel("resident",
                      "tex.2d.v4.f32.f32 {%r0, %r1, _, _}|%p, [%t, {%c0, %c1}]; selp.b32 %r2, 1, 0, %p;"
                      "tld4.r.2d.v4.f32.f32 {%r1, _, _, _}|%p, [%t, {%c0, %c1}]; selp.b32 %r3, 1, 0, %p;") +
         point_kernel("plain_2d", "tex.2d.v4.f32.f32 {%r0, %r1, %r2, %r3}, [%t, {%c0, %c1}];") +
         point_kernel("unsigned_2d", "tex.2d.v4.u32.f32 {%r0, %r1, %r2, %r3}, [%t, {%c0, %c1}];") +
         point_kernel("query_size",
                      "txq.width.b32 %r0, [%t]; txq.height.b32 %r1, [%t]; txq.depth.b32 %r2, [%t];"
                      "txq.array_size.b32 %r3, [%t];") +
         point_kernel("query_texels",
                      "txq.channel_data_type.b32 %r0, [%t]; txq.channel_order.b32 %r1, [%t];"
                      "txq.normalized_coords.b32 %r2, [%t]; txq.num_mipmap_levels.b32 %r3, [%t];") +
         point_kernel("query_sampling",
                      "txq.filter_mode.b32 %r0, [%t]; txq.addr_mode_0.b32 %r1, [%t];"
                      "txq.addr_mode_1.b32 %r2, [%t]; txq.addr_mode_2.b32 %r3, [%t];") +
         point_kernel("query_surface",
                      "suq.width.b32 %r0, [%t]; suq.height.b32 %r1, [%t]; suq.channel_order.b32 %r2, [%t];"
                      "suq.memory_layout.b32 %r3, [%t];");
}

using Texels = std::vector<check::Colour>;

// The texel of a place that may be outside: clamped.
const check::Colour& at(const Texels& texels, int x, int y, int layer = 0) {
  x = std::clamp(x, 0, kWidth - 1);
  y = std::clamp(y, 0, kHeight - 1);
  return texels[static_cast<size_t>((layer * kHeight + y) * kWidth + x)];
}

Texels random_texels(int layers) {
  const auto numbers =
      check::random_reals<float>(static_cast<size_t>(layers * kHeight * kWidth * 4), 1, -1, 1);
  Texels texels(numbers.size() / 4);
  std::memcpy(texels.data(), numbers.data(), numbers.size() * sizeof(float));
  return texels;
}

CUarray array_of(const Texels& texels, size_t layers = 0) {
  const unsigned flags = layers != 0 ? CUDA_ARRAY3D_LAYERED : CUDA_ARRAY3D_TEXTURE_GATHER;
  return check::array_of(texels, {kWidth, kHeight, layers, CU_AD_FORMAT_FLOAT, 4, flags});
}

CUDA_TEXTURE_DESC in_texels(CUfilter_mode filter = CU_TR_FILTER_MODE_POINT) {
  CUDA_TEXTURE_DESC d = check::sampling(filter);
  d.flags = 0;
  return d;
}

// Quarters of texels, also outside; an offset from -8 to 7; layers.
std::vector<check::Point> points() {
  std::vector<check::Point> all;
  check::Random random(3);
  for (int i = 0; i < 300; ++i) {
    const auto integer = [&](int low, uint32_t count) {
      return check::as_float(low + static_cast<int>(random.below(count)));
    };
    const float x = static_cast<float>(random.below(44)) / 4 - 1.375f;
    const float y = static_cast<float>(random.below(28)) / 4 - 1.375f;
    const float layer = integer(0, kLayers), dx = integer(-8, 16), dy = integer(-8, 16);
    all.push_back({x, y, layer, dx, dy, 3});
  }
  return all;
}

int floor_of(float x) { return static_cast<int>(std::floor(x)); }

void require_colours(const check::Module& module, const char* kernel, CUtexObject object,
                     const std::vector<check::Colour>& expected) {
  const auto found = check::evaluate(module, kernel, object, points());
  for (size_t i = 0; i < found.size(); ++i)
    for (size_t c = 0; c < 4; ++c)
      REQUIRE(std::abs(found[i][c] - expected[i][c]) < 1e-6f, "%s: [%zu][%zu] is %g, not %g", kernel, i, c,
              static_cast<double>(found[i][c]), static_cast<double>(expected[i][c]));
}

// From the lower left of the four: (i, j + 1), (i + 1, j + 1), (i + 1, j), (i, j).
check::Colour gathered(const Texels& texels, int i, int j, int layer, size_t component) {
  return {at(texels, i, j + 1, layer)[component], at(texels, i + 1, j + 1, layer)[component],
          at(texels, i + 1, j, layer)[component], at(texels, i, j, layer)[component]};
}

void gathers(const check::Module& module) {
  const Texels texels = random_texels(kLayers);
  const Texels first(texels.begin(), texels.begin() + kWidth * kHeight);
  CUarray flat = array_of(first), layered = array_of(texels, kLayers);
  const check::TextureObject texture(check::resource_of(flat), in_texels()),
      layers(check::resource_of(layered), in_texels());
  const char* const kernels[] = {"gather_r", "gather_g", "gather_b", "gather_a"};
  for (size_t component = 0; component < 4; ++component) {
    std::vector<check::Colour> expected;
    for (const check::Point& p : points())
      expected.push_back(gathered(texels, floor_of(p[0] - 0.5f), floor_of(p[1] - 0.5f), 0, component));
    require_colours(module, kernels[component], texture.get(), expected);
  }
  std::vector<check::Colour> expected;
  for (const check::Point& p : points())
    expected.push_back(gathered(texels, floor_of(p[0] - 0.5f) + check::as_int(p[3]),
                                floor_of(p[1] - 0.5f) + check::as_int(p[4]), check::as_int(p[2]), 1));
  require_colours(module, "gather_offset", layers.get(), expected);
  CU_CHECK(cuArrayDestroy(flat));
  CU_CHECK(cuArrayDestroy(layered));
}

void offsets(const check::Module& module) {
  const Texels texels = random_texels(1);
  CUarray array = array_of(texels);
  const check::TextureObject point(check::resource_of(array), in_texels()),
      linear(check::resource_of(array), in_texels(CU_TR_FILTER_MODE_LINEAR));
  std::vector<check::Colour> nearest, weighed;
  for (const check::Point& p : points()) {
    const int dx = check::as_int(p[3]), dy = check::as_int(p[4]);
    nearest.push_back(at(texels, floor_of(p[0]) + dx, floor_of(p[1]) + dy));
    const float x = p[0] - 0.5f, y = p[1] - 0.5f, a = x - std::floor(x), b = y - std::floor(y);
    const int i = floor_of(x) + dx, j = floor_of(y) + dy;
    check::Colour sum{};
    for (size_t c = 0; c < 4; ++c)
      sum[c] = (1 - a) * (1 - b) * at(texels, i, j)[c] + a * (1 - b) * at(texels, i + 1, j)[c] +
               (1 - a) * b * at(texels, i, j + 1)[c] + a * b * at(texels, i + 1, j + 1)[c];
    weighed.push_back(sum);
  }
  require_colours(module, "offset_2d", point.get(), nearest);
  require_colours(module, "offset_texels", point.get(), nearest);
  require_colours(module, "offset_level", point.get(), nearest);
  require_colours(module, "offset_2d", linear.get(), weighed);
  CU_CHECK(cuArrayDestroy(array));
}

void halves_and_residency(const check::Module& module) {
  // Halves, and a float that lies between two of them.
  const Texels texels(kWidth * kHeight, {1, -2, 1 + 1.0f / 4096, 65536});
  constexpr unsigned kFirst = 0xC0003C00, kSecond = 0x7C003C00;
  CUarray array = array_of(texels);
  const check::TextureObject texture(check::resource_of(array), in_texels());
  for (const char* kernel : {"halves", "halves_packed"}) {
    const auto found =
        std::bit_cast<std::array<unsigned, 4>>(check::evaluate(module, kernel, texture.get(), points())[0]);
    REQUIRE(found[0] == kFirst && found[1] == kSecond, "%s: %08x %08x", kernel, found[0], found[1]);
  }
  const auto found = check::evaluate(module, "resident", texture.get(), points())[0];
  REQUIRE(found[0] == 1 && found[1] == 1 && check::as_int(found[2]) == 1 && check::as_int(found[3]) == 1,
          "not resident");
  CU_CHECK(cuArrayDestroy(array));
}

// Words taken for bytes, as numbers and as fractions of 255, and for one of two layers.
void views(const check::Module& module) {
  const auto words = check::random_integers<unsigned>(kWidth * kHeight * kLayers, 5);
  CUarray array = check::array_of(
      words, {kWidth, kHeight, kLayers, CU_AD_FORMAT_UNSIGNED_INT32, 1, CUDA_ARRAY3D_LAYERED});
  const std::vector<unsigned> first(words.begin(), words.begin() + kWidth * kHeight);
  CUarray flat = check::array_of(first, {kWidth, kHeight, 0, CU_AD_FORMAT_UNSIGNED_INT32, 1, 0});
  const CUDA_RESOURCE_VIEW_DESC bytes{CU_RES_VIEW_FORMAT_UINT_4X8, kWidth, kHeight, 0, 0, 0, 0, 0, {}};
  CUDA_TEXTURE_DESC how = in_texels();
  const check::TextureObject fractions(check::resource_of(flat), how, &bytes);
  how.flags = CU_TRSF_READ_AS_INTEGER;
  const check::TextureObject numbers(check::resource_of(flat), how, &bytes);
  std::vector<check::Colour> as_fractions, as_numbers;
  for (const check::Point& p : points()) {
    const auto place = static_cast<size_t>(std::clamp(floor_of(p[1]), 0, kHeight - 1) * kWidth +
                                           std::clamp(floor_of(p[0]), 0, kWidth - 1));
    check::Colour fraction, number;
    for (size_t c = 0; c < 4; ++c) {
      const auto byte = static_cast<int>(words[place] >> (8 * c) & 0xFF);
      fraction[c] = static_cast<float>(byte) / 255;
      number[c] = check::as_float(byte);
    }
    as_fractions.push_back(fraction);
    as_numbers.push_back(number);
  }
  require_colours(module, "plain_2d", fractions.get(), as_fractions);
  require_colours(module, "unsigned_2d", numbers.get(), as_numbers);

  const auto resource = check::resource_of(array);
  CUtexObject none = 0;
  const auto expect = [&](CUresult result, CUDA_RESOURCE_VIEW_DESC view) {
    CU_EXPECT(result, cuTexObjectCreate(&none, &resource, &how, &view));
  };
  expect(CUDA_ERROR_INVALID_VALUE, {CU_RES_VIEW_FORMAT_UINT_4X16, kWidth, kHeight, kLayers, 0, 0, 0, 2, {}});
  expect(CUDA_ERROR_INVALID_VALUE, {CU_RES_VIEW_FORMAT_UINT_4X8, kWidth, kHeight, kLayers, 0, 0, 0, 3, {}});
  expect(CUDA_ERROR_INVALID_VALUE, {CU_RES_VIEW_FORMAT_UINT_4X8, kWidth, kHeight, kLayers, 0, 1, 0, 2, {}});
  const check::DeviceArray<float> memory(256);
  CUDA_RESOURCE_DESC linear{};
  linear.resType = CU_RESOURCE_TYPE_LINEAR;
  linear.res.linear = {memory.get(), CU_AD_FORMAT_FLOAT, 1, memory.bytes()};
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuTexObjectCreate(&none, &linear, &how, &bytes));
  CU_CHECK(cuArrayDestroy(array));
  CU_CHECK(cuArrayDestroy(flat));
}

void queries(const check::Module& module) {
  using Answers = std::array<int, 4>;
  constexpr int kAny = -1;  // a depth where there is none
  const auto require_answers = [&](const char* kernel, CUtexObject object, const Answers& expected) {
    auto found = std::bit_cast<Answers>(check::evaluate(module, kernel, object, points())[0]);
    for (size_t i = 0; i < found.size(); ++i)
      if (expected[i] == kAny) found[i] = kAny;
    REQUIRE(found == expected, "%s: %d %d %d %d", kernel, found[0], found[1], found[2], found[3]);
  };
  const CUDA_ARRAY3D_DESCRIPTOR d{kWidth,  kHeight,
                                  kLayers, CU_AD_FORMAT_SIGNED_INT16,
                                  2,       CUDA_ARRAY3D_LAYERED | CUDA_ARRAY3D_SURFACE_LDST};
  CUarray layered = nullptr, solid = nullptr;
  CU_CHECK(cuArray3DCreate_v2(&layered, &d));
  const CUDA_ARRAY3D_DESCRIPTOR d3{kWidth, kHeight, 5, CU_AD_FORMAT_HALF, 4, 0};
  CU_CHECK(cuArray3DCreate_v2(&solid, &d3));
  CUDA_TEXTURE_DESC how = check::sampling(CU_TR_FILTER_MODE_LINEAR);
  how.addressMode[0] = CU_TR_ADDRESS_MODE_WRAP;
  how.addressMode[1] = CU_TR_ADDRESS_MODE_MIRROR;
  how.addressMode[2] = CU_TR_ADDRESS_MODE_BORDER;
  const check::TextureObject layers(check::resource_of(layered), how);
  how = in_texels();
  const check::TextureObject slices(check::resource_of(solid), how);
  // OpenCL's numbers: CL_SNORM_INT16, CL_RG; CL_HALF_FLOAT, CL_RGBA.
  require_answers("query_size", layers.get(), {kWidth, kHeight, kAny, kLayers});
  require_answers("query_size", slices.get(), {kWidth, kHeight, 5, 0});
  require_answers("query_texels", layers.get(), {0x10D1, 0x10B2, 1, 0});
  require_answers("query_texels", slices.get(), {0x10DD, 0x10B5, 0, 0});
  require_answers("query_sampling", layers.get(), {1, 0, 1, 4});
  require_answers("query_sampling", slices.get(), {0, 3, 3, 3});
  const auto resource = check::resource_of(layered);
  CUsurfObject surface = 0;
  CU_CHECK(cuSurfObjectCreate(&surface, &resource));
  require_answers("query_surface", surface, {kWidth, kHeight, 0x10B2, 0});
  CU_CHECK(cuSurfObjectDestroy(surface));
  CU_CHECK(cuArrayDestroy(layered));
  CU_CHECK(cuArrayDestroy(solid));
}

}  // namespace

int main() {
  check::Context context;
  const check::Module module(source().c_str());
  gathers(module);
  offsets(module);
  halves_and_residency(module);
  views(module);
  queries(module);
  return check::pass("%zu points an instruction", points().size());
}

// Formatted stores to surfaces of every kind of texel, and reductions by many threads at the same places,
// addressed by bytes and by texels; against the same on the host.
#include "texture_points.h"

namespace {

constexpr unsigned kWidth = 5, kHeight = 4, kDepth = 3;  // rows of an odd number of texels

std::string source() {
  using check::point_kernel;
  // A point is x, y, z and four words; %c7 is a number to reduce with.
  std::string text =
      check::ptx_header() +
      point_kernel("store_4", "sust.p.2d.v4.b32.trap [%t, {%c0, %c1}], {%c3, %c4, %c5, %c6};") +
      point_kernel("store_2", "sust.p.2d.v2.b32.trap [%t, {%c0, %c1}], {%c3, %c4};") +
      point_kernel("store_1", "sust.p.3d.b32.trap [%t, {%c0, %c1, %c2, %c2}], {%c3};") +
      point_kernel("store_layer", "sust.p.a2d.b32.clamp [%t, {%c2, %c0, %c1, %c1}], {%c3};") +
      point_kernel("store_outside",
                   "add.s32 %c0, %c0, 100; sust.p.2d.v4.b32.zero [%t, {%c0, %c1}], {%c3, %c4, %c5, %c6};");
  struct Reduction {
    const char *name, *instruction;
  };
  for (const Reduction& r :
       {Reduction{"add", "sured.p.add.2d.b32.trap [%t, {%c0, %c1}], %c7;"},
        Reduction{"min", "sured.p.min.2d.b32.trap [%t, {%c0, %c1}], %c7;"},
        Reduction{"max_bytes", "shl.b32 %c0, %c0, 2; sured.b.max.2d.s32.trap [%t, {%c0, %c1}], %c7;"},
        Reduction{"max_unsigned", "shl.b32 %c0, %c0, 2; sured.b.max.2d.u32.trap [%t, {%c0, %c1}], %c7;"},
        Reduction{"and", "shl.b32 %c0, %c0, 2; sured.b.and.2d.b32.clamp [%t, {%c0, %c1}], %c7;"},
        Reduction{"or", "shl.b32 %c0, %c0, 2; sured.b.or.2d.b32.clamp [%t, {%c0, %c1}], %c7;"},
        Reduction{"add_64",
                  "cvt.s64.s32 %q, %c7; shl.b32 %c0, %c0, 3;"
                  "sured.b.add.2d.u64.trap [%t, {%c0, %c1}], %q;"},
        Reduction{"min_64",
                  "cvt.s64.s32 %q, %c7; shl.b32 %c0, %c0, 3;"
                  "sured.b.min.2d.s64.trap [%t, {%c0, %c1}], %q;"}})
    text += point_kernel(r.name, r.instruction);
  return text;
}

class Surface {
 public:
  template <class T>
  Surface(const std::vector<T>& texels, size_t depth, CUarray_format format, unsigned channels,
          unsigned flags = 0)
      : array_(check::array_of(
            texels, {kWidth, kHeight, depth, format, channels, flags | CUDA_ARRAY3D_SURFACE_LDST})) {
    const auto resource = check::resource_of(array_);
    CU_CHECK(cuSurfObjectCreate(&object_, &resource));
  }
  ~Surface() {
    (void)cuSurfObjectDestroy(object_);
    (void)cuArrayDestroy(array_);
  }
  Surface(const Surface&) = delete;
  Surface& operator=(const Surface&) = delete;
  CUsurfObject get() const { return object_; }
  template <class T>
  std::vector<T> download(size_t count) const {
    std::vector<T> texels(count);
    check::transfer(array_, texels, false);
    return texels;
  }

 private:
  CUarray array_ = nullptr;
  CUsurfObject object_ = 0;
};

float word(unsigned value) { return std::bit_cast<float>(value); }
unsigned bits(float value) { return std::bit_cast<unsigned>(value); }

// One point a texel, with random words.
std::vector<check::Point> texel_points(unsigned depth = 1) {
  std::vector<check::Point> points;
  const auto words = check::random_integers<unsigned>(kWidth * kHeight * depth * 5, 4);
  for (unsigned i = 0; i < kWidth * kHeight * depth; ++i) {
    points.push_back({word(i % kWidth), word(i / kWidth % kHeight), word(i / kWidth / kHeight)});
    for (size_t k = 0; k < 5; ++k) points.back()[3 + k] = word(words[i * 5 + k]);
  }
  return points;
}

// Words that the channels can hold.
template <class T>
void store_integers(const check::Module& module, CUarray_format format) {
  struct Texel {
    T channels[4];
    bool operator==(const Texel&) const = default;
  };
  const std::vector<Texel> zeros(kWidth * kHeight);
  const Surface surface(zeros, 0, format, 4);
  auto points = texel_points();
  for (check::Point& p : points)
    for (size_t c = 3; c < 7; ++c) p[c] = word(static_cast<unsigned>(static_cast<T>(bits(p[c]))));
  const auto require = [&](const std::vector<Texel>& expected, const char* what) {
    REQUIRE(surface.download<Texel>(zeros.size()) == expected, "%s in format %u", what,
            static_cast<unsigned>(format));
  };
  (void)check::evaluate(module, "store_outside", surface.get(), points);
  require(zeros, "a store outside");
  std::vector<Texel> expected;
  for (const check::Point& p : points) {
    Texel texel{};
    for (size_t c = 0; c < 4; ++c) texel.channels[c] = static_cast<T>(bits(p[3 + c]));
    expected.push_back(texel);
  }
  (void)check::evaluate(module, "store_4", surface.get(), points);
  require(expected, "four words");
}

void store_floats(const check::Module& module) {
  auto points = texel_points();
  for (check::Point& p : points)
    for (size_t c = 3; c < 7; ++c) p[c] = static_cast<float>(static_cast<int>(bits(p[c]) % 2048) - 1024);
  const std::vector<std::array<float, 2>> none(points.size());
  const Surface pairs(none, 0, CU_AD_FORMAT_FLOAT, 2);
  (void)check::evaluate(module, "store_4", pairs.get(), points);  // two words more than there are channels
  const auto found = pairs.download<std::array<float, 2>>(points.size());
  for (size_t i = 0; i < found.size(); ++i)
    REQUIRE(found[i][0] == points[i][3] && found[i][1] == points[i][4], "floats: [%zu] is %g, %g", i,
            static_cast<double>(found[i][0]), static_cast<double>(found[i][1]));

  // As halves, which these integers are exactly; a texture reads them back as floats.
  const std::vector<std::array<uint16_t, 2>> no_halves(points.size());
  const CUDA_ARRAY3D_DESCRIPTOR d{kWidth, kHeight, 0, CU_AD_FORMAT_HALF, 2, CUDA_ARRAY3D_SURFACE_LDST};
  const Surface halves(no_halves, 0, d.Format, d.NumChannels);
  (void)check::evaluate(module, "store_2", halves.get(), points);
  const auto stored = halves.download<std::array<uint16_t, 2>>(points.size());
  for (size_t i = 0; i < stored.size(); ++i) {
    for (size_t c = 0; c < 2; ++c) {
      const int half = stored[i][c], exponent = half >> 10 & 31;
      const double magnitude = exponent == 0 ? 0 : std::ldexp(1024 + (half & 1023), exponent - 25);
      const double value = (half & 0x8000) != 0 ? -magnitude : magnitude;
      REQUIRE(value == static_cast<double>(points[i][3 + c]), "halves: [%zu][%zu] is %g", i, c, value);
    }
  }
}

void store_in_depth(const check::Module& module) {
  const auto points = texel_points(kDepth);
  std::vector<unsigned> expected;
  for (const check::Point& p : points) expected.push_back(bits(p[3]));
  const std::vector<unsigned> zeros(points.size());
  const Surface solid(zeros, kDepth, CU_AD_FORMAT_UNSIGNED_INT32, 1);
  (void)check::evaluate(module, "store_1", solid.get(), points);
  check::require_equal(solid.download<unsigned>(points.size()), expected, "slices");
  const Surface layers(zeros, kDepth, CU_AD_FORMAT_UNSIGNED_INT32, 1, CUDA_ARRAY3D_LAYERED);
  (void)check::evaluate(module, "store_layer", layers.get(), points);
  check::require_equal(layers.download<unsigned>(points.size()), expected, "layers");
}

constexpr size_t kCrowd = 4096;

// Points that are all at the same few texels.
std::vector<check::Point> crowd(size_t count) {
  std::vector<check::Point> points;
  const auto numbers = check::random_integers<unsigned>(count, 8);
  for (const unsigned number : numbers)
    points.push_back(
        {word(number % kWidth), word(number / 8 % kHeight), 0, 0, 0, 0, 0, word(number * 2654435761u)});
  return points;
}

template <class T, class Reduce>
void reduce(const check::Module& module, const char* name, CUarray_format format, unsigned channels,
            const Reduce& reduce, size_t count = kCrowd) {
  std::vector<T> texels = check::random_integers<T>(kWidth * kHeight, 6);
  const Surface surface(texels, 0, format, channels);
  for (const check::Point& p : crowd(count)) {
    T& texel = texels[bits(p[1]) * kWidth + bits(p[0])];
    texel = reduce(texel, static_cast<T>(static_cast<int>(bits(p[7]))));
  }
  (void)check::evaluate(module, name, surface.get(), crowd(count));
  check::require_equal(surface.download<T>(texels.size()), texels, name);
}

void reductions(const check::Module& module) {
  constexpr CUarray_format kUnsigned = CU_AD_FORMAT_UNSIGNED_INT32, kSigned = CU_AD_FORMAT_SIGNED_INT32;
  const auto least = [](auto a, auto b) { return std::min(a, b); };
  const auto greatest = [](auto a, auto b) { return std::max(a, b); };
  const auto sum = [](auto a, auto b) { return a + b; };
  reduce<unsigned>(module, "add", kUnsigned, 1, sum);
  reduce<unsigned>(module, "min", kUnsigned, 1, least);
  reduce<int>(module, "min", kSigned, 1, least);
  reduce<int>(module, "max_bytes", kUnsigned, 1, greatest);
  reduce<unsigned>(module, "max_unsigned", kSigned, 1, greatest);
  constexpr size_t kFew = 40;  // of more random bits nothing would be left
  reduce<unsigned>(
      module, "and", kUnsigned, 1, [](unsigned a, unsigned b) { return a & b; }, kFew);
  reduce<unsigned>(
      module, "or", kUnsigned, 1, [](unsigned a, unsigned b) { return a | b; }, kFew);
  reduce<uint64_t>(module, "add_64", kUnsigned, 2, sum);
  reduce<int64_t>(module, "min_64", kUnsigned, 2, least);
}

}  // namespace

int main() {
  check::Context context;
  const check::Module module(source().c_str());
  store_integers<uint8_t>(module, CU_AD_FORMAT_UNSIGNED_INT8);
  store_integers<int16_t>(module, CU_AD_FORMAT_SIGNED_INT16);
  store_integers<uint32_t>(module, CU_AD_FORMAT_UNSIGNED_INT32);
  store_floats(module);
  store_in_depth(module);
  reductions(module);
  return check::pass("%zu reductions at %u texels", kCrowd, kWidth * kHeight);
}

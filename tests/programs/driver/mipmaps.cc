// Textures of mipmapped arrays: levels by number and by gradients, both filters between levels, bias and
// clamps, without a level, in one to three dimensions and in layers, views of some levels, queries, and what
// creation refuses. The reference has the guide's formulas; coordinates and levels are such that the weights
// of linear filtering are exact in their 8 bits, and that no level lies halfway between two.
#include "texture_points.h"

namespace {

constexpr size_t kWidth = 16, kHeight = 8, kLevels = 5;

std::string source() {
  using check::point_kernel;
  return check::ptx_header() +
         point_kernel("level_2d", "tex.level.2d.v4.f32.f32 {%r0, %r1, %r2, %r3}, [%t, {%c0, %c1}], %c2;") +
         point_kernel("level_1d", "tex.level.1d.v4.f32.f32 {%r0, %r1, %r2, %r3}, [%t, {%c0}], %c2;") +
         point_kernel("level_3d",
                      "tex.level.3d.v4.f32.f32 {%r0, %r1, %r2, %r3}, [%t, {%c0, %c1, %c3, %c3}], %c2;") +
         point_kernel("level_a2d",
                      "tex.level.a2d.v4.f32.f32 {%r0, %r1, %r2, %r3}, [%t, {%c4, %c0, %c1, %c1}], %c2;") +
         point_kernel(
             "grad_2d",
             "tex.grad.2d.v4.f32.f32 {%r0, %r1, %r2, %r3}, [%t, {%c0, %c1}], {%c2, %c3}, {%c4, %c5};") +
         point_kernel("texels", "tex.level.2d.v4.f32.s32 {%r0, %r1, %r2, %r3}, [%t, {%c0, %c1}], %c2;") +
         point_kernel("plain_2d", "tex.2d.v4.f32.f32 {%r0, %r1, %r2, %r3}, [%t, {%c0, %c1}];") +
         point_kernel("base_2d", "tex.base.2d.v4.f32.f32 {%r0, %r1, %r2, %r3}, [%t, {%c0, %c1}];") +
         point_kernel("query",
                      "txq.num_mipmap_levels.b32 %r0, [%t]; txq.level.width.b32 %r1, [%t], %c0;"
                      "txq.level.height.b32 %r2, [%t], %c0; txq.array_size.b32 %r3, [%t];");
}

// Pictures of random numbers, each half as wide and high as the one before.
class Pyramid {
 public:
  Pyramid(size_t height, size_t depth, unsigned flags) : layered_((flags & CUDA_ARRAY3D_LAYERED) != 0) {
    const CUDA_ARRAY3D_DESCRIPTOR d{kWidth, height, depth, CU_AD_FORMAT_FLOAT, 1, flags};
    CU_CHECK(cuMipmappedArrayCreate(&array_, &d, kLevels));
    size_t w = kWidth, h = std::max<size_t>(height, 1), z = std::max<size_t>(depth, 1);
    for (unsigned i = 0; i < kLevels; ++i) {
      CUarray level = nullptr;
      CU_CHECK(cuMipmappedArrayGetLevel(&level, array_, i));
      levels_.push_back({check::random_reals<float>(w * h * z, i, -1, 1), w, h, z});
      check::transfer(level, levels_.back().texels, true);
      w = std::max<size_t>(w / 2, 1);
      h = std::max<size_t>(h / 2, 1);
      if (!layered_) z = std::max<size_t>(z / 2, 1);
    }
  }
  ~Pyramid() { CU_CHECK(cuMipmappedArrayDestroy(array_)); }
  Pyramid(const Pyramid&) = delete;
  Pyramid& operator=(const Pyramid&) = delete;
  CUmipmappedArray get() const { return array_; }

  float texel(size_t level, int x, int y, int z) const {
    const Level& l = levels_[level];
    const auto within = [](int i, size_t n) {
      return static_cast<size_t>(std::clamp(i, 0, static_cast<int>(n) - 1));
    };
    return l.texels[(within(z, l.depth) * l.height + within(y, l.height)) * l.width + within(x, l.width)];
  }
  // The nearest texel; of a layer, `w` is its number.
  float point(size_t level, float u, float v, float w) const {
    const Level& l = levels_[level];
    const float z = layered_ ? w : w * static_cast<float>(l.depth);
    return texel(level, floor_of(u * static_cast<float>(l.width)), floor_of(v * static_cast<float>(l.height)),
                 floor_of(z));
  }
  float bilinear(size_t level, float u, float v) const {
    const Level& l = levels_[level];
    const float x = u * static_cast<float>(l.width) - 0.5f, y = v * static_cast<float>(l.height) - 0.5f;
    const int i = floor_of(x), j = floor_of(y);
    const float a = x - std::floor(x), b = y - std::floor(y);
    return (1 - a) * (1 - b) * texel(level, i, j, 0) + a * (1 - b) * texel(level, i + 1, j, 0) +
           (1 - a) * b * texel(level, i, j + 1, 0) + a * b * texel(level, i + 1, j + 1, 0);
  }
  float trilinear(float level, float u, float v) const {
    const auto low = static_cast<size_t>(level);
    const float weight = level - std::floor(level);
    return (1 - weight) * bilinear(low, u, v) + weight * bilinear(std::min(low + 1, kLevels - 1), u, v);
  }

 private:
  static int floor_of(float x) { return static_cast<int>(std::floor(x)); }
  struct Level {
    std::vector<float> texels;
    size_t width, height, depth;
  };
  const bool layered_;
  CUmipmappedArray array_ = nullptr;
  std::vector<Level> levels_;
};

// Beside every texel and beyond the edges, with levels from below the first to beyond the last, in odd
// sixteenths.
std::vector<check::Point> points() {
  std::vector<check::Point> all;
  check::Random random(7);
  for (int i = 0; i < 500; ++i) {
    const float u = static_cast<float>(random.below(80)) / 64 - 0.125f;
    const float v = static_cast<float>(random.below(80)) / 64 - 0.125f;
    all.push_back({u, v, static_cast<float>(random.below(60)) / 8 - 0.9375f, v,
                   check::as_float(static_cast<int>(i % 3))});
  }
  return all;
}

void levels(const check::Module& module) {
  const Pyramid pyramid(kHeight, 0, 0);
  const auto resource = check::resource_of(pyramid.get());
  struct Case {
    float bias, least, greatest;
  };
  for (const Case& c : {Case{0, 0, 99}, Case{0.5f, 0, 99}, Case{-1, 0.75f, 2.75f}, Case{0, 0, 0}}) {
    CUDA_TEXTURE_DESC how = check::sampling(CU_TR_FILTER_MODE_LINEAR, CU_TR_FILTER_MODE_LINEAR);
    how.mipmapLevelBias = c.bias;
    how.minMipmapLevelClamp = c.least;
    how.maxMipmapLevelClamp = c.greatest;
    std::vector<float> between, nearest, plain;
    for (const check::Point& p : points()) {
      const float level = std::clamp(std::clamp(p[2] + c.bias, c.least, c.greatest), 0.0f, kLevels - 1.0f);
      between.push_back(pyramid.trilinear(level, p[0], p[1]));
      nearest.push_back(pyramid.bilinear(static_cast<size_t>(std::floor(level + 0.5f)), p[0], p[1]));
      plain.push_back(pyramid.bilinear(0, p[0], p[1]));
    }
    const check::TextureObject both(resource, how);
    check::require_near(check::evaluate(module, "level_2d", both.get(), points()), between, 2e-6f,
                        "trilinear");
    if (c.least == 0) {  // CUDA does not say how it is clamped
      check::require_near(check::evaluate(module, "plain_2d", both.get(), points()), plain, 2e-6f,
                          "no level");
      check::require_near(check::evaluate(module, "base_2d", both.get(), points()), plain, 2e-6f,
                          "the base level");
    }
    how.mipmapFilterMode = CU_TR_FILTER_MODE_POINT;
    const check::TextureObject one(resource, how);
    check::require_near(check::evaluate(module, "level_2d", one.get(), points()), nearest, 2e-6f, "bilinear");
  }
}

// The longer of two steps, 2^n texels long, asks for level n. Along the axes: CUDA does not say how others
// are measured.
void gradients(const check::Module& module) {
  const Pyramid pyramid(kHeight, 0, 0);
  const check::TextureObject texture(check::resource_of(pyramid.get()),
                                     check::sampling(CU_TR_FILTER_MODE_LINEAR, CU_TR_FILTER_MODE_LINEAR));
  std::vector<check::Point> at;
  std::vector<float> expected;
  for (int n = -1; n < 6; ++n) {
    const float length = std::ldexp(1.0f, n), level = std::clamp(static_cast<float>(n), 0.0f, kLevels - 1.0f);
    for (const check::Point& p :
         {check::Point{0.4375f, 0.375f, length / kWidth, 0, 0, 0},
          check::Point{0.4375f, 0.375f, length / 2 / kWidth, 0, 0, -length / kHeight}}) {
      at.push_back(p);
      expected.push_back(pyramid.trilinear(level, p[0], p[1]));
    }
  }
  // The logarithm may be a step of the level's 8 bits off.
  check::require_near(check::evaluate(module, "grad_2d", texture.get(), at), expected, 2.0f / 256,
                      "gradients");
}

void geometries(const check::Module& module) {
  struct Case {
    const char* kernel;
    size_t height, depth;
    unsigned flags;
  };
  for (const Case& c : {Case{"level_1d", 0, 0, 0}, Case{"level_3d", kHeight, 4, 0},
                        Case{"level_a2d", kHeight, 3, CUDA_ARRAY3D_LAYERED}}) {
    const Pyramid pyramid(c.height, c.depth, c.flags);
    const check::TextureObject texture(check::resource_of(pyramid.get()),
                                       check::sampling(CU_TR_FILTER_MODE_POINT));
    std::vector<float> expected;
    for (const check::Point& p : points()) {
      const auto level = static_cast<size_t>(std::clamp(std::floor(p[2] + 0.5f), 0.0f, kLevels - 1.0f));
      const float w = c.flags != 0 ? static_cast<float>(check::as_int(p[4])) : p[3];
      expected.push_back(pyramid.point(level, p[0], c.height == 0 ? 0 : p[1], c.depth == 0 ? 0 : w));
    }
    check::require_near(check::evaluate(module, c.kernel, texture.get(), points()), expected, 0, c.kernel);
  }
}

void integers(const check::Module& module) {
  const Pyramid pyramid(kHeight, 0, 0);
  const check::TextureObject texture(check::resource_of(pyramid.get()),
                                     check::sampling(CU_TR_FILTER_MODE_POINT));
  std::vector<check::Point> at;
  std::vector<float> expected;
  for (int i = 0; i < 64; ++i) {
    const int x = i % 8, y = i / 8, level = i % 5;
    at.push_back({check::as_float(x), check::as_float(y), check::as_float(level)});
    expected.push_back(pyramid.texel(static_cast<size_t>(level), x, y, 0));
  }
  check::require_near(check::evaluate(module, "texels", texture.get(), at), expected, 0,
                      "integer coordinates");
}

void views_and_queries(const check::Module& module) {
  const Pyramid pyramid(kHeight, 0, 0);
  const auto resource = check::resource_of(pyramid.get());
  const auto how = check::sampling(CU_TR_FILTER_MODE_LINEAR, CU_TR_FILTER_MODE_LINEAR);
  CUDA_RESOURCE_VIEW_DESC view{CU_RES_VIEW_FORMAT_NONE, kWidth, kHeight, 0, 1, 3, 0, 0, {}};
  const check::TextureObject whole(resource, how), part(resource, how, &view);
  std::vector<float> expected;
  for (const check::Point& p : points()) {
    const float level = 1 + std::clamp(p[2], 0.0f, 2.0f);
    expected.push_back(pyramid.trilinear(level, p[0], p[1]));
  }
  check::require_near(check::evaluate(module, "level_2d", part.get(), points()), expected, 2e-6f, "a view");
  CUDA_RESOURCE_VIEW_DESC told{};
  CU_CHECK(cuTexObjectGetResourceViewDesc(&told, part.get()));
  REQUIRE(told.firstMipmapLevel == 1 && told.lastMipmapLevel == 3, "the view has changed");
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuTexObjectGetResourceViewDesc(&told, whole.get()));

  const auto require_answers = [&](CUtexObject texture, int level, std::array<int, 4> answers) {
    const auto found = std::bit_cast<std::array<int, 4>>(
        check::evaluate(module, "query", texture, {{check::as_float(level)}})[0]);
    REQUIRE(found == answers, "level %d: %d levels, %d by %d, %d layers", level, found[0], found[1], found[2],
            found[3]);
  };
  require_answers(whole.get(), 0, {5, 16, 8, 0});
  require_answers(whole.get(), 2, {5, 4, 2, 0});
  require_answers(part.get(), 2, {3, 2, 1, 0});

  CUtexObject none = 0;
  const auto refused = [&](const CUDA_RESOURCE_VIEW_DESC& d) {
    CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuTexObjectCreate(&none, &resource, &how, &d));
  };
  view.lastMipmapLevel = kLevels;
  refused(view);
  view.firstMipmapLevel = 4;
  view.lastMipmapLevel = 3;
  refused(view);
  view = {CU_RES_VIEW_FORMAT_NONE, kWidth / 2, kHeight, 0, 0, 1, 0, 0, {}};
  refused(view);
  view = {CU_RES_VIEW_FORMAT_NONE, kWidth, kHeight, 0, 0, 1, 0, 1, {}};
  refused(view);
  CUDA_TEXTURE_DESC in_texels = how;
  in_texels.flags = 0;
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuTexObjectCreate(&none, &resource, &in_texels, nullptr));
}

}  // namespace

int main() {
  check::Context context;
  const check::Module module(source().c_str());
  levels(module);
  gradients(module);
  geometries(module);
  integers(module);
  views_and_queries(module);
  return check::pass("%zu points a case", points().size());
}

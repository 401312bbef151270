// Cubemaps and layered cubemaps: every texel by its direction, levels and gradients, filters over edges,
// gathers, views of some cubes, and surfaces, which see the faces as layers. The reference has the guide's
// table of faces.
#include "texture_points.h"

namespace {

constexpr unsigned kSize = 8, kCubes = 3, kFaces = 6;

std::string source() {
  using check::point_kernel;
  return check::ptx_header() +
         point_kernel("cube", "tex.cube.v4.f32.f32 {%r0, %r1, %r2, %r3}, [%t, {%c0, %c1, %c2, %c2}];") +
         point_kernel("acube", "tex.acube.v4.f32.f32 {%r0, %r1, %r2, %r3}, [%t, {%c3, %c0, %c1, %c2}];") +
         point_kernel("level_acube",
                      "tex.level.acube.v4.f32.f32 {%r0, %r1, %r2, %r3}, [%t, {%c3, %c0, %c1, %c2}], %c4;") +
         point_kernel("grad_cube",
                      "tex.grad.cube.v4.f32.f32 {%r0, %r1, %r2, %r3}, [%t, {%c0, %c1, %c2, %c2}],"
                      " {%c3, %c4, %c5, %c5}, {%c6, %c7, %c7, %c7};") +
         point_kernel("gather", "tld4.r.cube.v4.f32.f32 {%r0, %r1, %r2, %r3}, [%t, {%c0, %c1, %c2, %c2}];") +
         point_kernel("query",
                      "txq.width.b32 %r0, [%t]; txq.height.b32 %r1, [%t]; txq.array_size.b32 %r2, [%t];"
                      "txq.num_mipmap_levels.b32 %r3, [%t];") +
         // A word of a surface from one layer to another.
         point_kernel("copy_word",
                      "suld.b.a2d.b32.trap {%r0}, [%t, {%c2, %c0, %c1, %c1}];"
                      "sust.b.a2d.b32.trap [%t, {%c3, %c0, %c1, %c1}], {%r0};");
}

// Through (s, t) of a face, both in [-1, 1]: the guide's table, solved for x, y and z.
std::array<float, 3> direction(unsigned face, float s, float t, float m) {
  switch (face) {
    case 0:
      return {m, -t * m, -s * m};
    case 1:
      return {-m, -t * m, s * m};
    case 2:
      return {s * m, m, t * m};
    case 3:
      return {s * m, -m, -t * m};
    case 4:
      return {s * m, -t * m, m};
    default:
      return {-s * m, -t * m, -m};
  }
}

size_t place(unsigned cube, unsigned face, unsigned x, unsigned y, unsigned size) {
  return ((size_t{cube} * kFaces + face) * size + y) * size + x;
}

// The centre of every texel of `cubes` cubes, in the order of the texels.
std::vector<check::Point> centres(unsigned cubes, unsigned size, float level) {
  std::vector<check::Point> points;
  for (size_t i = 0; i < place(cubes, 0, 0, 0, size); ++i) {
    const size_t x = i % size, y = i / size % size, slice = i / (size * size);
    const auto coordinate = [&](size_t k) {
      return (2 * static_cast<float>(k) + 1) / static_cast<float>(size) - 1;
    };
    const auto d = direction(slice % kFaces, coordinate(x), coordinate(y), 0.5f + static_cast<float>(i % 5));
    points.push_back({d[0], d[1], d[2], check::as_float(static_cast<int>(slice / kFaces)), level});
  }
  return points;
}

CUDA_ARRAY3D_DESCRIPTOR shape(unsigned cubes, unsigned flags = 0) {
  const unsigned layered = cubes > 1 ? CUDA_ARRAY3D_LAYERED : 0;
  return {
      kSize, kSize, size_t{cubes} * kFaces, CU_AD_FORMAT_FLOAT, 1, CUDA_ARRAY3D_CUBEMAP | layered | flags};
}

void faces(const check::Module& module) {
  const auto texels = check::random_reals<float>(place(kCubes, 0, 0, 0, kSize), 1, -1, 1);
  const std::vector<float> first(texels.begin(),
                                 texels.begin() + static_cast<long>(place(1, 0, 0, 0, kSize)));
  CUarray one = check::array_of(first, shape(1)), several = check::array_of(texels, shape(kCubes));
  for (const CUfilter_mode filter : {CU_TR_FILTER_MODE_POINT, CU_TR_FILTER_MODE_LINEAR}) {
    const auto how = check::sampling(filter);
    const check::TextureObject cube(check::resource_of(one), how), cubes(check::resource_of(several), how);
    // Where the division by the longest component is not exact, the texels beside have a weight's step each
    // way.
    const float bound = filter == CU_TR_FILTER_MODE_POINT ? 0 : 4.0f / 256;
    check::require_near(check::evaluate(module, "cube", cube.get(), centres(1, kSize, 0)), first, bound,
                        "a cube");
    check::require_near(check::evaluate(module, "acube", cubes.get(), centres(kCubes, kSize, 0)), texels,
                        bound, "cubes");
    CUDA_RESOURCE_VIEW_DESC view{CU_RES_VIEW_FORMAT_NONE, kSize, kSize, kCubes * kFaces, 0, 0, 1, 2, {}};
    const check::TextureObject part(check::resource_of(several), how, &view);
    const std::vector<float> rest(texels.begin() + static_cast<long>(first.size()), texels.end());
    check::require_near(check::evaluate(module, "acube", part.get(), centres(2, kSize, 0)), rest, bound,
                        "a view");
    const auto answers =
        std::bit_cast<std::array<int, 4>>(check::evaluate(module, "query", part.get(), {check::Point{}})[0]);
    REQUIRE((answers == std::array<int, 4>{kSize, kSize, 2, 0}), "%d by %d, %d cubes, %d levels", answers[0],
            answers[1], answers[2], answers[3]);
  }
  CU_CHECK(cuArrayDestroy(one));
  CU_CHECK(cuArrayDestroy(several));
}

void levels(const check::Module& module) {
  constexpr unsigned kLevels = 4;
  const CUDA_ARRAY3D_DESCRIPTOR d = shape(kCubes), of_one = shape(1);
  CUmipmappedArray cubes = nullptr, cube = nullptr;
  CU_CHECK(cuMipmappedArrayCreate(&cubes, &d, kLevels));
  CU_CHECK(cuMipmappedArrayCreate(&cube, &of_one, kLevels));
  std::vector<std::vector<float>> texels;
  const auto fill = [&](CUmipmappedArray array, unsigned count) {
    texels.clear();
    for (unsigned i = 0; i < kLevels; ++i) {
      CUarray level = nullptr;
      CU_CHECK(cuMipmappedArrayGetLevel(&level, array, i));
      texels.push_back(check::random_reals<float>(place(count, 0, 0, 0, kSize >> i), i, -1, 1));
      check::transfer(level, texels.back(), true);
    }
  };
  fill(cubes, kCubes);
  const auto how = check::sampling(CU_TR_FILTER_MODE_POINT);
  const check::TextureObject texture(check::resource_of(cubes), how);
  for (unsigned i = 0; i < kLevels; ++i) {
    const auto points = centres(kCubes, kSize >> i, static_cast<float>(i));
    check::require_near(check::evaluate(module, "level_acube", texture.get(), points), texels[i], 0,
                        "a level");
  }
  // A step of 2^n texels across a face: 2 * 2^n / size of the face's [-1, 1], where the axis is 1 long.
  fill(cube, 1);
  const check::TextureObject single(check::resource_of(cube), how);
  for (unsigned n = 0; n < kLevels; ++n) {
    const float step = 2 * std::ldexp(1.0f, static_cast<int>(n)) / kSize;
    const auto found =
        check::evaluate(module, "grad_cube", single.get(), {{0.1f, 0.1f, 1, 0, step, 0, step / 2, 0}});
    const unsigned size = kSize >> n, middle = size / 2, row = size == 1 ? 0 : middle - 1;
    check::require_near(found, {texels[n][place(0, 4, size == 1 ? 0 : middle, row, size)]}, 0, "gradients");
  }
  CU_CHECK(cuMipmappedArrayDestroy(cubes));
  CU_CHECK(cuMipmappedArrayDestroy(cube));
}

// On the edge between +x and +z: half of each with seams unseen, one face's texels alone otherwise.
void edges(const check::Module& module) {
  const auto texels = check::random_reals<float>(place(1, 0, 0, 0, kSize), 9, -1, 1);
  CUarray array = check::array_of(texels, shape(1));
  CUDA_TEXTURE_DESC how = check::sampling(CU_TR_FILTER_MODE_LINEAR);
  const check::TextureObject seams(check::resource_of(array), how);
  how.flags |= CU_TRSF_SEAMLESS_CUBEMAP;
  const check::TextureObject seamless(check::resource_of(array), how);
  std::vector<check::Point> points;
  std::vector<float> alone, both, beside;
  for (unsigned y = 0; y < kSize; ++y) {
    const float t = (2 * static_cast<float>(y) + 1) / kSize - 1;
    points.push_back({1, -t, 0.9999999f});
    alone.push_back(texels[place(0, 0, 0, y, kSize)]);
    beside.push_back(texels[place(0, 4, kSize - 1, y, kSize)]);
    both.push_back((alone.back() + beside.back()) / 2);
  }
  check::require_near(check::evaluate(module, "cube", seams.get(), points), alone, 1e-6f, "seams");
  check::require_near(check::evaluate(module, "cube", seamless.get(), points), both, 1e-6f, "no seams");
  // The four texels around (1, -1/4, 1): the left ones lie in the other face.
  const auto found = check::evaluate(module, "gather", seamless.get(), {{1, -0.25f, 0.9999999f}})[0];
  REQUIRE((found == check::Colour{beside[5], alone[5], alone[4], beside[4]}),
          "a gather over the edge: %g %g %g %g", static_cast<double>(found[0]), static_cast<double>(found[1]),
          static_cast<double>(found[2]), static_cast<double>(found[3]));
  CU_CHECK(cuArrayDestroy(array));
  const CUDA_ARRAY3D_DESCRIPTOR flat{kSize, kSize, 0, CU_AD_FORMAT_FLOAT, 1, 0};
  CUarray plain = nullptr;
  CU_CHECK(cuArray3DCreate_v2(&plain, &flat));
  const auto resource = check::resource_of(plain);
  CUtexObject none = 0;
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuTexObjectCreate(&none, &resource, &how, nullptr));
  CU_CHECK(cuArrayDestroy(plain));
}

// The first face of each cube is copied to its fifth by a surface.
void surfaces(const check::Module& module) {
  auto texels = check::random_reals<float>(place(kCubes, 0, 0, 0, kSize), 11, -1, 1);
  CUarray array = check::array_of(texels, shape(kCubes, CUDA_ARRAY3D_SURFACE_LDST));
  const auto resource = check::resource_of(array);
  CUsurfObject surface = 0;
  CU_CHECK(cuSurfObjectCreate(&surface, &resource));
  std::vector<check::Point> points;
  for (unsigned i = 0; i < kCubes * kSize * kSize; ++i) {
    const unsigned x = i % kSize, y = i / kSize % kSize, cube = i / (kSize * kSize);
    const auto word = [](unsigned value) { return check::as_float(static_cast<int>(value)); };
    points.push_back({word(4 * x), word(y), word(cube * kFaces), word(cube * kFaces + 4)});
    texels[place(cube, 4, x, y, kSize)] = texels[place(cube, 0, x, y, kSize)];
  }
  (void)check::evaluate(module, "copy_word", surface, points);
  std::vector<float> found(texels.size());
  check::transfer(array, found, false);
  check::require_equal(found, texels, "faces by a surface");
  CU_CHECK(cuSurfObjectDestroy(surface));
  CU_CHECK(cuArrayDestroy(array));
}

}  // namespace

int main() {
  check::Context context;
  const check::Module module(source().c_str());
  faces(module);
  levels(module);
  edges(module);
  surfaces(module);
  return check::pass("%u cubes of %u by %u", kCubes, kSize, kSize);
}

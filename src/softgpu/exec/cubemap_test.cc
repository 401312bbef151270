// The table of the CUDA C++ Programming Guide, "Cubemap Textures", row by row.
#include "softgpu/exec/cubemap.h"

#include <gtest/gtest.h>

#include <cmath>

namespace tessera::softgpu::exec {
namespace {

TEST(Cubemap, FacesOfTheGuide) {
  struct Row {
    Direction direction;
    uint32_t face;
    double m, s, t;
  };
  for (const Row& row :
       {Row{{4, 1, 2}, 0, 4, -2, -1}, Row{{-4, 1, 2}, 1, 4, 2, -1}, Row{{1, 4, 2}, 2, 4, 1, 2},
        Row{{1, -4, 2}, 3, 4, 1, -2}, Row{{1, 2, 4}, 4, 4, 1, -2}, Row{{1, 2, -4}, 5, 4, -1, -2}}) {
    const FacePoint point = project(row.direction);
    EXPECT_EQ(point.face, row.face);
    EXPECT_EQ(point.s, (row.s / row.m + 1) / 2) << row.face;
    EXPECT_EQ(point.t, (row.t / row.m + 1) / 2) << row.face;
  }
}

TEST(Cubemap, DirectionsAndBack) {
  for (uint32_t face = 0; face < 6; ++face) {
    const FacePoint point = project(direction_of({face, 0.25, 0.875}));
    EXPECT_EQ(point.face, face);
    EXPECT_EQ(point.s, 0.25);
    EXPECT_EQ(point.t, 0.875);
  }
  EXPECT_TRUE(std::isnan(project({0, 0, 0}).s));
}

TEST(Cubemap, StepsAreDifferences) {
  constexpr double kStep = 1e-6;
  const Direction step = {0.5, -0.25, 0.75};
  for (const Direction& direction : {Direction{4, 1, 2}, Direction{-4, 1, 2}, Direction{1, 4, 2},
                                     Direction{1, -4, -2}, Direction{1, 2, -4}}) {
    const FacePoint from = project(direction);
    const FacePoint to = project(
        {direction[0] + kStep * step[0], direction[1] + kStep * step[1], direction[2] + kStep * step[2]});
    const auto found = projected_step(direction, step);
    EXPECT_NEAR(found[0], (to.s - from.s) / kStep, 1e-5);
    EXPECT_NEAR(found[1], (to.t - from.t) / kStep, 1e-5);
  }
}

}  // namespace
}  // namespace tessera::softgpu::exec

#include "softgpu/exec/cubemap.h"

#include <cmath>

namespace tessera::softgpu::exec {
namespace {

// A component of a direction, and whether it counts as it is or negated.
struct Axis {
  size_t component;
  double sign;
};
struct Face {
  Axis major, s, t;
};
constexpr Face kFaces[] = {
    {{0, 1}, {2, -1}, {1, -1}}, {{0, -1}, {2, 1}, {1, -1}}, {{1, 1}, {0, 1}, {2, 1}},
    {{1, -1}, {0, 1}, {2, -1}}, {{2, 1}, {0, 1}, {1, -1}},  {{2, -1}, {0, -1}, {1, -1}},
};

double along(const Axis& axis, const Direction& direction) { return axis.sign * direction[axis.component]; }

uint32_t face_of(const Direction& direction) {
  const double x = std::abs(direction[0]), y = std::abs(direction[1]), z = std::abs(direction[2]);
  const uint32_t component = x > y && x > z ? 0 : y > z ? 1 : 2;
  return 2 * component + (direction[component] < 0 ? 1 : 0);
}

}  // namespace

FacePoint project(const Direction& direction) {
  FacePoint point;
  point.face = face_of(direction);
  const Face& face = kFaces[point.face];
  const double major = along(face.major, direction);
  point.s = (along(face.s, direction) / major + 1) / 2;
  point.t = (along(face.t, direction) / major + 1) / 2;
  return point;
}

Direction direction_of(const FacePoint& point) {
  const Face& face = kFaces[point.face];
  Direction direction{};
  direction[face.major.component] = face.major.sign;
  direction[face.s.component] = face.s.sign * (2 * point.s - 1);
  direction[face.t.component] = face.t.sign * (2 * point.t - 1);
  return direction;
}

std::array<double, 2> projected_step(const Direction& direction, const Direction& step) {
  const Face& face = kFaces[face_of(direction)];
  const double major = along(face.major, direction), major_step = along(face.major, step);
  const auto quotient_step = [&](const Axis& axis) {
    return (along(axis, step) * major - along(axis, direction) * major_step) / (2 * major * major);
  };
  return {quotient_step(face.s), quotient_step(face.t)};
}

}  // namespace tessera::softgpu::exec

// Accelerations of bodies by all others, tile by tile, against sums in double precision.
#include "driver_check.h"

extern "C" const char nbody_ptx[];

namespace {

constexpr unsigned kCount = 700, kBlock = 256;  // the last tile is not full
constexpr double kSoftening = 1e-3;

struct alignas(16) Body {
  float x, y, z, mass;
};

}  // namespace

int main() {
  const check::Context context;
  const check::Module module(nbody_ptx);
  const auto places = check::random_reals<float>(size_t{kCount} * 4, 11, -1, 1);
  std::vector<Body> bodies(kCount);
  for (size_t i = 0; i < kCount; ++i)
    bodies[i] = {places[4 * i], places[4 * i + 1], places[4 * i + 2], 0.5f + 0.25f * places[4 * i + 3]};
  std::vector<double> want[3];
  for (auto& axis : want) axis.resize(kCount);
  for (size_t i = 0; i < kCount; ++i) {
    for (const Body& other : bodies) {
      const double dx = double{other.x} - bodies[i].x, dy = double{other.y} - bodies[i].y,
                   dz = double{other.z} - bodies[i].z;
      const double weight = other.mass * std::pow(dx * dx + dy * dy + dz * dz + kSoftening, -1.5);
      want[0][i] += dx * weight;
      want[1][i] += dy * weight;
      want[2][i] += dz * weight;
    }
  }
  const check::DeviceArray<Body> all(bodies);
  const check::DeviceArray<float> x(kCount), y(kCount), z(kCount);
  check::launch(module.function("accelerations"), {check::blocks_for(kCount, kBlock)}, {kBlock}, nullptr,
                all.get(), x.get(), y.get(), z.get(), kCount);
  check::require_near(x.download(), want[0], 1e-3, 0.1, "x");
  check::require_near(y.download(), want[1], 1e-3, 0.1, "y");
  const double worst = check::require_near(z.download(), want[2], 1e-3, 0.1, "z");
  return check::pass("%u bodies, z off by at most %.2g", kCount, worst);
}

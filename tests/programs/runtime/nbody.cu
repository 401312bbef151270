// N-body with tiles of float4 in shared memory, and Black-Scholes prices, against double precision on the
// host.
#include <algorithm>

#include "cuda_check.h"

namespace {

constexpr int kBodies = 512, kTile = 128;
constexpr float kSoftening = 0.01f;

__global__ void accelerations(const float4* bodies, float4* out) {
  __shared__ float4 tile[kTile];
  const int i = blockIdx.x * kTile + threadIdx.x;
  const float4 self = bodies[i];
  float ax = 0, ay = 0, az = 0;
  for (int start = 0; start < kBodies; start += kTile) {
    tile[threadIdx.x] = bodies[start + threadIdx.x];
    __syncthreads();
#pragma unroll 4
    for (int k = 0; k < kTile; ++k) {
      const float dx = tile[k].x - self.x, dy = tile[k].y - self.y, dz = tile[k].z - self.z;
      const float inverse = rsqrtf(dx * dx + dy * dy + dz * dz + kSoftening);
      const float pull = tile[k].w * inverse * inverse * inverse;
      ax += pull * dx;
      ay += pull * dy;
      az += pull * dz;
    }
    __syncthreads();
  }
  out[i] = make_float4(ax, ay, az, 0);
}

double check_bodies() {
  std::vector<float4> bodies(kBodies);
  check::Random random(71);
  for (float4& body : bodies) {
    body = make_float4(random.uniform(-1, 1), random.uniform(-1, 1), random.uniform(-1, 1),
                       random.uniform(0.5, 1.5));
  }
  check::DeviceArray<float4> device_bodies(bodies), device_out(kBodies);
  accelerations<<<kBodies / kTile, kTile>>>(device_bodies.get(), device_out.get());
  CUDA_CHECK_KERNEL();
  const std::vector<float4> got = device_out.download();
  double worst = 0;
  for (int i = 0; i < kBodies; ++i) {
    double want[3] = {}, magnitude = 0;  // of the summands: cancellation must not tighten the bound
    for (const float4& body : bodies) {
      const double d[3] = {double(body.x) - bodies[i].x, double(body.y) - bodies[i].y,
                           double(body.z) - bodies[i].z};
      const double square = d[0] * d[0] + d[1] * d[1] + d[2] * d[2] + kSoftening;
      const double pull = body.w / (square * std::sqrt(square));
      for (int axis = 0; axis < 3; ++axis) want[axis] += pull * d[axis];
      magnitude += pull * std::sqrt(square);
    }
    const double error = std::max({std::fabs(got[i].x - want[0]), std::fabs(got[i].y - want[1]),
                                   std::fabs(got[i].z - want[2])}) /
                         magnitude;
    REQUIRE(error < 1e-5, "body %d is off by %.3g of the forces on it", i, error);
    worst = std::max(worst, error);
  }
  return worst;
}

struct Option {
  float price, strike, years;
};

__device__ float normal_cdf(float x) { return 0.5f * erfcf(-x * 0.70710678f); }

__global__ void black_scholes(const Option* options, float2* values, int count, float rate,
                              float volatility) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= count) return;
  const Option o = options[i];
  const float spread = volatility * sqrtf(o.years);
  const float d1 = (logf(o.price / o.strike) + (rate + 0.5f * volatility * volatility) * o.years) / spread;
  const float d2 = d1 - spread, discounted = o.strike * expf(-rate * o.years);
  values[i] = make_float2(o.price * normal_cdf(d1) - discounted * normal_cdf(d2),
                          discounted * normal_cdf(-d2) - o.price * normal_cdf(-d1));
}

double check_options() {
  constexpr int kOptions = 10'000;
  constexpr double kRate = 0.02, kVolatility = 0.3;
  std::vector<Option> options(kOptions);
  check::Random random(72);
  for (Option& o : options) {
    o = {float(random.uniform(5, 30)), float(random.uniform(1, 100)), float(random.uniform(0.25, 10))};
  }
  check::DeviceArray<Option> device_options(options);
  check::DeviceArray<float2> device_values(kOptions);
  black_scholes<<<check::blocks_for(kOptions, 128), 128>>>(device_options.get(), device_values.get(),
                                                           kOptions, float(kRate), float(kVolatility));
  CUDA_CHECK_KERNEL();
  const std::vector<float2> got = device_values.download();
  std::vector<double> want;
  std::vector<float> flat;
  for (int i = 0; i < kOptions; ++i) {
    const Option o = options[i];
    const auto cdf = [](double x) { return 0.5 * std::erfc(-x * M_SQRT1_2); };
    const double spread = kVolatility * std::sqrt(double(o.years));
    const double d1 =
        (std::log(double(o.price) / o.strike) + (kRate + 0.5 * kVolatility * kVolatility) * o.years) / spread;
    const double d2 = d1 - spread, discounted = o.strike * std::exp(-kRate * o.years);
    want.push_back(o.price * cdf(d1) - discounted * cdf(d2));
    want.push_back(discounted * cdf(-d2) - o.price * cdf(-d1));
    flat.push_back(got[i].x);
    flat.push_back(got[i].y);
  }
  // Prices up to 100 times a few single-precision ulps of the distribution function.
  return check::require_near(flat, want, 1e-5, 1e-4, "option value");
}

}  // namespace

int main() {
  const double force_error = check_bodies();
  const double price_error = check_options();
  return check::pass("%d bodies, forces within %.2g; option prices within %.2g", kBodies, force_error,
                     price_error);
}

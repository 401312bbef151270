// Prices of European options, against the formula in double precision with the host's erfc; and the parity of
// calls and puts.
#include <algorithm>

#include "driver_check.h"

extern "C" const char black_scholes_ptx[];

namespace {

constexpr unsigned kCount = 50'000, kBlock = 256;
constexpr float kRate = 0.02f, kVolatility = 0.30f;
constexpr double kTolerance = 2e-3;  // on prices up to 100: approximate logarithm, exponential, distribution

double normal(double d) { return 0.5 * std::erfc(-d / std::sqrt(2.0)); }

}  // namespace

int main() {
  const check::Context context;
  const check::Module module(black_scholes_ptx);
  const auto price = check::random_reals<float>(kCount, 1, 5, 100);
  const auto strike = check::random_reals<float>(kCount, 2, 1, 100);
  const auto years = check::random_reals<float>(kCount, 3, 0.25, 10);
  const check::DeviceArray<float> prices(price), strikes(strike), expiries(years), calls(kCount),
      puts(kCount);
  check::launch(module.function("black_scholes"), {check::blocks_for(kCount, kBlock)}, {kBlock}, nullptr,
                prices.get(), strikes.get(), expiries.get(), calls.get(), puts.get(), kRate, kVolatility,
                kCount);
  std::vector<double> call(kCount), put(kCount);
  for (size_t i = 0; i < kCount; ++i) {
    const double s = price[i], k = strike[i], t = years[i], v = kVolatility, r = kRate;
    const double d1 = (std::log(s / k) + (r + 0.5 * v * v) * t) / (v * std::sqrt(t));
    const double discounted = k * std::exp(-r * t);
    call[i] = s * normal(d1) - discounted * normal(d1 - v * std::sqrt(t));
    put[i] = call[i] - s + discounted;  // parity
  }
  const double worst = std::max(check::require_near(calls.download(), call, 0, kTolerance, "call"),
                                check::require_near(puts.download(), put, 0, kTolerance, "put"));
  return check::pass("%u options, off by at most %.2g", kCount, worst);
}

#include "device.h"

constexpr float kLog2E = 1.4426950408889634f;
constexpr float kLn2 = 0.6931471805599453f;

DEVICE float exponential(float x) { return __nvvm_ex2_approx_f(x * kLog2E); }
DEVICE float logarithm(float x) { return __nvvm_lg2_approx_f(x) * kLn2; }

// The standard normal distribution by Abramowitz and Stegun 26.2.17, |error| < 7.5e-8.
DEVICE float normal(float d) {
  const float size = d < 0 ? -d : d;
  const float k = 1.0f / (1.0f + 0.2316419f * size);
  const float tail =
      0.39894228f * exponential(-0.5f * d * d) *
      (k * (0.31938153f + k * (-0.356563782f + k * (1.781477937f + k * (-1.821255978f + k * 1.330274429f)))));
  return d > 0 ? 1.0f - tail : tail;
}

// European options without dividends: prices, strikes, years to expiry; one rate and volatility.
KERNEL black_scholes(const float* price, const float* strike, const float* years, float* call, float* put,
                     float rate, float volatility, uint32_t count) {
  const uint32_t i = global_thread();
  if (i >= count) return;
  const float root = __nvvm_sqrt_rn_f(years[i]);
  const float d1 = (logarithm(price[i] / strike[i]) + (rate + 0.5f * volatility * volatility) * years[i]) /
                   (volatility * root);
  const float d2 = d1 - volatility * root;
  const float discounted = strike[i] * exponential(-rate * years[i]);
  call[i] = price[i] * normal(d1) - discounted * normal(d2);
  put[i] = discounted * (1.0f - normal(d2)) - price[i] * (1.0f - normal(d1));
}

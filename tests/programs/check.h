// What every test program shares: one line of verdict, comparisons with stated tolerances, reproducible
// inputs.
//
// A program prints `PASS name figures` and exits 0, or `FAIL name: why` and exits 1. It exits 77 (skipped)
// only where CUDA itself answers that a feature is not supported. Knows nothing of CUDA: the runtime and
// driver programs both use it.
#pragma once

#include <errno.h>

#include <cmath>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace check {

constexpr int kSkipExitCode = 77;

inline void verdict(const char* word, const char* separator, const char* format, va_list arguments) {
  std::printf("%s %s%s", word, program_invocation_short_name, separator);
  std::vprintf(format, arguments);
  std::printf("\n");
  std::fflush(stdout);
}

// exit() and not abort(): the CUDA libraries' own exit handlers are part of what is tested.
[[noreturn]] __attribute__((format(printf, 1, 2))) inline void fail(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  verdict("FAIL", ": ", format, arguments);
  va_end(arguments);
  std::exit(1);
}

[[noreturn]] __attribute__((format(printf, 1, 2))) inline void skip(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  verdict("SKIP", ": ", format, arguments);
  va_end(arguments);
  std::exit(kSkipExitCode);
}

// For `return check::pass(…)` at the end of main.
__attribute__((format(printf, 1, 2))) inline int pass(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  verdict("PASS", " ", format, arguments);
  va_end(arguments);
  return 0;
}

#define REQUIRE(condition, ...)                                   \
  do {                                                            \
    if (!(condition)) {                                           \
      std::printf("%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      check::fail(__VA_ARGS__);                                   \
    }                                                             \
  } while (0)

// splitmix64: the same inputs on every machine and run.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  uint32_t below(uint32_t bound) { return static_cast<uint32_t>((next() >> 32) * bound >> 32); }
  double uniform(double low, double high) {
    return low + (high - low) * static_cast<double>(next() >> 11) * 0x1p-53;
  }

 private:
  uint64_t state_;
};

template <typename T>
std::vector<T> random_reals(size_t count, uint64_t seed, double low, double high) {
  Random random(seed);
  std::vector<T> values(count);
  for (T& value : values) value = static_cast<T>(random.uniform(low, high));
  return values;
}

template <typename T>
std::vector<T> random_integers(size_t count, uint64_t seed) {
  Random random(seed);
  std::vector<T> values(count);
  for (T& value : values) value = static_cast<T>(random.next());
  return values;
}

// Bit for bit.
template <typename T>
void require_equal(const std::vector<T>& got, const std::vector<T>& want, const char* what) {
  REQUIRE(got.size() == want.size(), "%s: %zu elements, not %zu", what, got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    if (got[i] != want[i]) {
      fail("%s[%zu] is %.17g, not %.17g", what, i, static_cast<double>(got[i]), static_cast<double>(want[i]));
    }
  }
}

// |got - want| <= absolute + relative * |want| for every element; returns the largest |got - want| seen.
template <typename T, typename U>
double require_near(const std::vector<T>& got, const std::vector<U>& want, double relative, double absolute,
                    const char* what) {
  REQUIRE(got.size() == want.size(), "%s: %zu elements, not %zu", what, got.size(), want.size());
  double worst = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double g = static_cast<double>(got[i]), w = static_cast<double>(want[i]);
    const double error = std::fabs(g - w);
    if (!(error <= absolute + relative * std::fabs(w))) {  // NaN fails too
      fail("%s[%zu] is %.9g, not %.9g (off by %.3g)", what, i, g, w, error);
    }
    if (error > worst) worst = error;
  }
  return worst;
}

}  // namespace check

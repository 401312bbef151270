// Thrust on device vectors: sort, transform, reduce, scan, unique, gather and sets, against the standard
// library.
#include <thrust/device_vector.h>
#include <thrust/functional.h>
#include <thrust/inner_product.h>
#include <thrust/iterator/counting_iterator.h>
#include <thrust/reduce.h>
#include <thrust/scan.h>
#include <thrust/sort.h>
#include <thrust/transform.h>
#include <thrust/unique.h>

#include <algorithm>
#include <numeric>

#include "cuda_check.h"

namespace {

constexpr size_t kCount = 30000;

struct Mix {
  __host__ __device__ long long operator()(int x) const { return (x % 1000) * 3LL - 7; }
};
struct Greater {
  __host__ __device__ bool operator()(double a, double b) const { return a > b; }
};

template <typename T>
std::vector<T> host(const thrust::device_vector<T>& device) {
  std::vector<T> copy(device.size());
  thrust::copy(device.begin(), device.end(), copy.begin());
  return copy;
}

void check_integers() {
  std::vector<int> values = check::random_integers<int>(kCount, 23);
  thrust::device_vector<int> device(values.begin(), values.end());

  thrust::device_vector<long long> mixed(kCount);
  thrust::transform(device.begin(), device.end(), mixed.begin(), Mix{});
  std::vector<long long> want(kCount);
  std::transform(values.begin(), values.end(), want.begin(), Mix{});
  check::require_equal(host(mixed), want, "transformed");
  const long long sum = thrust::reduce(mixed.begin(), mixed.end(), 5LL);
  REQUIRE(sum == std::accumulate(want.begin(), want.end(), 5LL), "a sum of %lld", sum);

  thrust::inclusive_scan(mixed.begin(), mixed.end(), mixed.begin());
  std::partial_sum(want.begin(), want.end(), want.begin());
  check::require_equal(host(mixed), want, "sums");

  for (int& value : values) value %= 500;
  device.assign(values.begin(), values.end());
  thrust::sort(device.begin(), device.end());
  std::sort(values.begin(), values.end());
  check::require_equal(host(device), values, "sorted");
  device.erase(thrust::unique(device.begin(), device.end()), device.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  check::require_equal(host(device), values, "unique");
}

void check_doubles() {
  std::vector<double> values = check::random_reals<double>(kCount, 31, -5, 5);
  thrust::device_vector<double> device(values.begin(), values.end());
  thrust::device_vector<int> index(thrust::counting_iterator<int>(0), thrust::counting_iterator<int>(kCount));
  thrust::stable_sort_by_key(device.begin(), device.end(), index.begin(), Greater{});  // by merging
  std::vector<int> order(kCount);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return values[a] > values[b]; });
  check::require_equal(host(index), order, "order");
  const double dot = thrust::inner_product(device.begin(), device.end(), device.begin(), 0.0);
  double want = 0;
  for (const double value : values) want += value * value;
  REQUIRE(std::fabs(dot - want) <= 1e-9 * want, "a product of %.17g, not %.17g", dot, want);
}

}  // namespace

int main() {
  check_integers();
  check_doubles();
  return check::pass("sort, transform, reduce, scan, unique, merge sort by key, inner product of %zu",
                     kCount);
}

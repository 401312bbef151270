// c = a + b, once with an array of parameters and once with a parameter buffer; then a grid-stride loop over
// doubles.
#include "driver_check.h"

extern "C" const char vector_add_ptx[];

namespace {

struct __attribute__((packed)) VectorAddParameters {
  CUdeviceptr a, b, sum;
  uint32_t count;
};

void launch_with_buffer(CUfunction function, VectorAddParameters parameters) {
  size_t size = sizeof(parameters);
  void* extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, &parameters, CU_LAUNCH_PARAM_BUFFER_SIZE, &size,
                   CU_LAUNCH_PARAM_END};
  CU_CHECK(cuLaunchKernel(function, check::blocks_for(parameters.count, 192), 1, 1, 192, 1, 1, 0, nullptr,
                          nullptr, extra));
}

void check_scale(const check::Module& module) {
  std::vector<double> values = check::random_reals<double>(50'000, 3, -1, 1);
  const check::DeviceArray<double> device_values(values);
  check::launch(module.function("scale"), {7}, {96}, nullptr, device_values.get(), 1.1,
                uint64_t{values.size()});
  for (double& value : values) value *= 1.1;
  check::require_equal(device_values.download(), values, "scale");
}

}  // namespace

int main() {
  constexpr uint32_t kCount = 250'001;
  const check::Context context;
  const check::Module module(vector_add_ptx);
  const CUfunction add = module.function("vector_add");
  const std::vector<float> a = check::random_reals<float>(kCount, 1, -100, 100);
  const std::vector<float> b = check::random_reals<float>(kCount, 2, -100, 100);
  std::vector<float> want(kCount);
  for (uint32_t i = 0; i < kCount; ++i) want[i] = a[i] + b[i];

  const check::DeviceArray<float> device_a(a), device_b(b);
  check::DeviceArray<float> sum(kCount);
  check::launch(add, {check::blocks_for(kCount, 256)}, {256}, nullptr, device_a.get(), device_b.get(),
                sum.get(), kCount);
  check::require_equal(sum.download(), want, "sum");
  sum.fill(0);
  launch_with_buffer(add, {device_a.get(), device_b.get(), sum.get(), kCount});
  check::require_equal(sum.download(), want, "sum by parameter buffer");
  check_scale(module);
  return check::pass("%u elements, both ways to pass parameters: exact", kCount);
}

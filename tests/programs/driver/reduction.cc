// Sums across blocks by the last block to arrive, ballots and butterflies within warps.
#include <algorithm>

#include "driver_check.h"

extern "C" const char reduction_ptx[];

namespace {

void check_sum(const check::Module& module, const std::vector<int>& values) {
  constexpr unsigned kBlocks = 48;
  const check::DeviceArray<int> device_values(values), block_sums(kBlocks), total(1);
  const CUfunction reduce = module.function("reduce");
  int want = 0;
  for (const int value : values) want += value;
  for (int round = 0; round < 4; ++round) {  // the ticket counter comes back to 0 each time
    check::launch(reduce, {kBlocks}, {256}, nullptr, device_values.get(),
                  static_cast<uint32_t>(values.size()), block_sums.get(), total.get());
    const int got = total.download()[0];
    REQUIRE(got == want, "round %d: the sum is %d, not %d", round, got, want);
  }
}

void check_warps(const check::Module& module, const std::vector<int>& values) {
  const size_t warps = values.size() / 32;
  const check::DeviceArray<int> device_values(values), largest(warps);
  const check::DeviceArray<uint32_t> odd(warps);
  check::launch(module.function("odd_and_largest"), {check::blocks_for(values.size(), 128)}, {128}, nullptr,
                device_values.get(), odd.get(), largest.get());
  std::vector<uint32_t> want_odd(warps);
  std::vector<int> want_largest(warps, INT32_MIN);
  for (size_t i = 0; i < values.size(); ++i) {
    want_odd[i / 32] |= static_cast<uint32_t>(values[i] & 1) << (i % 32);
    want_largest[i / 32] = std::max(want_largest[i / 32], values[i]);
  }
  check::require_equal(odd.download(), want_odd, "ballot");
  check::require_equal(largest.download(), want_largest, "largest");
}

}  // namespace

int main() {
  const check::Context context;
  const check::Module module(reduction_ptx);
  std::vector<int> values(128 * 1024);
  check::Random random(5);
  for (int& value : values) value = static_cast<int>(random.below(20'000)) - 10'000;
  check_sum(module, values);
  check_warps(module, values);
  return check::pass("%zu integers summed 4 times, %zu warps voted: exact", values.size(),
                     values.size() / 32);
}

// Inclusive sums of runs in shared memory, the runs' sums scanned in turn, then added: three launches, any
// length.
#include "driver_check.h"

extern "C" const char scan_ptx[];

namespace {

constexpr unsigned kBlock = 256, kRun = kBlock * 4;  // as the kernels have them

void run(const check::Module& module, unsigned count) {
  check::Random random(count);
  std::vector<int> values(count), want(count);
  int sum = 0;
  for (unsigned i = 0; i < count; ++i) {
    values[i] = static_cast<int>(random.below(2001)) - 1000;
    want[i] = sum += values[i];
  }
  const unsigned runs = check::blocks_for(count, kRun);
  REQUIRE(runs <= kRun, "%u runs are more than one block scans", runs);
  const check::DeviceArray<int> input(values), sums(count), run_sums(runs), total(1);
  const CUfunction scan = module.function("scan_runs");
  check::launch(scan, {runs}, {kBlock}, nullptr, input.get(), sums.get(), run_sums.get(), count);
  check::launch(scan, {1}, {kBlock}, nullptr, run_sums.get(), run_sums.get(), total.get(), runs);
  check::launch(module.function("add_before"), {runs}, {kBlock}, nullptr, sums.get(), run_sums.get(), count);
  check::require_equal(sums.download(), want, "sums");
  check::require_equal(total.download(), {sum}, "total");
}

}  // namespace

int main() {
  const check::Context context;
  const check::Module module(scan_ptx);
  for (const unsigned count : {1u, 255u, 1024u, 1025u, 300'001u}) run(module, count);
  return check::pass("five lengths up to 300001");
}

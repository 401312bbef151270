#include "scheduling/simulation/workload.h"

#include <algorithm>
#include <iterator>

namespace tessera::scheduling {
namespace {

constexpr const char* kOrders[] = {"weighted-fair", "weighted-fair", "feedback", "earliest-deadline"};
constexpr const char* kSlices[] = {"adaptive", "fixed"};
// What all tenants drawn may have been promised together stays below the whole: 8 tenants of at most this.
constexpr uint64_t kLargestShare = kWhole / 8;

template <typename T, size_t Count>
const T& pick(Random& random, const T (&from)[Count]) {
  return from[random.below(Count)];
}

TenantSpec draw_spec(Random& random, bool whole_gpu) {
  TenantSpec spec;
  spec.priority = static_cast<PriorityClass>(random.below(kPriorityClasses));
  if (random.one_in(2)) spec.priority = PriorityClass::kNormal;
  spec.weight = static_cast<uint32_t>(random.one_in(2) ? kDefaultWeight : random.between(1, 1000));
  if (random.one_in(3)) spec.share_permille = static_cast<uint32_t>(random.between(10, kLargestShare));
  if (random.one_in(5)) {
    spec.cap_permille = static_cast<uint32_t>(random.between(std::max(spec.share_permille, 20u), 900));
  }
  if (!whole_gpu && random.one_in(2)) spec.width_permille = static_cast<uint32_t>(random.between(1, 4)) * 250;
  if (random.one_in(4)) spec.target_wait_ns = random.between(1, 50) * kMillisecond;
  return spec;
}

}  // namespace

Program draw_program(Random& random, bool whole_gpu) {
  static constexpr Nanoseconds kLengths[] = {5 * kMicrosecond, 50 * kMicrosecond, 500 * kMicrosecond,
                                             2 * kMillisecond, 10 * kMillisecond, 40 * kMillisecond};
  Program program;
  program.spec = draw_spec(random, whole_gpu);
  program.kernel_ns = pick(random, kLengths);
  program.kernels_vary = random.one_in(2);
  if (random.one_in(2)) {
    program.kernels_per_burst = 0;
  } else {
    program.kernels_per_burst = static_cast<uint32_t>(random.between(1, 20));
    program.pause_ns = random.between(0, 20) * kMillisecond;
  }
  return program;
}

Workload draw_workload(Random& random) {
  Workload workload;
  workload.config.order = pick(random, kOrders);
  workload.config.slice = pick(random, kSlices);
  workload.config.limits.shortest_ns = random.between(1, 4) * kMillisecond;
  const bool whole_gpu = random.one_in(2);
  const uint64_t tenants = random.between(1, 8);
  for (uint64_t i = 0; i < tenants; ++i) {
    Program program = draw_program(random, whole_gpu);
    program.starts_ns = random.one_in(2) ? 0 : random.below(2 * kSecond);
    workload.programs.push_back(std::move(program));
  }
  const uint64_t faults = random.below(6);
  for (uint64_t i = 0; i < faults; ++i) {
    workload.faults.push_back({random.below(20 * kSecond), static_cast<FaultKind>(random.below(6))});
  }
  std::sort(workload.faults.begin(), workload.faults.end(),
            [](const Fault& a, const Fault& b) { return a.at_ns < b.at_ns; });
  return workload;
}

Workload draw_company(Random& random) {
  static constexpr Nanoseconds kLengths[] = {50 * kMicrosecond, 500 * kMicrosecond, 2 * kMillisecond};
  Workload workload;
  workload.measured_widths = true;
  const uint64_t tenants = random.between(2, 6);
  for (uint64_t i = 0; i < tenants; ++i) {
    Program program;
    program.kernels_per_burst = 0;
    program.kernel_ns = pick(random, kLengths);
    program.kernels_vary = random.one_in(3);
    program.spec.width_permille = static_cast<uint32_t>(random.between(1, 8)) * 125;
    if (random.one_in(2)) program.spec.weight = static_cast<uint32_t>(random.between(50, 200));
    if (random.one_in(4)) program.claims_permille = 125;
    if (random.one_in(4)) program.hurt_permille = static_cast<uint32_t>(random.between(50, 500));
    workload.programs.push_back(std::move(program));
  }
  if (random.one_in(2))
    workload.faults.push_back({random.below(5 * kSecond), static_cast<FaultKind>(random.below(6))});
  return workload;
}

}  // namespace tessera::scheduling

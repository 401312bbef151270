#include "scheduling/cluster/cluster_job.h"

#include <algorithm>
#include <iterator>

namespace tessera::scheduling {
namespace {

constexpr Nanoseconds kLengths[] = {2 * kMillisecond, 10 * kMillisecond, 50 * kMillisecond,
                                    200 * kMillisecond};
constexpr uint32_t kFewest = 5, kMost = 55;
constexpr uint64_t kGiB = uint64_t{1} << 30;
constexpr PriorityClass kPriorities[] = {PriorityClass::kHigh, PriorityClass::kNormal, PriorityClass::kNormal,
                                         PriorityClass::kNormal, PriorityClass::kLow};

}  // namespace

Nanoseconds mean_work_ns() {
  Nanoseconds sum = 0;
  for (Nanoseconds length : kLengths) sum += length;
  return sum / std::size(kLengths) * (kFewest + kMost) / 2;
}

ClusterJob draw_job(Random& random) {
  ClusterJob job;
  job.kernel_ns = kLengths[random.below(std::size(kLengths))];
  job.kernels = static_cast<uint32_t>(random.between(kFewest, kMost));
  job.kernels_per_burst = static_cast<uint32_t>(random.between(1, job.kernels));
  if (random.one_in(2)) job.pause_ns = random.between(1, 4) * job.kernel_ns * job.kernels_per_burst / 2;
  job.spec.priority = kPriorities[random.below(std::size(kPriorities))];
  if (random.one_in(3)) job.spec.share_permille = static_cast<uint32_t>(random.between(1, 5)) * 100;
  if (random.one_in(300)) job.fails_one_in = static_cast<uint32_t>(random.between(1, 50));
  job.needs.memory_bytes = random.between(1, 20) * kGiB;
  job.needs.share_permille = job.spec.share_permille;
  job.needs.load = static_cast<double>(job.kernels * job.kernel_ns) / static_cast<double>(job.alone_ns());
  job.left = job.kernels;
  return job;
}

Nanoseconds ClusterJob::alone_ns() const {
  const uint32_t pauses = (kernels - 1) / kernels_per_burst;
  return kernels * kernel_ns + pauses * pause_ns;
}

}  // namespace tessera::scheduling

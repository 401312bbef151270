#include "common/numa.h"

#include <linux/mempolicy.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>

#include "common/fd.h"
#include "common/index_set.h"
#include "common/strings.h"

namespace tessera {
namespace {

constexpr uint32_t kMaxNodes = 1024;
constexpr uint32_t kWordBits = sizeof(unsigned long) * CHAR_BIT;

}  // namespace

Status prefer_numa_node(void* memory, size_t bytes, uint32_t node) {
  if (node >= kMaxNodes) return Status::error(Code::kInvalidArgument, "there is no NUMA node %u", node);
  std::array<unsigned long, kMaxNodes / kWordBits> mask{};
  mask[node / kWordBits] = 1UL << node % kWordBits;
  if (syscall(SYS_mbind, memory, bytes, MPOL_PREFERRED, mask.data(), kMaxNodes + 1, 0) != 0)
    return Status::from_errno(errno, "memory cannot be had of NUMA node %u", node);
  return Status();
}

Status run_on_numa_node(uint32_t node) {
  constexpr size_t kMost = 4096;
  TESSERA_ASSIGN_OR_RETURN(const std::string text,
                           read_file(str_format("/sys/devices/system/node/node%u/cpulist", node), kMost));
  TESSERA_ASSIGN_OR_RETURN(const IndexSet cpus, IndexSet::parse(trim(text)));
  cpu_set_t allowed, wanted;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
    return Status::from_errno(errno, "cannot tell on which processors a thread may run");
  CPU_ZERO(&wanted);
  for (uint32_t cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (cpus.contains(cpu) && CPU_ISSET(cpu, &allowed)) CPU_SET(cpu, &wanted);
  if (CPU_COUNT(&wanted) == 0)
    return Status::error(Code::kFailedPrecondition, "no processor of NUMA node %u may be used", node);
  if (sched_setaffinity(0, sizeof wanted, &wanted) != 0)
    return Status::from_errno(errno, "cannot run on NUMA node %u", node);
  return Status();
}

}  // namespace tessera

#include "common/numa.h"

#include <gtest/gtest.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <thread>

namespace tessera {
namespace {

TEST(Numa, MemoryOfANode) {
  constexpr size_t kBytes = 1 << 16;
  void* memory = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  const Status preferred = prefer_numa_node(memory, kBytes, 0);
  int mode = -1;
  unsigned long nodes[16] = {};
  const bool told = syscall(SYS_get_mempolicy, &mode, nodes, sizeof nodes * 8, memory, MPOL_F_ADDR) == 0;
  if (told) {  // a container may be refused both calls
    ASSERT_TRUE(preferred.ok()) << preferred.message();
    EXPECT_EQ(mode, MPOL_PREFERRED);
    EXPECT_EQ(nodes[0], 1u);
  }
  EXPECT_EQ(prefer_numa_node(memory, kBytes, 5000).code(), Code::kInvalidArgument);
  EXPECT_FALSE(prefer_numa_node(memory, kBytes, 1000).ok());
  munmap(memory, kBytes);
}

TEST(Numa, AThreadStaysWhereItMayRun) {
  std::thread([] {
    cpu_set_t before, after;
    ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
    EXPECT_FALSE(run_on_numa_node(1000).ok());
    const Status there = run_on_numa_node(0);
    ASSERT_EQ(sched_getaffinity(0, sizeof after, &after), 0);
    cpu_set_t both;
    CPU_AND(&both, &before, &after);
    EXPECT_TRUE(CPU_EQUAL(&both, &after));
    EXPECT_GT(CPU_COUNT(&after), 0);
    if (!there.ok()) {
      EXPECT_TRUE(CPU_EQUAL(&before, &after)) << there.message();
    }
  }).join();
}

}  // namespace
}  // namespace tessera

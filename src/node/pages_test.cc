#include "node/pages.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

namespace tessera::node {
namespace {

TEST(Pages, CountersAreBounded) {
  auto counters = CounterMapping::create();
  ASSERT_TRUE(counters.ok());
  void* page = mmap(nullptr, vgpu::kPageBytes, PROT_READ | PROT_WRITE, MAP_SHARED, counters->descriptor(), 0);
  ASSERT_NE(page, MAP_FAILED);
  auto& device = static_cast<vgpu::CounterPage*>(page)->devices[3];
  device.used_bytes = UINT64_MAX;
  device.peak_bytes = UINT64_MAX;
  device.refusals = UINT64_MAX;
  device.ready_ns = 100;
  device.ready_sm_ns = UINT64_MAX;
  CounterValues values = counters->read(3, 100, 150);
  EXPECT_EQ(values.used_bytes, 100U);
  EXPECT_EQ(values.peak_bytes, 150U);
  EXPECT_EQ(values.refusals, (uint64_t{1} << 53) - 1);
  EXPECT_EQ(values.ready_sm_ns, 100 * uint64_t{IndexSet::kMax});
  munmap(page, vgpu::kPageBytes);
}

TEST(Pages, ACounterPageCannotShrink) {
  auto counters = CounterMapping::create();
  ASSERT_TRUE(counters.ok());
  EXPECT_NE(ftruncate(counters->descriptor(), 0), 0);
  EXPECT_NE(fcntl(counters->descriptor(), F_ADD_SEALS, F_SEAL_WRITE), 0);
}

TEST(Pages, AGrantPageCannotBeWrittenByItsReader) {
  auto grants = GrantMapping::create();
  ASSERT_TRUE(grants.ok());
  int file = grants->descriptor();
  EXPECT_EQ(mmap(nullptr, vgpu::kPageBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0), MAP_FAILED);
  EXPECT_LT(pwrite(file, "x", 1, 0), 0);
  void* page = mmap(nullptr, vgpu::kPageBytes, PROT_READ, MAP_SHARED, file, 0);
  ASSERT_NE(page, MAP_FAILED);
  EXPECT_NE(mprotect(page, vgpu::kPageBytes, PROT_READ | PROT_WRITE), 0);
  grants->set_limit(2, 77, false);
  EXPECT_EQ(static_cast<const vgpu::GrantPage*>(page)->devices[2].limit_bytes, 77U);
  munmap(page, vgpu::kPageBytes);
}

}  // namespace
}  // namespace tessera::node

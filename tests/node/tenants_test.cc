// Tenants that come and go, by the thousand: what the daemon remembers of them is bounded.
#include <sys/mman.h>

#include <fstream>

#include "harness.h"
#include "node/slice_facts.h"

namespace tessera::node {
namespace {

constexpr int kTenants = 10'000;

size_t resident_bytes() {
  size_t whole = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> whole >> resident;
  return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

// Sanitizers keep what is freed for a while.
constexpr bool kFreedIsFree =
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    false;
#elif defined(__has_feature)
    !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer);
#else
    true;
#endif

class TenantsTest : public ::testing::Test {
 protected:
  // A slice with a process that fails on the GPU, and ends.
  void come_and_go(int number) {
    SliceRequest request;
    request.program = "tenant-" + std::to_string(number);
    request.owner = geteuid();
    request.memory_bytes = {1 << 20};
    for (size_t i = 0; i < sizeof number; ++i)
      request.token[i] = static_cast<uint8_t>(static_cast<unsigned>(number) >> (8 * i));
    auto slice = daemon_->leases().open_slice(request);
    ASSERT_TRUE(slice.ok()) << slice.status().message();
    TestClient client(daemon_.path());
    client.attach(request.token);
    ASSERT_TRUE(client.receive<vgpu::AttachedReply>(daemon_, vgpu::MessageType::kAttached));
    void* page =
        mmap(nullptr, vgpu::kPageBytes, PROT_READ | PROT_WRITE, MAP_SHARED, client.pages[0].get(), 0);
    ASSERT_NE(page, MAP_FAILED);
    vgpu::DeviceCounters& counters = static_cast<vgpu::CounterPage*>(page)->devices[0];
    counters.fault = 719;  // CUDA_ERROR_LAUNCH_FAILED
    counters.launches = counters.timed_kernels = 3;
    counters.timed_kernel_buckets[1] = 3;
    munmap(page, vgpu::kPageBytes);
    // Looked at while it is there.
    const SliceFacts facts = slice_facts(*daemon_.ledger().find_slice(*slice), daemon_->leases());
    EXPECT_EQ(facts.parts.at(0).usage.timed_kernel_buckets[1], 3U);
    client.close();
    daemon_->leases().drop_holder(*slice);
    ASSERT_TRUE(daemon_.until([&] { return daemon_.ledger().slices().empty(); }));
  }

  TestDaemon daemon_;
};

TEST_F(TenantsTest, TenThousandComeAndGoInBoundedMemory) {
  size_t settled = 0;
  for (int i = 1; i <= kTenants && !HasFatalFailure(); ++i) {
    come_and_go(i);
    if (i == kTenants / 4) settled = resident_bytes();
  }
  EXPECT_EQ(daemon_->leases().events().events().size(), monitoring::EventList::kMost);
  EXPECT_LE(daemon_->leases().faults().records().size(), TenantFaults::kMaxTenants);
  EXPECT_EQ(daemon_->connections(), 0U);
  constexpr size_t kMostGrowth = 4 << 20;
  if (kFreedIsFree) {
    EXPECT_LT(resident_bytes(), settled + kMostGrowth);
  }
}

}  // namespace
}  // namespace tessera::node

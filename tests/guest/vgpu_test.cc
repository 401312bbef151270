// The vGPU's functions over a driver whose answers the test sets, and a daemon in this process.
#include "virtualization/vgpu/vgpu.h"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <random>

#include "fake_driver.h"
#include "test_daemon.h"
#include "virtualization/driver_loader.h"

namespace tessera::vgpu {
namespace {

constexpr uint64_t kMiB = 1 << 20;
constexpr uint64_t kLimit = 64 * kMiB;

// One per process, as in a program.
struct World {
  test::TestDaemon daemon;
  cuda::DriverTable lower;
  cuda::DriverTable exported;
  cuda::DriverTable upper;
  FakeDriver* driver;

  World() {
    auto loaded = load_driver(FAKE_DRIVER_PATH);
    if (!loaded.ok()) abort();
    lower = *loaded;
    void* library = dlopen(FAKE_DRIVER_PATH, RTLD_NOW);
    driver = reinterpret_cast<FakeDriver* (*)()>(dlsym(library, "fake_driver"))();
    // Distinct addresses that stand for the guest's exports.
    auto* slots = reinterpret_cast<uintptr_t*>(&exported);
    for (size_t i = 0; i < cuda::kDriverEntriesCount; ++i) slots[i] = 0x10000 + i;
    static Vgpu vgpu(lower, exported, {daemon.token_text(), daemon.socket_path()});
    install(upper, lower, vgpu);
  }
};

World& world() {
  static World* const instance = new World;
  return *instance;
}

class VgpuTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(cu.cuInit(0), CUDA_SUCCESS); }
  void TearDown() override {
    driver.alloc_result = CUDA_SUCCESS;
    driver.free_result = CUDA_SUCCESS;
    driver.context_result = CUDA_SUCCESS;
    driver.pitch_unit = 512;
    driver.current = nullptr;
    driver.driver_version = 13000;
    driver.graph_takes = 0;
    EXPECT_EQ(used(), 0u);
  }
  uint64_t used() const { return world().daemon.counters().used_bytes; }

  cuda::DriverTable& cu = world().upper;
  FakeDriver& driver = *world().driver;
};

TEST_F(VgpuTest, ShowsTheSliceInsteadOfTheCard) {
  size_t total = 0;
  size_t free = 0;
  EXPECT_EQ(cu.cuDeviceTotalMem_v2(&total, 0), CUDA_SUCCESS);
  EXPECT_EQ(total, kLimit);
  CUdeviceptr memory;
  ASSERT_EQ(cu.cuMemAlloc_v2(&memory, 4 * kMiB), CUDA_SUCCESS);
  EXPECT_EQ(cu.cuMemGetInfo_v2(&free, &total), CUDA_SUCCESS);
  EXPECT_EQ(total, kLimit);
  EXPECT_EQ(free, kLimit - 4 * kMiB);
  driver.real_free_bytes = kMiB;
  EXPECT_EQ(cu.cuMemGetInfo_v2(&free, &total), CUDA_SUCCESS);
  EXPECT_EQ(free, kMiB);
  driver.real_free_bytes = 64ull << 30;
  EXPECT_EQ(cu.cuMemFree_v2(memory), CUDA_SUCCESS);
}

TEST_F(VgpuTest, RefusesAtTheLimitWithCudasOwnErrorAndGoesOn) {
  CUdeviceptr all;
  CUdeviceptr more = 1;
  ASSERT_EQ(cu.cuMemAlloc_v2(&all, kLimit), CUDA_SUCCESS);
  uint64_t refusals = world().daemon.counters().refusals;
  EXPECT_EQ(cu.cuMemAlloc_v2(&more, 1), CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(cu.cuMemAllocManaged(&more, 1, CU_MEM_ATTACH_GLOBAL), CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(cu.cuMemAllocAsync(&more, 1, nullptr), CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(world().daemon.counters().refusals, refusals + 3);
  EXPECT_EQ(driver.live_bytes, kLimit);  // the driver was not asked
  EXPECT_EQ(cu.cuMemFree_v2(all), CUDA_SUCCESS);
  EXPECT_EQ(cu.cuMemAlloc_v2(&more, ~size_t{0}), CUDA_ERROR_OUT_OF_MEMORY);
  ASSERT_EQ(cu.cuMemAlloc_v2(&more, 1), CUDA_SUCCESS);
  EXPECT_EQ(used(), 512u);
  EXPECT_EQ(cu.cuMemFree_v2(more), CUDA_SUCCESS);
}

TEST_F(VgpuTest, WhatTheDriverRefusesIsNotCharged) {
  CUdeviceptr memory;
  driver.alloc_result = CUDA_ERROR_OUT_OF_MEMORY;
  EXPECT_EQ(cu.cuMemAlloc_v2(&memory, kMiB), CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(cu.cuMemAlloc_v2(&memory, 0), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(cu.cuMemAlloc_v2(nullptr, 1), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(VgpuTest, EveryCreditHappensOnce) {
  CUdeviceptr memory;
  ASSERT_EQ(cu.cuMemAlloc_v2(&memory, kMiB), CUDA_SUCCESS);
  driver.free_result = CUDA_ERROR_ILLEGAL_ADDRESS;
  EXPECT_EQ(cu.cuMemFree_v2(memory), CUDA_ERROR_ILLEGAL_ADDRESS);
  EXPECT_EQ(used(), kMiB);
  driver.free_result = CUDA_SUCCESS;
  EXPECT_EQ(cu.cuMemFree_v2(memory), CUDA_SUCCESS);
  EXPECT_EQ(used(), 0u);
  EXPECT_EQ(cu.cuMemFree_v2(memory), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(cu.cuMemFree_v2(0), CUDA_SUCCESS);
  EXPECT_EQ(used(), 0u);
}

TEST_F(VgpuTest, PitchedMemoryIsChargedAsTheDriverLaysItOut) {
  CUdeviceptr memory;
  size_t pitch;
  driver.pitch_unit = 4096;
  ASSERT_EQ(cu.cuMemAllocPitch_v2(&memory, &pitch, 100, 1000, 4), CUDA_SUCCESS);
  EXPECT_EQ(used(), 4096u * 1000 + (4096 * 1000) % 512);
  EXPECT_EQ(cu.cuMemFree_v2(memory), CUDA_SUCCESS);
  // Fits by what is expected, not by what it turns out to take.
  driver.pitch_unit = kMiB;
  EXPECT_EQ(cu.cuMemAllocPitch_v2(&memory, &pitch, 100, 100, 4), CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(driver.live_bytes, 0u);
}

TEST_F(VgpuTest, StreamOrderedMemoryIsChargedAndFreedByEitherCall) {
  CUdeviceptr memory;
  ASSERT_EQ(cu.cuMemAllocAsync_ptsz(&memory, kMiB, nullptr), CUDA_SUCCESS);
  EXPECT_EQ(driver.ptsz_allocs, 1u);
  EXPECT_EQ(used(), kMiB);
  EXPECT_EQ(cu.cuMemFreeAsync(memory, nullptr), CUDA_SUCCESS);
  ASSERT_EQ(cu.cuMemAllocAsync(&memory, kMiB, nullptr), CUDA_SUCCESS);
  EXPECT_EQ(driver.ptsz_allocs, 1u);
  EXPECT_EQ(cu.cuMemFree_v2(memory), CUDA_SUCCESS);
}

TEST_F(VgpuTest, ArraysAreChargedByTheirShape) {
  CUDA_ARRAY_DESCRIPTOR shape{1024, 512, CU_AD_FORMAT_FLOAT, 4};
  CUarray array;
  ASSERT_EQ(cu.cuArrayCreate_v2(&array, &shape), CUDA_SUCCESS);
  EXPECT_EQ(used(), 1024u * 512 * 16);
  EXPECT_EQ(cu.cuArrayDestroy(array), CUDA_SUCCESS);
}

TEST_F(VgpuTest, PhysicalMemoryLivesAsLongAsAHandleOrAMapping) {
  CUmemAllocationProp prop{};
  prop.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  prop.location = {CU_MEM_LOCATION_TYPE_DEVICE, 0};
  CUmemGenericAllocationHandle handle;
  ASSERT_EQ(cu.cuMemCreate(&handle, 2 * kMiB, &prop, 0), CUDA_SUCCESS);
  EXPECT_EQ(cu.cuMemMap(0x1000000, 2 * kMiB, 0, handle, 0), CUDA_SUCCESS);
  EXPECT_EQ(cu.cuMemRelease(handle), CUDA_SUCCESS);
  EXPECT_EQ(used(), 2 * kMiB);
  EXPECT_EQ(cu.cuMemUnmap(0x1000000, 2 * kMiB), CUDA_SUCCESS);
  EXPECT_EQ(used(), 0u);
  EXPECT_EQ(cu.cuMemCreate(&handle, kLimit + 2 * kMiB, &prop, 0), CUDA_ERROR_OUT_OF_MEMORY);
}

TEST_F(VgpuTest, WhatTheDriverReservesForGraphsBeyondTheLimitIsADebt) {
  driver.graph_node_bytes = 10 * kMiB;
  driver.graph_takes = 32 * kMiB;  // a driver's units are its own affair
  CUgraphExec exec = nullptr;
  CUdeviceptr rest = 0, none = 0;
  ASSERT_EQ(cu.cuGraphInstantiateWithFlags(&exec, nullptr, 0), CUDA_SUCCESS);
  ASSERT_EQ(cu.cuMemAlloc_v2(&rest, kLimit - 20 * kMiB), CUDA_SUCCESS);
  EXPECT_EQ(cu.cuGraphLaunch(exec, nullptr), CUDA_SUCCESS);
  EXPECT_EQ(used(), kLimit - 10 * kMiB);  // 22 MiB of the 32 are owed
  EXPECT_EQ(cu.cuMemAlloc_v2(&none, 512), CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(cu.cuMemFree_v2(rest), CUDA_SUCCESS);
  EXPECT_EQ(cu.cuMemAlloc_v2(&rest, 512), CUDA_SUCCESS);  // there is room to pay
  EXPECT_EQ(used(), 32 * kMiB + 512);
  EXPECT_EQ(cu.cuMemFree_v2(rest), CUDA_SUCCESS);
  EXPECT_EQ(cu.cuDeviceGraphMemTrim(0), CUDA_SUCCESS);
  EXPECT_EQ(used(), 0u);
  EXPECT_EQ(cu.cuGraphExecDestroy(exec), CUDA_SUCCESS);
}

TEST_F(VgpuTest, GraphsAreLookedAtAfterEachLaunch) {
  driver.graph_node_bytes = driver.graph_takes = 10 * kMiB;
  CUgraphExec exec = nullptr;
  ASSERT_EQ(cu.cuGraphInstantiateWithFlags(&exec, nullptr, 0), CUDA_SUCCESS);
  EXPECT_EQ(cu.cuGraphLaunch(exec, nullptr), CUDA_SUCCESS);
  EXPECT_EQ(used(), 10 * kMiB);
  driver.graph_reserved = 0;  // the driver has trimmed by itself
  driver.graph_takes = 0;
  EXPECT_EQ(cu.cuGraphLaunch(exec, nullptr), CUDA_SUCCESS);
  EXPECT_EQ(used(), 0u);
  driver.graph_takes = 10 * kMiB;
  EXPECT_EQ(cu.cuGraphLaunch(exec, nullptr), CUDA_SUCCESS);
  EXPECT_EQ(used(), 10 * kMiB);
  EXPECT_EQ(cu.cuDeviceGraphMemTrim(0), CUDA_SUCCESS);
  EXPECT_EQ(cu.cuGraphExecDestroy(exec), CUDA_SUCCESS);
}

TEST_F(VgpuTest, TheEndOfAContextCreditsWhatWasInIt) {
  CUcontext context;
  CUdeviceptr memory;
  ASSERT_EQ(cu.cuDevicePrimaryCtxRetain(&context, 0), CUDA_SUCCESS);
  ASSERT_EQ(cu.cuDevicePrimaryCtxRetain(&context, 0), CUDA_SUCCESS);
  ASSERT_EQ(cu.cuMemAlloc_v2(&memory, kMiB), CUDA_SUCCESS);
  EXPECT_EQ(cu.cuDevicePrimaryCtxRelease_v2(0), CUDA_SUCCESS);
  EXPECT_EQ(used(), kMiB);
  EXPECT_EQ(cu.cuDevicePrimaryCtxRelease_v2(0), CUDA_SUCCESS);
  EXPECT_EQ(used(), 0u);
  EXPECT_EQ(cu.cuMemFree_v2(memory), CUDA_SUCCESS);  // the double does not end its memory; no second credit
  EXPECT_EQ(used(), 0u);

  driver.current = reinterpret_cast<CUcontext>(uintptr_t{0x2000});
  ASSERT_EQ(cu.cuMemAlloc_v2(&memory, kMiB), CUDA_SUCCESS);
  driver.context_result = CUDA_ERROR_INVALID_CONTEXT;
  EXPECT_EQ(cu.cuCtxDestroy_v2(driver.current), CUDA_ERROR_INVALID_CONTEXT);
  EXPECT_EQ(used(), kMiB);
  driver.context_result = CUDA_SUCCESS;
  EXPECT_EQ(cu.cuCtxDestroy_v2(driver.current), CUDA_SUCCESS);
  EXPECT_EQ(used(), 0u);
  EXPECT_EQ(cu.cuMemFree_v2(memory), CUDA_SUCCESS);
}

TEST_F(VgpuTest, CountsLaunchesAndCopies) {
  const DeviceCounters& counters = world().daemon.counters();
  uint64_t launches = counters.launches;
  uint64_t to = counters.bytes_to_device;
  uint64_t from = counters.bytes_from_device;
  cu.cuLaunchKernel(nullptr, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, nullptr);
  uint64_t plain = driver.launches;
  cu.cuLaunchKernel_ptsz(nullptr, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, nullptr);
  EXPECT_EQ(driver.launches, plain);
  EXPECT_EQ(driver.ptsz_launches, 1u);
  cu.cuMemcpyHtoD_v2(0, nullptr, 100);
  cu.cuMemcpyDtoH_v2(nullptr, 0, 10);
  EXPECT_EQ(counters.launches, launches + 2);
  EXPECT_EQ(counters.bytes_to_device, to + 100);
  EXPECT_EQ(counters.bytes_from_device, from + 10);
}

class LookupTest : public VgpuTest {
 protected:
  const void* ours(const char* symbol) {
    auto found = cuda::find_driver_symbol(symbol);
    return reinterpret_cast<const void*>(uintptr_t{0x10000} + found.index);
  }
  CUresult ask(const char* name, int version, cuuint64_t flags) {
    pfn = &pfn;
    return cu.cuGetProcAddress_v2(name, &pfn, version, flags, &status);
  }
  void* pfn = nullptr;
  CUdriverProcAddressQueryResult status = CU_GET_PROC_ADDRESS_SUCCESS;
};

TEST_F(LookupTest, AnswersWithOurExportOfTheAskedForm) {
  EXPECT_EQ(ask("cuLaunchKernel", 13000, CU_GET_PROC_ADDRESS_DEFAULT), CUDA_SUCCESS);
  EXPECT_EQ(pfn, ours("cuLaunchKernel"));
  EXPECT_EQ(ask("cuLaunchKernel", 13000, CU_GET_PROC_ADDRESS_LEGACY_STREAM), CUDA_SUCCESS);
  EXPECT_EQ(pfn, ours("cuLaunchKernel"));
  EXPECT_EQ(ask("cuLaunchKernel", 13000, CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM), CUDA_SUCCESS);
  EXPECT_EQ(pfn, ours("cuLaunchKernel_ptsz"));
  EXPECT_EQ(ask("cuMemAllocAsync", 12000, CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM), CUDA_SUCCESS);
  EXPECT_EQ(pfn, ours("cuMemAllocAsync_ptsz"));
  EXPECT_EQ(ask("cuInit", 13000, CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM), CUDA_SUCCESS);
  EXPECT_EQ(pfn, ours("cuInit"));
  EXPECT_EQ(ask("cuMemAlloc", 13000, 0), CUDA_SUCCESS);
  EXPECT_EQ(pfn, ours("cuMemAlloc_v2"));
}

TEST_F(LookupTest, AnOlderDriversFormIsAnsweredWithThatForm) {
  driver.driver_version = 12040;
  EXPECT_EQ(ask("cuCtxGetDevice", 13000, 0), CUDA_SUCCESS);
  EXPECT_EQ(pfn, ours("cuCtxGetDevice"));  // not _v2, which has other parameters
}

TEST_F(LookupTest, WhatWeDoNotKnowIsNotFoundEvenIfTheDriverKnowsIt) {
  EXPECT_EQ(ask("cuOnlyTheDriverKnows", 13000, 0), CUDA_ERROR_NOT_FOUND);
  EXPECT_EQ(pfn, nullptr);
  EXPECT_EQ(status, CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND);
  EXPECT_EQ(ask("cuMemAlloc", 2000, 0), CUDA_ERROR_NOT_FOUND);  // the driver has no form that old
}

TEST_F(LookupTest, ANameOfTheDriversOwnForAFunctionWeExportIsAnsweredWithOurs) {
  EXPECT_EQ(ask("", 0, 0), CUDA_SUCCESS);
  EXPECT_EQ(pfn, ours("cuGetProcAddress_v2"));
}

TEST_F(VgpuTest, PassesExportTablesOn) {
  const void* table = nullptr;
  CUuuid id{};
  EXPECT_EQ(cu.cuGetExportTable(&table, &id), CUDA_SUCCESS);
  EXPECT_EQ(table, &driver);
  EXPECT_EQ(cu.cuGetExportTable, world().lower.cuGetExportTable);
}

TEST_F(VgpuTest, EightThreadsAllocateAndFreeAndNothingIsLost) {
  std::atomic<int> refused{0};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(t);
      std::vector<CUdeviceptr> live;
      for (int i = 0; i < 1500; ++i) {
        if (live.empty() || random() % 2 == 0) {
          CUdeviceptr memory;
          CUresult result = random() % 2 == 0
                                ? cu.cuMemAlloc_v2(&memory, 1 + random() % (4 * kMiB))
                                : cu.cuMemAllocAsync(&memory, 1 + random() % (4 * kMiB), nullptr);
          if (result == CUDA_SUCCESS) {
            live.push_back(memory);
          } else {
            ++refused;
          }
        } else {
          size_t index = random() % live.size();
          EXPECT_EQ(cu.cuMemFree_v2(live[index]), CUDA_SUCCESS);
          live.erase(live.begin() + static_cast<ptrdiff_t>(index));
        }
        EXPECT_LE(driver.live_bytes, kLimit);
      }
      for (CUdeviceptr memory : live) EXPECT_EQ(cu.cuMemFree_v2(memory), CUDA_SUCCESS);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(refused, 0);
  EXPECT_EQ(driver.live_bytes, 0u);
  EXPECT_LE(world().daemon.counters().peak_bytes, kLimit);
}

}  // namespace
}  // namespace tessera::vgpu

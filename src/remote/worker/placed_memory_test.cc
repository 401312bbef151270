#include "remote/worker/placed_memory.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "remote/wire/regions.h"

namespace tessera::remote {
namespace {

constexpr uint64_t kGranule = 2 << 20;

// A driver that keeps books, and refuses what CUDA refuses.
struct Books {
  std::map<CUmemGenericAllocationHandle, uint64_t> physical;  // and their bytes
  std::map<CUdeviceptr, uint64_t> mapped;
  std::set<CUdeviceptr> accessible;
  std::set<CUevent> events, due;
  uint64_t next = 1;
  uint64_t left = 64 * kGranule;
  bool moves_reservations = false;
  int synchronised = 0;
};
Books books;

CUcontext the_context() { return reinterpret_cast<CUcontext>(0x10); }

cuda::DriverTable make_driver() {
  cuda::DriverTable table{};
  table.cuCtxGetCurrent = [](CUcontext* context) {
    *context = the_context();
    return CUDA_SUCCESS;
  };
  table.cuCtxGetDevice = [](CUdevice* device) {
    *device = 1;
    return CUDA_SUCCESS;
  };
  table.cuCtxPushCurrent_v2 = [](CUcontext) { return CUDA_SUCCESS; };
  table.cuCtxPopCurrent_v2 = [](CUcontext*) { return CUDA_SUCCESS; };
  table.cuCtxSynchronize = [] {
    ++books.synchronised;
    return CUDA_SUCCESS;
  };
  table.cuMemGetAllocationGranularity = [](size_t* granule, const CUmemAllocationProp*,
                                           CUmemAllocationGranularity_flags) {
    *granule = kGranule;
    return CUDA_SUCCESS;
  };
  table.cuMemAddressReserve = [](CUdeviceptr* got, size_t, size_t, CUdeviceptr wanted, unsigned long long) {
    *got = wanted + (books.moves_reservations ? kGranule : 0);
    return CUDA_SUCCESS;
  };
  table.cuMemAddressFree = [](CUdeviceptr, size_t) { return CUDA_SUCCESS; };
  table.cuMemCreate = [](CUmemGenericAllocationHandle* handle, size_t bytes, const CUmemAllocationProp*,
                         unsigned long long) {
    EXPECT_EQ(bytes % kGranule, 0U);
    if (bytes > books.left) return CUDA_ERROR_OUT_OF_MEMORY;
    books.left -= bytes;
    *handle = books.next++;
    books.physical[*handle] = bytes;
    return CUDA_SUCCESS;
  };
  table.cuMemRelease = [](CUmemGenericAllocationHandle handle) {
    books.left += books.physical.at(handle);
    books.physical.erase(handle);
    return CUDA_SUCCESS;
  };
  table.cuMemMap = [](CUdeviceptr at, size_t bytes, size_t, CUmemGenericAllocationHandle,
                      unsigned long long) {
    for (const auto& [begin, size] : books.mapped)
      EXPECT_TRUE(at + bytes <= begin || begin + size <= at) << "mapped twice";
    books.mapped[at] = bytes;
    return CUDA_SUCCESS;
  };
  table.cuMemUnmap = [](CUdeviceptr at, size_t bytes) {
    EXPECT_EQ(books.mapped[at], bytes) << "not as a whole";
    books.mapped.erase(at);
    books.accessible.erase(at);
    return CUDA_SUCCESS;
  };
  table.cuMemSetAccess = [](CUdeviceptr at, size_t, const CUmemAccessDesc*, size_t) {
    books.accessible.insert(at);
    return CUDA_SUCCESS;
  };
  table.cuEventCreate = [](CUevent* event, unsigned int) {
    *event = reinterpret_cast<CUevent>(books.next++);
    books.events.insert(*event);
    return CUDA_SUCCESS;
  };
  table.cuEventRecord = [](CUevent event, CUstream) {
    books.due.insert(event);
    return CUDA_SUCCESS;
  };
  table.cuEventQuery = [](CUevent event) {
    return books.due.contains(event) ? CUDA_ERROR_NOT_READY : CUDA_SUCCESS;
  };
  table.cuEventSynchronize = [](CUevent event) {
    books.due.erase(event);
    return CUDA_SUCCESS;
  };
  table.cuEventDestroy_v2 = [](CUevent event) {
    books.events.erase(event);
    return CUDA_SUCCESS;
  };
  return table;
}

class Placed : public testing::Test {
 protected:
  Placed() {
    books = Books();
    placed.begin(region_of(2));
  }
  CUdeviceptr allocate(uint64_t bytes, CUdeviceptr wanted = 0) {
    CUdeviceptr address = 0;
    EXPECT_EQ(placed.allocate(bytes, wanted, &address), CUDA_SUCCESS);
    return address;
  }
  void expect_backed(CUdeviceptr address, uint64_t bytes) const {
    for (uint64_t at = address / kGranule * kGranule; at < address + bytes; at += kGranule) {
      auto after = books.mapped.upper_bound(at);
      ASSERT_NE(after, books.mapped.begin());
      const auto& [begin, size] = *std::prev(after);
      EXPECT_LT(at, begin + size);
      EXPECT_TRUE(books.accessible.contains(begin));
    }
  }

  const cuda::DriverTable driver = make_driver();
  PlacedMemory placed{driver};
};

TEST_F(Placed, LiesInItsDevicesPartOfTheRegion) {
  const CUdeviceptr address = allocate(1000);
  EXPECT_GE(address, region_of(2) + kDeviceRegionBytes);
  EXPECT_LT(address, region_of(2) + 2 * kDeviceRegionBytes);
  PlacedMemory::Block block;
  ASSERT_TRUE(placed.find(address + 999, &block));
  EXPECT_EQ(block.address, address);
  EXPECT_EQ(block.bytes, 1000U);
  EXPECT_EQ(block.context, the_context());
  EXPECT_FALSE(placed.find(address + 1000, &block));
  EXPECT_EQ(placed.free(address + 512), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(placed.free(address), CUDA_SUCCESS);
  EXPECT_EQ(books.synchronised, 1);
  EXPECT_EQ(placed.free(address), CUDA_ERROR_INVALID_VALUE);
  EXPECT_TRUE(books.mapped.empty());
  EXPECT_TRUE(books.physical.empty());
}

TEST_F(Placed, SmallBlocksShareAGranuleAndLargeOnesBeginAtOne) {
  const CUdeviceptr a = allocate(600), b = allocate(600);
  EXPECT_EQ(books.mapped.size(), 1U);
  EXPECT_EQ(b - a, 1024U);
  EXPECT_EQ(allocate(3 * kGranule) % kGranule, 0U);
  EXPECT_EQ(placed.free(a), CUDA_SUCCESS);
  expect_backed(b, 600);
}

TEST_F(Placed, IsHadAgainWhereItWas) {
  std::mt19937_64 random(7);
  std::map<CUdeviceptr, uint64_t> live;
  for (int step = 0; step < 2000; ++step) {
    if (live.size() < 12 && random() % 2 == 0) {
      const uint64_t bytes = 1 + random() % (random() % 4 == 0 ? 3 * kGranule : 5000);
      const CUdeviceptr address = allocate(bytes);
      for (const auto& [other, size] : live) EXPECT_TRUE(address + bytes <= other || other + size <= address);
      live[address] = bytes;
    } else if (!live.empty()) {
      auto one = std::next(live.begin(), static_cast<ptrdiff_t>(random() % live.size()));
      EXPECT_EQ(placed.free(one->first), CUDA_SUCCESS);
      live.erase(one);
    }
    for (const auto& [address, bytes] : live) expect_backed(address, bytes);
  }
  // Another session, in another order.
  books = Books();
  PlacedMemory again(driver);
  again.begin(region_of(2));
  for (auto one = live.rbegin(); one != live.rend(); ++one) {
    CUdeviceptr address = 0;
    EXPECT_EQ(again.allocate(one->second, one->first, &address), CUDA_SUCCESS);
    EXPECT_EQ(address, one->first);
    expect_backed(address, one->second);
  }
  ASSERT_FALSE(live.empty());
  CUdeviceptr address = 0;
  EXPECT_EQ(again.allocate(1, live.begin()->first, &address), CUDA_ERROR_INVALID_VALUE) << "it is taken";
}

TEST_F(Placed, WhatIsFreedInAStreamGoesOnceTheStreamHasComeToIt) {
  const CUdeviceptr address = allocate(kGranule);
  EXPECT_EQ(placed.free_later(address, nullptr), CUDA_SUCCESS);
  EXPECT_EQ(placed.free_later(address, nullptr), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(placed.free(address), CUDA_ERROR_INVALID_VALUE);
  EXPECT_NE(allocate(kGranule), address);
  books.due.clear();
  EXPECT_EQ(allocate(kGranule), address);
  EXPECT_TRUE(books.events.empty());
}

TEST_F(Placed, WhatIsStillToBeFreedIsWaitedForBeforeMemoryIsRefused) {
  const CUdeviceptr address = allocate(60 * kGranule);
  EXPECT_EQ(placed.free_later(address, nullptr), CUDA_SUCCESS);
  (void)allocate(60 * kGranule);
  CUdeviceptr beyond = 0;
  EXPECT_EQ(placed.allocate(60 * kGranule, 0, &beyond), CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(books.left, 4 * kGranule) << "a refused request leaves everything as it was";
}

TEST_F(Placed, OtherAddressesThanItsOwnAreNone) {
  books.moves_reservations = true;
  CUdeviceptr address = 0;
  EXPECT_EQ(placed.allocate(1, 0, &address), CUDA_ERROR_OUT_OF_MEMORY);
}

}  // namespace
}  // namespace tessera::remote

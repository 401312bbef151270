#include "remote/worker/host_mirrors.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include "remote/wire/message.h"

namespace tessera::remote {
namespace {

constexpr uint64_t kPage = 4096;

cuda::DriverTable driver_that_registers() {
  cuda::DriverTable table{};
  table.cuMemHostRegister_v2 = [](void*, size_t, unsigned) { return CUDA_SUCCESS; };
  table.cuMemHostUnregister = [](void*) { return CUDA_SUCCESS; };
  table.cuMemHostGetDevicePointer_v2 = [](CUdeviceptr* device, void* place, unsigned) {
    *device = reinterpret_cast<CUdeviceptr>(place);
    return CUDA_SUCCESS;
  };
  return table;
}

// Addresses where nothing is: what the client has may be there.
uint64_t free_addresses(uint64_t bytes) {
  void* const place = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  EXPECT_NE(place, MAP_FAILED);
  EXPECT_EQ(munmap(place, bytes), 0);
  return reinterpret_cast<uint64_t>(place);
}

class HostMirrorsTest : public testing::Test {
 protected:
  CUresult add(HostMirrors& mirrors, uint64_t address, uint64_t bytes, unsigned flags = 0) {
    CUdeviceptr device = 0;
    return mirrors.add(address, bytes, flags, &device);
  }

  const cuda::DriverTable table_ = driver_that_registers();
};

TEST_F(HostMirrorsTest, ASessionHasSoManyAndNoMoreBytesInAll) {
  HostMirrors::Limits limits;
  limits.mirrors = 3;
  limits.bytes = 8 * kPage;
  HostMirrors mirrors(table_, limits);
  const uint64_t at = free_addresses(64 * kPage);
  EXPECT_EQ(add(mirrors, at, 9 * kPage), CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(add(mirrors, at, 4 * kPage), CUDA_SUCCESS);
  EXPECT_EQ(add(mirrors, at + 8 * kPage, 5 * kPage), CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(add(mirrors, at + 8 * kPage, kPage), CUDA_SUCCESS);
  EXPECT_EQ(mirrors.add_managed(at + 16 * kPage, 4 * kPage), CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(add(mirrors, at + 24 * kPage, kPage), CUDA_SUCCESS);
  EXPECT_EQ(add(mirrors, at + 32 * kPage, kPage), CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(mirrors.add_managed(at + 32 * kPage, kPage), CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(mirrors.remove(at), CUDA_SUCCESS);
  EXPECT_EQ(add(mirrors, at + 32 * kPage, 4 * kPage), CUDA_SUCCESS);
}

// Memory that copies of graphs name stays where it is when the client has no more to do with it.
TEST_F(HostMirrorsTest, WhatStaysMappedIsBounded) {
  HostMirrors::Limits limits;
  limits.pages = 4;
  limits.kept_bytes = 256 * kPage;  // no window of 64 MiB
  HostMirrors mirrors(table_, limits);
  const uint64_t at = free_addresses(64 * kPage);
  for (uint64_t page = 0; page < 4; ++page) {
    EXPECT_EQ(add(mirrors, at + 2 * page * kPage, kPage, kHostUnregistered), CUDA_SUCCESS) << page;
    EXPECT_EQ(mirrors.remove(at + 2 * page * kPage), CUDA_SUCCESS);
  }
  EXPECT_EQ(add(mirrors, at + 8 * kPage, kPage, kHostUnregistered), CUDA_ERROR_OUT_OF_MEMORY);
  // What is mapped already costs nothing more.
  EXPECT_EQ(add(mirrors, at, kPage, kHostUnregistered), CUDA_SUCCESS);
}

}  // namespace
}  // namespace tessera::remote

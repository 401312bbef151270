// Kernels side by side on the SMs of a device, measured, held up and confined.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <array>
#include <atomic>
#include <chrono>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "cuda/device_scheduling_table.h"
#include "softgpu/driver/driver_testing.h"

namespace tessera::softgpu {
namespace {

class SchedulingTableTest : public testing::DriverTest {};

const cuda::DeviceSchedulingTable& scheduling_table() {
  const void* table = nullptr;
  EXPECT_EQ(cuGetExportTable(&table, &cuda::kDeviceSchedulingTable), CUDA_SUCCESS);
  return *static_cast<const cuda::DeviceSchedulingTable*>(table);
}

TEST_F(SchedulingTableTest, SuspendedKernelsStandStillAndGoOn) {
  const cuda::DeviceSchedulingTable& table = scheduling_table();
  CUdeviceptr flag = allocate(4), other = allocate(4);
  cuda::DeviceWork work{};
  ASSERT_EQ(launch("spin", nullptr, {&flag}, 4), CUDA_SUCCESS);
  ASSERT_EQ(table.suspend(0, 1000), CUDA_SUCCESS);
  ASSERT_EQ(table.work(0, &work), CUDA_SUCCESS);
  EXPECT_EQ(work.ready, 1u);
  CUstream stream = nullptr;
  ASSERT_EQ(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
  ASSERT_EQ(launch("set", stream, {&other}), CUDA_SUCCESS) << "launches are taken";
  // A worker that was about to take an SM may hold it for an instant yet, without running anything.
  uint64_t busy_ns = 0;
  for (int look = 0; look < 100 && work.busy_ns != busy_ns; ++look) {
    busy_ns = work.busy_ns;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    ASSERT_EQ(table.work(0, &work), CUDA_SUCCESS);
  }
  EXPECT_EQ(work.busy_ns, busy_ns);
  EXPECT_EQ(cuStreamQuery(stream), CUDA_ERROR_NOT_READY);
  EXPECT_EQ(work.pending, 2u);
  // Copies go on meanwhile, as they do not need an SM.
  const uint32_t one = 1;
  ASSERT_EQ(cuMemcpyHtoDAsync_v2(flag, &one, 4, stream), CUDA_SUCCESS);
  ASSERT_EQ(table.resume(0), CUDA_SUCCESS);
  EXPECT_EQ(cuCtxSynchronize(), CUDA_SUCCESS);
  ASSERT_EQ(table.work(0, &work), CUDA_SUCCESS);
  EXPECT_EQ(work.pending, 0u);
  EXPECT_GT(work.busy_ns, busy_ns);
}

TEST_F(SchedulingTableTest, WhatAFailedContextHasSuspendedIsDropped) {
  const cuda::DeviceSchedulingTable& table = scheduling_table();
  CUdeviceptr flag = allocate(4);
  ASSERT_EQ(launch("spin", nullptr, {&flag}, 4), CUDA_SUCCESS);
  ASSERT_EQ(table.suspend(0, 1000), CUDA_SUCCESS);
  const std::string control = std::string(getenv("SOFTGPU_STATE_DIR")) + "/gpu0.control";
  std::ofstream(control, std::ios::app) << "lost\n";
  EXPECT_EQ(cuCtxSynchronize(), CUDA_ERROR_UNKNOWN) << "nobody has to resume for it";
  ASSERT_EQ(table.resume(0), CUDA_SUCCESS);
  std::ofstream(control, std::ios::app) << "clear\n";
}

// Which SMs blocks run on is theirs to say; kernels go on elsewhere when their SM is taken away.
TEST_F(SchedulingTableTest, ConfinedKernelsKeepToTheirSms) {
  const cuda::DeviceSchedulingTable& table = scheduling_table();
  const uint64_t none = 0, beyond = 4, second = 2, both = 3;
  EXPECT_EQ(table.confine(0, &none, 1), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(table.confine(0, &beyond, 1), CUDA_ERROR_INVALID_VALUE);
  constexpr size_t kWords = 9;
  const CUdeviceptr marks = allocate(kWords * 4);
  auto seen = [&] {
    std::array<uint32_t, kWords> words{};
    EXPECT_EQ(cuMemcpyDtoH_v2(words.data(), marks, sizeof words), CUDA_SUCCESS);
    return std::pair(words[0] != 0, words[1] != 0);
  };
  auto run_until_seen = [&](std::pair<bool, bool> wanted) {
    const uint32_t one = 1;
    CUdeviceptr table_of_marks = marks;
    EXPECT_EQ(cuMemsetD32_v2(marks, 0, kWords), CUDA_SUCCESS);
    CUstream stream = nullptr, other = nullptr;
    EXPECT_EQ(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
    EXPECT_EQ(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
    // More than one worker begins, if another one is late.
    EXPECT_EQ(launch("where", stream, {&table_of_marks}, 300), CUDA_SUCCESS);
    for (int look = 0; look < 2000 && seen() != wanted; ++look) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    EXPECT_EQ(seen(), wanted);
    EXPECT_EQ(cuMemcpyHtoDAsync_v2(marks + 32, &one, 4, other), CUDA_SUCCESS);
    EXPECT_EQ(cuCtxSynchronize(), CUDA_SUCCESS);
    EXPECT_EQ(seen(), wanted);
  };
  ASSERT_EQ(table.confine(0, &second, 1), CUDA_SUCCESS);
  run_until_seen({false, true});
  ASSERT_EQ(table.confine(0, &both, 1), CUDA_SUCCESS);
  run_until_seen({true, true});

  CUdeviceptr flag = allocate(4);
  ASSERT_EQ(launch("spin", nullptr, {&flag}, 4), CUDA_SUCCESS);
  ASSERT_EQ(table.confine(0, &second, 1), CUDA_SUCCESS);
  const uint32_t one = 1;
  CUstream stream = nullptr;
  ASSERT_EQ(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
  ASSERT_EQ(cuMemcpyHtoDAsync_v2(flag, &one, 4, stream), CUDA_SUCCESS);
  EXPECT_EQ(cuCtxSynchronize(), CUDA_SUCCESS);
  ASSERT_EQ(table.confine(0, &both, 1), CUDA_SUCCESS);
}

// Each has one block, and neither ends before both have been seen.
TEST_F(SchedulingTableTest, KernelsOfTwoStreamsRunSideBySide) {
  constexpr size_t kWords = 9;
  constexpr uint32_t kOne = 1;
  CUdeviceptr marks = allocate(kWords * 4);
  std::array<CUstream, 2> streams{};
  for (CUstream& stream : streams) {
    ASSERT_EQ(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
    ASSERT_EQ(launch("where", stream, {&marks}), CUDA_SUCCESS);
  }
  bool together = false;
  for (int look = 0; look < 5000 && !together; ++look) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    std::array<uint32_t, kWords> seen{};
    ASSERT_EQ(cuMemcpyDtoH_v2(seen.data(), marks, sizeof seen), CUDA_SUCCESS);
    together = seen[0] != 0 && seen[1] != 0;
  }
  EXPECT_TRUE(together);
  for (CUstream stream : streams) EXPECT_EQ(cuStreamQuery(stream), CUDA_ERROR_NOT_READY);
  ASSERT_EQ(cuMemcpyHtoD_v2(marks + 32, &kOne, 4), CUDA_SUCCESS);
  EXPECT_EQ(cuCtxSynchronize(), CUDA_SUCCESS);
}

// SMs that kernels of so many blocks want, one in each stream, while `sms` are the process's.
TEST_F(SchedulingTableTest, WorkSaysHowManySmsItCouldFill) {
  const cuda::DeviceSchedulingTable& table = scheduling_table();
  const auto wanted_sms = [&](const std::vector<unsigned>& blocks, uint64_t sms) {
    CUdeviceptr flag = allocate(4);
    cuda::DeviceWork before{}, after{};
    EXPECT_EQ(table.confine(0, &sms, 1), CUDA_SUCCESS);
    EXPECT_EQ(table.suspend(0, 1000), CUDA_SUCCESS);
    for (unsigned count : blocks) {
      CUstream stream = nullptr;
      EXPECT_EQ(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
      EXPECT_EQ(launch("spin", stream, {&flag}, count), CUDA_SUCCESS);
    }
    EXPECT_EQ(table.work(0, &before), CUDA_SUCCESS);
    EXPECT_EQ(table.resume(0), CUDA_SUCCESS);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    EXPECT_EQ(table.work(0, &after), CUDA_SUCCESS);
    const uint32_t one = 1;
    EXPECT_EQ(cuMemcpyHtoD_v2(flag, &one, 4), CUDA_SUCCESS);
    EXPECT_EQ(cuCtxSynchronize(), CUDA_SUCCESS);
    EXPECT_GT(after.ready_ns, before.ready_ns);
    return static_cast<double>(after.ready_sm_ns - before.ready_sm_ns) /
           static_cast<double>(after.ready_ns - before.ready_ns);
  };
  constexpr uint64_t kBoth = 3, kSecond = 2;
  EXPECT_EQ(wanted_sms({1}, kBoth), 1);
  EXPECT_EQ(wanted_sms({1, 1}, kBoth), 2);
  EXPECT_EQ(wanted_sms({50}, kBoth), 2);
  EXPECT_EQ(wanted_sms({50}, kSecond), 2) << "what it may not use now it wants all the same";
  ASSERT_EQ(table.confine(0, &kBoth, 1), CUDA_SUCCESS);
}

TEST_F(SchedulingTableTest, WhoWatchesIsToldWhenNothingIsPending) {
  const cuda::DeviceSchedulingTable& table = scheduling_table();
  static std::atomic<int> drained;
  ASSERT_EQ(table.watch(
                0, [](void*) { ++drained; }, nullptr),
            CUDA_SUCCESS);
  CUdeviceptr flag = allocate(4);
  const int before = drained;
  ASSERT_EQ(launch("set", nullptr, {&flag}), CUDA_SUCCESS);
  EXPECT_EQ(cuCtxSynchronize(), CUDA_SUCCESS);
  EXPECT_EQ(drained, before + 1);
}

}  // namespace
}  // namespace tessera::softgpu

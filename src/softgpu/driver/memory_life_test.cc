// When memory goes, with the two devices of driver_test.cc: not before what uses it is done, and no later.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>
#include <vector>

#include "cuda/abi.h"

namespace tessera::softgpu {
namespace {

class MemoryLifeTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(cuCtxCreate_v2(&context_, 0, 0), CUDA_SUCCESS); }
  void TearDown() override { EXPECT_EQ(cuCtxDestroy_v2(context_), CUDA_SUCCESS); }

  CUdeviceptr allocate(size_t bytes) {
    CUdeviceptr pointer = 0;
    EXPECT_EQ(cuMemAlloc_v2(&pointer, bytes), CUDA_SUCCESS);
    return pointer;
  }
  // A host function in `stream` that waits for go().
  void block(CUstream stream) {
    constexpr CUhostFn kWait = [](void* flag) { static_cast<std::atomic<bool>*>(flag)->wait(false); };
    go_ = false;
    ASSERT_EQ(cuLaunchHostFunc(stream, kWait, &go_), CUDA_SUCCESS);
  }
  void go() {
    go_ = true;
    go_.notify_all();
  }

  CUcontext context_ = nullptr;

 private:
  std::atomic<bool> go_ = false;
};

// Larger than what the addresses of a device are switched on and off by.
constexpr size_t kWholeChunks = 8u << 20;

size_t free_bytes(CUdevice ordinal) {
  CUcontext context = nullptr;
  size_t free = 0, total = 0;
  EXPECT_EQ(cuCtxCreate_v2(&context, 0, ordinal), CUDA_SUCCESS);
  EXPECT_EQ(cuMemGetInfo_v2(&free, &total), CUDA_SUCCESS);
  EXPECT_EQ(cuCtxDestroy_v2(context), CUDA_SUCCESS);
  return free;
}

TEST_F(MemoryLifeTest, MemoryStaysForTheCopiesOfOtherContexts) {
  constexpr size_t kBytes = 1 << 16;
  const CUdeviceptr to = allocate(2 * kBytes);
  CUstream stream = nullptr;
  ASSERT_EQ(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
  CUcontext owner = nullptr;
  void* pinned = nullptr;
  ASSERT_EQ(cuCtxCreate_v2(&owner, 0, 0), CUDA_SUCCESS);
  ASSERT_EQ(cuMemHostAlloc(&pinned, kBytes, CU_MEMHOSTALLOC_PORTABLE), CUDA_SUCCESS);
  memset(pinned, 0x5a, kBytes);
  const CUdeviceptr from = allocate(kBytes);
  ASSERT_EQ(cuMemsetD8_v2(from, 0x5a, kBytes), CUDA_SUCCESS);
  ASSERT_EQ(cuCtxSynchronize(), CUDA_SUCCESS);
  ASSERT_EQ(cuCtxPopCurrent_v2(&owner), CUDA_SUCCESS);

  constexpr CUhostFn kDelay = [](void*) { std::this_thread::sleep_for(std::chrono::milliseconds(100)); };
  ASSERT_EQ(cuLaunchHostFunc(stream, kDelay, nullptr), CUDA_SUCCESS);
  ASSERT_EQ(cuMemcpyHtoDAsync_v2(to, pinned, kBytes, stream), CUDA_SUCCESS);
  ASSERT_EQ(cuMemcpyDtoDAsync_v2(to + kBytes, from, kBytes, stream), CUDA_SUCCESS);
  ASSERT_EQ(cuCtxDestroy_v2(owner), CUDA_SUCCESS);
  ASSERT_EQ(cuStreamSynchronize(stream), CUDA_SUCCESS);
  std::vector<uint8_t> back(2 * kBytes);
  ASSERT_EQ(cuMemcpyDtoH_v2(back.data(), to, back.size()), CUDA_SUCCESS);
  EXPECT_EQ(back, std::vector<uint8_t>(2 * kBytes, 0x5a));
}

TEST_F(MemoryLifeTest, ACopyOfMemoryThatAnotherStreamFreesFailsItsContextAlone) {
  for (const bool from_pool : {false, true}) {
    CUcontext context = nullptr;
    CUstream copies = nullptr, frees = nullptr;
    CUdeviceptr from = 0, to = 0;
    ASSERT_EQ(cuCtxCreate_v2(&context, 0, 0), CUDA_SUCCESS);
    ASSERT_EQ(cuStreamCreate(&copies, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
    ASSERT_EQ(cuStreamCreate(&frees, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
    ASSERT_EQ(from_pool ? cuMemAllocAsync(&from, kWholeChunks, frees) : cuMemAlloc_v2(&from, kWholeChunks),
              CUDA_SUCCESS);
    ASSERT_EQ(cuMemAlloc_v2(&to, kWholeChunks), CUDA_SUCCESS);
    block(copies);
    ASSERT_EQ(cuMemcpyDtoDAsync_v2(to, from, kWholeChunks, copies), CUDA_SUCCESS);
    ASSERT_EQ(cuMemFreeAsync(from, frees), CUDA_SUCCESS);
    ASSERT_EQ(cuStreamSynchronize(frees), CUDA_SUCCESS);  // a pool gives back what it does not keep
    go();
    EXPECT_EQ(cuStreamSynchronize(copies), CUDA_ERROR_ILLEGAL_ADDRESS);
    ASSERT_EQ(cuCtxDestroy_v2(context), CUDA_SUCCESS);
  }
  EXPECT_EQ(cuCtxSynchronize(), CUDA_SUCCESS);
}

TEST_F(MemoryLifeTest, AContextThatGoesWaitsForGraphsOfOthersThatCopyItsMemory) {
  const CUdeviceptr to = allocate(kWholeChunks);
  CUcontext owner = nullptr;
  ASSERT_EQ(cuCtxCreate_v2(&owner, 0, 0), CUDA_SUCCESS);
  const CUdeviceptr from = allocate(kWholeChunks);
  ASSERT_EQ(cuMemsetD8_v2(from, 0x5a, kWholeChunks), CUDA_SUCCESS);
  ASSERT_EQ(cuCtxPopCurrent_v2(&owner), CUDA_SUCCESS);

  CUstream stream = nullptr;
  CUgraph graph = nullptr;
  CUgraphExec exec = nullptr;
  constexpr CUhostFn kDelay = [](void*) { std::this_thread::sleep_for(std::chrono::milliseconds(100)); };
  ASSERT_EQ(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
  ASSERT_EQ(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED), CUDA_SUCCESS);
  ASSERT_EQ(cuLaunchHostFunc(stream, kDelay, nullptr), CUDA_SUCCESS);
  ASSERT_EQ(cuMemcpyDtoDAsync_v2(to, from, kWholeChunks, stream), CUDA_SUCCESS);
  ASSERT_EQ(cuStreamEndCapture(stream, &graph), CUDA_SUCCESS);
  ASSERT_EQ(cuGraphInstantiateWithFlags(&exec, graph, 0), CUDA_SUCCESS);
  ASSERT_EQ(cuGraphLaunch(exec, stream), CUDA_SUCCESS);
  ASSERT_EQ(cuCtxDestroy_v2(owner), CUDA_SUCCESS);
  ASSERT_EQ(cuStreamSynchronize(stream), CUDA_SUCCESS);
  std::vector<uint8_t> back(kWholeChunks);
  ASSERT_EQ(cuMemcpyDtoH_v2(back.data(), to, back.size()), CUDA_SUCCESS);
  EXPECT_EQ(back, std::vector<uint8_t>(kWholeChunks, 0x5a));
  ASSERT_EQ(cuGraphExecDestroy(exec), CUDA_SUCCESS);
  ASSERT_EQ(cuGraphDestroy(graph), CUDA_SUCCESS);
}

TEST_F(MemoryLifeTest, ADestroyedPoolGivesBackWhatAnotherDevicesStreamFreesLater) {
  const size_t before = free_bytes(1);
  CUmemPoolProps properties{};
  properties.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.location = {CU_MEM_LOCATION_TYPE_DEVICE, 1};
  CUmemoryPool pool = nullptr;
  CUstream stream = nullptr;
  CUdeviceptr memory = 0;
  ASSERT_EQ(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
  ASSERT_EQ(cuMemPoolCreate(&pool, &properties), CUDA_SUCCESS);
  ASSERT_EQ(cuMemAllocFromPoolAsync(&memory, kWholeChunks, pool, stream), CUDA_SUCCESS);
  block(stream);
  ASSERT_EQ(cuMemFreeAsync(memory, stream), CUDA_SUCCESS);
  ASSERT_EQ(cuMemPoolDestroy(pool), CUDA_SUCCESS);
  EXPECT_EQ(free_bytes(1), before - kWholeChunks);
  go();
  ASSERT_EQ(cuStreamSynchronize(stream), CUDA_SUCCESS);
  EXPECT_EQ(free_bytes(1), before);
}

}  // namespace
}  // namespace tessera::softgpu

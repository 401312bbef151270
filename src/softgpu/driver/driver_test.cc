// The driver through its exported functions, in one process with two devices.
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "cuda/abi.h"
#include "softgpu/driver/driver_testing.h"

namespace tessera::softgpu {

using testing::DriverTest;

namespace {

class Environment : public ::testing::Environment {
 public:
  void SetUp() override {
    char folder[] = "/tmp/softgpu-driver-test-XXXXXX";
    ASSERT_NE(mkdtemp(folder), nullptr);
    folder_ = folder;
    setenv("SOFTGPU_STATE_DIR", folder, 1);
    setenv("SOFTGPU_DEVICES", "2", 1);
    setenv("SOFTGPU_MEMORY", "256MiB", 1);
    setenv("SOFTGPU_SMS", "2", 1);
    setenv("SOFTGPU_LOG", "error", 1);
    unsetenv("CUDA_VISIBLE_DEVICES");
    unsigned flags = 0;
    CUcontext context = nullptr;
    EXPECT_EQ(cuCtxGetCurrent(&context), CUDA_ERROR_NOT_INITIALIZED);
    EXPECT_EQ(cuDevicePrimaryCtxGetState(0, &flags, nullptr), CUDA_ERROR_NOT_INITIALIZED);
    ASSERT_EQ(cuInit(0), CUDA_SUCCESS);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

 private:
  std::string folder_;
};

[[maybe_unused]] const auto* environment = ::testing::AddGlobalTestEnvironment(new Environment());

TEST_F(DriverTest, AFaultSticksToItsContextAlone) {
  CUdeviceptr nowhere = 0x10;
  ASSERT_EQ(launch("store", nullptr, {&nowhere}), CUDA_SUCCESS);
  EXPECT_EQ(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
  CUdeviceptr pointer = 0;
  CUstream stream = nullptr;
  EXPECT_EQ(cuMemAlloc_v2(&pointer, 4), CUDA_ERROR_ILLEGAL_ADDRESS);
  EXPECT_EQ(cuStreamCreate(&stream, 0), CUDA_ERROR_ILLEGAL_ADDRESS);
  EXPECT_EQ(cuMemcpyHtoD_v2(1, &pointer, 4), CUDA_ERROR_ILLEGAL_ADDRESS);
  EXPECT_EQ(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);

  CUcontext other = nullptr;
  ASSERT_EQ(cuCtxCreate_v2(&other, 0, 0), CUDA_SUCCESS);
  EXPECT_EQ(cuMemAlloc_v2(&pointer, 4), CUDA_SUCCESS);
  EXPECT_EQ(cuCtxSynchronize(), CUDA_SUCCESS);
  EXPECT_EQ(cuCtxDestroy_v2(other), CUDA_SUCCESS);
}

TEST_F(DriverTest, AFaultDropsWhatWaits) {
  CUdeviceptr flag = allocate(4), nowhere = 0x10;
  ASSERT_EQ(launch("spin", nullptr, {&flag}), CUDA_SUCCESS);  // would never end
  CUstream free = nullptr;
  ASSERT_EQ(cuStreamCreate(&free, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
  ASSERT_EQ(launch("store", free, {&nowhere}), CUDA_SUCCESS);
  EXPECT_EQ(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
}

TEST_F(DriverTest, SpinningBlocksLetOthersRun) {
  CUdeviceptr flag = allocate(4);
  CUstream a = nullptr, b = nullptr;
  ASSERT_EQ(cuStreamCreate(&a, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
  ASSERT_EQ(cuStreamCreate(&b, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
  ASSERT_EQ(launch("spin", a, {&flag}, 16, 64), CUDA_SUCCESS);  // more blocks than SMs
  ASSERT_EQ(launch("set", b, {&flag}), CUDA_SUCCESS);
  EXPECT_EQ(cuCtxSynchronize(), CUDA_SUCCESS);
}

TEST_F(DriverTest, HostMemoryAndEventsTieStreamsTogether) {
  constexpr unsigned kCount = 1000;
  CUdeviceptr data = allocate(4 * kCount);
  CUstream a = nullptr, b = nullptr;
  CUevent event = nullptr;
  ASSERT_EQ(cuStreamCreate(&a, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
  ASSERT_EQ(cuStreamCreate(&b, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
  ASSERT_EQ(cuEventCreate(&event, 0), CUDA_SUCCESS);
  EXPECT_EQ(cuEventQuery(event), CUDA_SUCCESS);  // never recorded
  void* host = nullptr;
  ASSERT_EQ(cuMemAllocHost_v2(&host, 4 * kCount), CUDA_SUCCESS);
  for (unsigned round = 1; round <= 20; ++round) {
    ASSERT_EQ(launch("fill", a, {&data, &round}, kCount / 100, 100), CUDA_SUCCESS);
    ASSERT_EQ(cuEventRecord(event, a), CUDA_SUCCESS);
    ASSERT_EQ(cuStreamWaitEvent(b, event, 0), CUDA_SUCCESS);
    ASSERT_EQ(cuMemcpyDtoHAsync_v2(host, data, 4 * kCount, b), CUDA_SUCCESS);
    ASSERT_EQ(cuStreamSynchronize(b), CUDA_SUCCESS);
    for (unsigned i = 0; i < kCount; ++i) ASSERT_EQ(static_cast<unsigned*>(host)[i], round);
  }
}

TEST_F(DriverTest, EventsTellTimesAndErrors) {
  CUevent start = nullptr, end = nullptr, untimed = nullptr;
  float ms = 0;
  ASSERT_EQ(cuEventCreate(&start, 0), CUDA_SUCCESS);
  ASSERT_EQ(cuEventCreate(&end, CU_EVENT_BLOCKING_SYNC), CUDA_SUCCESS);
  ASSERT_EQ(cuEventCreate(&untimed, CU_EVENT_DISABLE_TIMING), CUDA_SUCCESS);
  EXPECT_EQ(cuEventElapsedTime_v2(&ms, start, end), CUDA_ERROR_INVALID_HANDLE);
  CUdeviceptr flag = allocate(4);
  ASSERT_EQ(cuEventRecord(start, nullptr), CUDA_SUCCESS);
  ASSERT_EQ(launch("spin", nullptr, {&flag}), CUDA_SUCCESS);
  ASSERT_EQ(cuEventRecord(end, nullptr), CUDA_SUCCESS);
  EXPECT_EQ(cuEventQuery(end), CUDA_ERROR_NOT_READY);
  EXPECT_EQ(cuStreamQuery(nullptr), CUDA_ERROR_NOT_READY);
  EXPECT_EQ(cuEventElapsedTime_v2(&ms, start, end), CUDA_ERROR_NOT_READY);
  std::this_thread::sleep_for(std::chrono::milliseconds(3));
  CUstream other = nullptr;
  ASSERT_EQ(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
  ASSERT_EQ(launch("set", other, {&flag}), CUDA_SUCCESS);
  EXPECT_EQ(cuEventSynchronize(end), CUDA_SUCCESS);
  EXPECT_EQ(cuEventElapsedTime_v2(&ms, start, end), CUDA_SUCCESS);
  EXPECT_GE(ms, 3.0f);
  EXPECT_EQ(cuEventElapsedTime_v2(&ms, start, untimed), CUDA_ERROR_INVALID_HANDLE);
}

TEST_F(DriverTest, HandlesThatAreNoneAreRefused) {
  CUstream stream = nullptr;
  ASSERT_EQ(cuStreamCreate(&stream, 0), CUDA_SUCCESS);
  ASSERT_EQ(cuStreamDestroy_v2(stream), CUDA_SUCCESS);
  EXPECT_EQ(cuStreamDestroy_v2(stream), CUDA_ERROR_INVALID_HANDLE);
  EXPECT_EQ(cuStreamSynchronize(stream), CUDA_ERROR_INVALID_HANDLE);
  int local = 0;
  for (void* made_up : {static_cast<void*>(&local), reinterpret_cast<void*>(~uintptr_t{0})}) {
    EXPECT_EQ(cuStreamSynchronize(static_cast<CUstream>(made_up)), CUDA_ERROR_INVALID_HANDLE);
    EXPECT_EQ(cuEventQuery(static_cast<CUevent>(made_up)), CUDA_ERROR_INVALID_HANDLE);
    EXPECT_EQ(cuCtxSetCurrent(static_cast<CUcontext>(made_up)), CUDA_ERROR_INVALID_CONTEXT);
    EXPECT_EQ(cuModuleUnload(static_cast<CUmodule>(made_up)), CUDA_ERROR_INVALID_HANDLE);
    EXPECT_EQ(cuLibraryUnload(static_cast<CUlibrary>(made_up)), CUDA_ERROR_INVALID_HANDLE);
    EXPECT_EQ(
        cuLaunchKernel(static_cast<CUfunction>(made_up), 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, nullptr),
        CUDA_ERROR_INVALID_HANDLE);
    EXPECT_EQ(cuMemFree_v2(reinterpret_cast<CUdeviceptr>(made_up)), CUDA_ERROR_INVALID_VALUE);
  }
}

TEST_F(DriverTest, LaunchesAreChecked) {
  CUdeviceptr data = allocate(4);
  unsigned value = 1;
  void* parameters[] = {&data, &value};
  const CUfunction fill = function("fill");
  auto launch_shape = [&](unsigned grid_x, unsigned grid_y, unsigned block_x, unsigned block_z,
                          unsigned shared) {
    return cuLaunchKernel(fill, grid_x, grid_y, 1, block_x, 1, block_z, shared, nullptr, parameters, nullptr);
  };
  EXPECT_EQ(launch_shape(0, 1, 1, 1, 0), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(launch_shape(1, 1, 1025, 1, 0), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(launch_shape(1, 1, 32, 64, 0), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(launch_shape(1, 65536, 1, 1, 0), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(launch_shape(1, 1, 1, 1, (48 << 10) + 1), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(launch_shape(1, 1, 1, 1, 48 << 10), CUDA_SUCCESS);
  EXPECT_EQ(cuLaunchKernel(fill, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, nullptr), CUDA_ERROR_INVALID_VALUE);
  std::array<std::byte, 12> buffer{};
  memcpy(buffer.data(), &data, 8);
  memcpy(buffer.data() + 8, &value, 4);
  size_t size = buffer.size();
  void* extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, buffer.data(), CU_LAUNCH_PARAM_BUFFER_SIZE, &size,
                   CU_LAUNCH_PARAM_END};
  EXPECT_EQ(cuLaunchKernel(fill, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, extra), CUDA_SUCCESS);
  size = 1000;
  EXPECT_EQ(cuLaunchKernel(fill, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, extra), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(cuCtxSynchronize(), CUDA_SUCCESS);
}

TEST_F(DriverTest, BadCodeIsRefusedWithItsOwnError) {
  CUmodule module = nullptr;
  EXPECT_EQ(cuModuleLoadData(&module, ".version 7.0\n.target sm_70\n.address_size 64\n.nonsense"),
            CUDA_ERROR_INVALID_PTX);
  EXPECT_EQ(cuModuleLoadData(&module, ".version 99.0\n.target sm_70\n.address_size 64\n"),
            CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
  EXPECT_EQ(cuModuleLoad(&module, "/nonexistent"), CUDA_ERROR_FILE_NOT_FOUND);
  char log[64] = {};
  CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
  void* values[] = {log, reinterpret_cast<void*>(sizeof log)};
  EXPECT_EQ(
      cuModuleLoadDataEx(&module, ".version 7.0\n.target sm_70\n.address_size 64\nx", 2, options, values),
      CUDA_ERROR_INVALID_PTX);
  EXPECT_GT(strlen(log), 0u);
  EXPECT_LT(strlen(log), sizeof log);
}

TEST_F(DriverTest, MemoryIsFoundByAddress) {
  CUdeviceptr data = allocate(1000), base = 0;
  size_t size = 0;
  EXPECT_EQ(cuMemGetAddressRange_v2(&base, &size, data + 999), CUDA_SUCCESS);
  EXPECT_EQ(base, data);
  EXPECT_EQ(size, 1000u);
  EXPECT_EQ(cuMemcpyHtoD_v2(data + 1, std::array<char, 1000>().data(), 1000),
            CUDA_ERROR_INVALID_VALUE);  // one byte too many
  EXPECT_EQ(cuMemFree_v2(data + 1), CUDA_ERROR_INVALID_VALUE);
  unsigned type = 0;
  EXPECT_EQ(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, data), CUDA_SUCCESS);
  EXPECT_EQ(type, unsigned{CU_MEMORYTYPE_DEVICE});
  EXPECT_EQ(
      cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, reinterpret_cast<CUdeviceptr>(&type)),
      CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(cuMemFree_v2(data), CUDA_SUCCESS);
  EXPECT_EQ(cuMemFree_v2(data), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(DriverTest, EverythingComesBackWithTheContext) {
  size_t before = 0, after = 0, total = 0;
  ASSERT_EQ(cuMemGetInfo_v2(&before, &total), CUDA_SUCCESS);
  CUcontext other = nullptr;
  ASSERT_EQ(cuCtxCreate_v2(&other, 0, 0), CUDA_SUCCESS);
  CUdeviceptr pointer = 0;
  for (int i = 0; i < 50; ++i) ASSERT_EQ(cuMemAlloc_v2(&pointer, 1'000'000), CUDA_SUCCESS);
  ASSERT_EQ(cuMemAllocAsync(&pointer, 1'000'000, nullptr), CUDA_SUCCESS);
  void* host = nullptr;
  ASSERT_EQ(cuMemAllocHost_v2(&host, 1'000'000), CUDA_SUCCESS);
  EXPECT_EQ(cuMemAlloc_v2(&pointer, total), CUDA_ERROR_OUT_OF_MEMORY);
  ASSERT_EQ(cuCtxDestroy_v2(other), CUDA_SUCCESS);
  ASSERT_EQ(cuCtxSetCurrent(context_), CUDA_SUCCESS);
  ASSERT_EQ(cuMemGetInfo_v2(&after, &total), CUDA_SUCCESS);
  EXPECT_EQ(before, after);
}

TEST_F(DriverTest, PoolsReuseInStreamOrder) {
  CUstream stream = nullptr;
  ASSERT_EQ(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
  CUdeviceptr flag = allocate(4), first = 0, second = 0, third = 0;
  ASSERT_EQ(launch("spin", stream, {&flag}), CUDA_SUCCESS);
  ASSERT_EQ(cuMemAllocAsync(&first, 4096, stream), CUDA_SUCCESS);
  ASSERT_EQ(cuMemFreeAsync(first, stream), CUDA_SUCCESS);
  EXPECT_EQ(cuMemFreeAsync(first, stream), CUDA_ERROR_INVALID_VALUE);
  ASSERT_EQ(cuMemAllocAsync(&second, 4096, stream), CUDA_SUCCESS);
  EXPECT_EQ(first, second);  // the same stream: in order
  ASSERT_EQ(cuMemFreeAsync(second, stream), CUDA_SUCCESS);
  ASSERT_EQ(cuMemAllocAsync(&third, 4096, nullptr), CUDA_SUCCESS);
  EXPECT_NE(second, third);  // another stream: the first one is not there yet
  CUstream other = nullptr;
  ASSERT_EQ(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
  ASSERT_EQ(launch("set", other, {&flag}), CUDA_SUCCESS);
  EXPECT_EQ(cuMemFree_v2(third), CUDA_SUCCESS);
  EXPECT_EQ(cuCtxSynchronize(), CUDA_SUCCESS);
}

TEST_F(DriverTest, AProgramReleasesItsOwnReferencesAlone) {
  std::atomic<bool> destroyed = false;
  constexpr CUhostFn kDestroy = [](void* flag) {
    static_cast<std::atomic<bool>*>(flag)->store(true);
    static_cast<std::atomic<bool>*>(flag)->notify_all();
  };
  CUuserObject object = nullptr;
  CUgraph graph = nullptr;
  ASSERT_EQ(cuUserObjectCreate(&object, &destroyed, kDestroy, 1, CU_USER_OBJECT_NO_DESTRUCTOR_SYNC),
            CUDA_SUCCESS);
  ASSERT_EQ(cuGraphCreate(&graph, 0), CUDA_SUCCESS);
  ASSERT_EQ(cuGraphRetainUserObject(graph, object, 1, CU_GRAPH_USER_OBJECT_MOVE), CUDA_SUCCESS);
  EXPECT_EQ(cuUserObjectRelease(object, 1), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(cuGraphRetainUserObject(graph, object, 1, CU_GRAPH_USER_OBJECT_MOVE), CUDA_ERROR_INVALID_VALUE);
  EXPECT_FALSE(destroyed);
  ASSERT_EQ(cuGraphDestroy(graph), CUDA_SUCCESS);
  destroyed.wait(false);
}

TEST_F(DriverTest, AConditionWithoutADefaultDoesNotBeginWithWhatOthersLeft) {
  const CUdeviceptr before = allocate(4);
  ASSERT_EQ(cuMemsetD32_v2(before, 1, 1), CUDA_SUCCESS);
  ASSERT_EQ(cuMemFree_v2(before), CUDA_SUCCESS);
  CUgraph graph = nullptr;
  CUgraphNode node = nullptr;
  CUgraphExec exec = nullptr;
  CUgraphNodeParams params{};
  params.type = CU_GRAPH_NODE_TYPE_CONDITIONAL;
  params.conditional.type = CU_GRAPH_COND_TYPE_WHILE;
  params.conditional.size = 1;
  params.conditional.ctx = context_;
  ASSERT_EQ(cuGraphCreate(&graph, 0), CUDA_SUCCESS);
  ASSERT_EQ(cuGraphConditionalHandleCreate(&params.conditional.handle, graph, context_, 0, 0), CUDA_SUCCESS);
  ASSERT_EQ(cuGraphAddNode_v2(&node, graph, nullptr, nullptr, 0, &params), CUDA_SUCCESS);
  ASSERT_EQ(cuGraphInstantiateWithFlags(&exec, graph, 0), CUDA_SUCCESS);
  ASSERT_EQ(cuGraphLaunch(exec, nullptr), CUDA_SUCCESS);
  EXPECT_EQ(cuCtxSynchronize(), CUDA_SUCCESS);  // a WHILE that would run for ever
  ASSERT_EQ(cuGraphExecDestroy(exec), CUDA_SUCCESS);
  ASSERT_EQ(cuGraphDestroy(graph), CUDA_SUCCESS);
}

TEST_F(DriverTest, HostFunctionsMustNotCallCuda) {
  CUresult inside = CUDA_SUCCESS;
  ASSERT_EQ(cuLaunchHostFunc(
                nullptr, [](void* result) { *static_cast<CUresult*>(result) = cuCtxSynchronize(); }, &inside),
            CUDA_SUCCESS);
  ASSERT_EQ(cuCtxSynchronize(), CUDA_SUCCESS);
  EXPECT_EQ(inside, CUDA_ERROR_NOT_PERMITTED);
}

TEST_F(DriverTest, TheStackOfContextsIsPerThread) {
  CUcontext current = nullptr;
  std::thread([] {
    CUcontext none = nullptr;
    EXPECT_EQ(cuCtxGetCurrent(&none), CUDA_SUCCESS);
    EXPECT_EQ(none, nullptr);
    CUdeviceptr pointer = 0;
    EXPECT_EQ(cuMemAlloc_v2(&pointer, 4), CUDA_ERROR_INVALID_CONTEXT);
    EXPECT_EQ(cuCtxPopCurrent_v2(nullptr), CUDA_ERROR_INVALID_CONTEXT);
  }).join();
  CUcontext other = nullptr;
  ASSERT_EQ(cuCtxCreate_v2(&other, 0, 1), CUDA_SUCCESS);
  CUdevice device = -1;
  EXPECT_EQ(cuCtxGetDevice(&device), CUDA_SUCCESS);
  EXPECT_EQ(device, 1);
  ASSERT_EQ(cuCtxDestroy_v2(other), CUDA_SUCCESS);
  EXPECT_EQ(cuCtxGetCurrent(&current), CUDA_SUCCESS);
  EXPECT_EQ(current, context_);
}

TEST_F(DriverTest, ThePrimaryContextIsOneAndComesBackClean) {
  CUcontext first = nullptr, again = nullptr;
  int active = -1;
  unsigned flags = 0;
  ASSERT_EQ(cuDevicePrimaryCtxRetain(&first, 1), CUDA_SUCCESS);
  ASSERT_EQ(cuDevicePrimaryCtxRetain(&again, 1), CUDA_SUCCESS);
  EXPECT_EQ(first, again);
  ASSERT_EQ(cuCtxPushCurrent_v2(first), CUDA_SUCCESS);
  CUdeviceptr pointer = 0;
  ASSERT_EQ(cuMemAlloc_v2(&pointer, 1 << 20), CUDA_SUCCESS);
  ASSERT_EQ(cuDevicePrimaryCtxReset_v2(1), CUDA_SUCCESS);
  EXPECT_EQ(cuMemAlloc_v2(&pointer, 1), CUDA_ERROR_CONTEXT_IS_DESTROYED);
  ASSERT_EQ(cuDevicePrimaryCtxGetState(1, &flags, &active), CUDA_SUCCESS);
  EXPECT_EQ(active, 0);
  ASSERT_EQ(cuDevicePrimaryCtxRetain(&again, 1), CUDA_SUCCESS);
  size_t free = 0, total = 0;
  EXPECT_EQ(cuMemGetInfo_v2(&free, &total), CUDA_SUCCESS);
  EXPECT_EQ(free, total);
  EXPECT_EQ(cuDevicePrimaryCtxRelease_v2(1), CUDA_SUCCESS);
  EXPECT_EQ(cuDevicePrimaryCtxRelease_v2(1), CUDA_ERROR_INVALID_CONTEXT);
  cuCtxPopCurrent_v2(nullptr);
}

TEST_F(DriverTest, AForkedChildHasNoCuda) {
  const pid_t child = fork();
  if (child == 0) {
    CUdeviceptr pointer = 0;
    const bool refused = cuInit(0) == CUDA_ERROR_NOT_INITIALIZED &&
                         cuMemAlloc_v2(&pointer, 4) == CUDA_ERROR_NOT_INITIALIZED &&
                         cuCtxSynchronize() == CUDA_ERROR_NOT_INITIALIZED;
    _exit(refused ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(cuCtxSynchronize(), CUDA_SUCCESS);
}

TEST_F(DriverTest, WhatIsNotThereSaysSo) { EXPECT_EQ(cuGreenCtxDestroy(nullptr), CUDA_ERROR_NOT_SUPPORTED); }

}  // namespace
}  // namespace tessera::softgpu

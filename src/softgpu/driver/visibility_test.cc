// Peer access, in the process and with the two devices of driver_test.cc.
#include "softgpu/driver/visibility.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "softgpu/driver/driver_test_kernels.h"

namespace tessera::softgpu {
namespace {

class VisibilityTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(cuCtxCreate_v2(&owner_, 0, 1), CUDA_SUCCESS);
    ASSERT_EQ(cuMemAlloc_v2(&memory_, 4096), CUDA_SUCCESS);
    ASSERT_EQ(cuMemsetD8_v2(memory_, 0, 4096), CUDA_SUCCESS);
    ASSERT_EQ(cuCtxSynchronize(), CUDA_SUCCESS);
    ASSERT_EQ(cuCtxCreate_v2(&reader_, 0, 0), CUDA_SUCCESS);
    CUmodule module = nullptr;
    ASSERT_EQ(cuModuleLoadData(&module, kTestPtx), CUDA_SUCCESS);
    ASSERT_EQ(cuModuleGetFunction(&store_, module, "store"), CUDA_SUCCESS);
    ASSERT_EQ(cuModuleGetFunction(&spin_, module, "spin"), CUDA_SUCCESS);
  }
  void TearDown() override {
    EXPECT_EQ(cuCtxDestroy_v2(reader_), CUDA_SUCCESS);
    if (owner_ != nullptr) {
      EXPECT_EQ(cuCtxDestroy_v2(owner_), CUDA_SUCCESS);
    }
    cuCtxSetCurrent(nullptr);
  }
  // In the reader's context.
  CUresult launch(CUfunction function, CUdeviceptr address) {
    void* parameters[] = {&address};
    return cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, nullptr, parameters, nullptr);
  }
  CUresult store(CUdeviceptr address) {
    const CUresult result = launch(store_, address);
    return result == CUDA_SUCCESS ? cuCtxSynchronize() : result;
  }

  CUcontext owner_ = nullptr, reader_ = nullptr;
  CUdeviceptr memory_ = 0;
  CUfunction store_ = nullptr, spin_ = nullptr;
};

TEST_F(VisibilityTest, AttributesSayWhatWorks) {
  int value = 0;
  EXPECT_EQ(cuDeviceCanAccessPeer(&value, 0, 1), CUDA_SUCCESS);
  EXPECT_EQ(value, 1);
  EXPECT_EQ(cuDeviceCanAccessPeer(&value, 0, 0), CUDA_ERROR_INVALID_DEVICE);
  EXPECT_EQ(cuDeviceCanAccessPeer(&value, 0, 2), CUDA_ERROR_INVALID_DEVICE);
  EXPECT_EQ(cuDeviceGetP2PAttribute(&value, CU_DEVICE_P2P_ATTRIBUTE_NATIVE_ATOMIC_SUPPORTED, 0, 1),
            CUDA_SUCCESS);
  EXPECT_EQ(value, 1);
  EXPECT_EQ(cuDeviceGetP2PAttribute(&value, static_cast<CUdevice_P2PAttribute>(77), 0, 1),
            CUDA_ERROR_INVALID_VALUE);
}

TEST_F(VisibilityTest, HoldsWhileOneContextHasAccess) {
  CUcontext second = nullptr;
  ASSERT_EQ(cuCtxCreate_v2(&second, 0, 0), CUDA_SUCCESS);
  EXPECT_EQ(cuCtxEnablePeerAccess(owner_, 0), CUDA_SUCCESS);
  EXPECT_EQ(cuCtxEnablePeerAccess(reader_, 0), CUDA_ERROR_PEER_ACCESS_UNSUPPORTED);  // the same device
  EXPECT_EQ(cuCtxEnablePeerAccess(owner_, 1), CUDA_ERROR_INVALID_VALUE);
  ASSERT_EQ(cuCtxSetCurrent(reader_), CUDA_SUCCESS);
  EXPECT_EQ(cuCtxEnablePeerAccess(owner_, 0), CUDA_SUCCESS);
  EXPECT_EQ(cuCtxDestroy_v2(second), CUDA_SUCCESS);
  EXPECT_EQ(store(memory_), CUDA_SUCCESS);
  EXPECT_EQ(cuCtxDisablePeerAccess(owner_), CUDA_SUCCESS);
  EXPECT_EQ(store(memory_), CUDA_ERROR_ILLEGAL_ADDRESS);
}

TEST_F(VisibilityTest, EndsWithTheOwner) {
  EXPECT_EQ(cuCtxEnablePeerAccess(owner_, 0), CUDA_SUCCESS);
  EXPECT_EQ(cuCtxDestroy_v2(owner_), CUDA_SUCCESS);
  EXPECT_EQ(cuCtxDisablePeerAccess(owner_), CUDA_ERROR_INVALID_CONTEXT);
  owner_ = nullptr;
  EXPECT_EQ(store(memory_), CUDA_ERROR_ILLEGAL_ADDRESS);
}

TEST_F(VisibilityTest, AFreeWaitsForKernelsOfPeers) {
  EXPECT_EQ(cuCtxEnablePeerAccess(owner_, 0), CUDA_SUCCESS);
  ASSERT_EQ(launch(spin_, memory_), CUDA_SUCCESS);
  std::thread free([this] {
    EXPECT_EQ(cuCtxSetCurrent(owner_), CUDA_SUCCESS);
    EXPECT_EQ(cuMemFree_v2(memory_), CUDA_SUCCESS);
  });
  // Ends the kernel. Before the free or while it waits: both are well.
  std::this_thread::sleep_for(std::chrono::milliseconds(2));
  const unsigned one = 1;
  CUstream stream = nullptr;
  EXPECT_EQ(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
  EXPECT_EQ(cuMemcpyHtoDAsync_v2(memory_, &one, sizeof one, stream), CUDA_SUCCESS);
  free.join();
  EXPECT_EQ(cuCtxSynchronize(), CUDA_SUCCESS);
}

// Without access a kernel may not touch it, but a copy may.
TEST_F(VisibilityTest, AFreeWaitsForCopiesOfDevicesThatDoNotSeeIt) {
  CUdeviceptr flag = 0, copy = 0;
  ASSERT_EQ(cuMemAlloc_v2(&flag, 4), CUDA_SUCCESS);
  ASSERT_EQ(cuMemAlloc_v2(&copy, 4096), CUDA_SUCCESS);
  ASSERT_EQ(cuMemsetD8_v2(flag, 0, 4), CUDA_SUCCESS);
  ASSERT_EQ(launch(spin_, flag), CUDA_SUCCESS);
  ASSERT_EQ(cuMemcpyDtoDAsync_v2(copy, memory_, 4096, nullptr), CUDA_SUCCESS);
  std::atomic<bool> freed{false}, ended{false};
  std::thread free([&] {
    EXPECT_EQ(cuCtxSetCurrent(owner_), CUDA_SUCCESS);
    EXPECT_EQ(cuMemFree_v2(memory_), CUDA_SUCCESS);
    EXPECT_TRUE(ended);
    freed = true;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_FALSE(freed);
  ended = true;
  const unsigned one = 1;
  CUstream stream = nullptr;
  EXPECT_EQ(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
  EXPECT_EQ(cuMemcpyHtoDAsync_v2(flag, &one, sizeof one, stream), CUDA_SUCCESS);
  free.join();
  EXPECT_EQ(cuCtxSynchronize(), CUDA_SUCCESS);
}

TEST_F(VisibilityTest, PeerCopiesFollowNoUnknownAddress) {
  EXPECT_EQ(cuMemcpyPeer(memory_, owner_, 0x100003, reader_, 16), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(cuMemcpyPeerAsync(0x100003, reader_, memory_, owner_, 16, nullptr), CUDA_ERROR_INVALID_VALUE);
}

}  // namespace
}  // namespace tessera::softgpu

// A context with the test kernels, on the first of the two devices of driver_test.cc.
#pragma once

#include <gtest/gtest.h>

#include <vector>

#include "cuda/abi.h"
#include "softgpu/driver/driver_test_kernels.h"

namespace tessera::softgpu::testing {

class DriverTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(cuCtxCreate_v2(&context_, 0, 0), CUDA_SUCCESS);
    ASSERT_EQ(cuModuleLoadData(&module_, kTestPtx), CUDA_SUCCESS);
  }
  void TearDown() override { EXPECT_EQ(cuCtxDestroy_v2(context_), CUDA_SUCCESS); }

  CUfunction function(const char* name) {
    CUfunction found = nullptr;
    EXPECT_EQ(cuModuleGetFunction(&found, module_, name), CUDA_SUCCESS);
    return found;
  }
  CUdeviceptr allocate(size_t bytes) {
    CUdeviceptr pointer = 0;
    EXPECT_EQ(cuMemAlloc_v2(&pointer, bytes), CUDA_SUCCESS);
    EXPECT_EQ(cuMemsetD8_v2(pointer, 0, bytes), CUDA_SUCCESS);
    return pointer;
  }
  CUresult launch(const char* name, CUstream stream, std::vector<void*> parameters, unsigned blocks = 1,
                  unsigned threads = 1) {
    return cuLaunchKernel(function(name), blocks, 1, 1, threads, 1, 1, 0, stream, parameters.data(), nullptr);
  }

  CUcontext context_ = nullptr;
  CUmodule module_ = nullptr;
};

}  // namespace tessera::softgpu::testing

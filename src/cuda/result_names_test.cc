#include "cuda/result_names.h"

#include <gtest/gtest.h>

namespace tessera::cuda {
namespace {

TEST(ResultNames, KnowsCudasValuesAndNoOthers) {
  EXPECT_STREQ(result_name(CUDA_SUCCESS), "CUDA_SUCCESS");
  EXPECT_STREQ(result_name(CUDA_ERROR_ILLEGAL_ADDRESS), "CUDA_ERROR_ILLEGAL_ADDRESS");
  EXPECT_STREQ(result_name(CUDA_ERROR_UNKNOWN), "CUDA_ERROR_UNKNOWN");
  EXPECT_STREQ(result_description(CUDA_ERROR_OUT_OF_MEMORY), "out of memory");
  EXPECT_EQ(result_name(static_cast<CUresult>(9)), nullptr);
  EXPECT_EQ(result_description(static_cast<CUresult>(5000)), nullptr);
}

}  // namespace
}  // namespace tessera::cuda

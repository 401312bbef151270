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

TEST(ResultNames, AFailedCallIsAStatusThatNamesIt) {
  EXPECT_TRUE(status_of(CUDA_SUCCESS, "cuMemCreate").ok());
  const Status full = status_of(CUDA_ERROR_OUT_OF_MEMORY, "cuMemCreate");
  EXPECT_EQ(full.code(), Code::kResourceExhausted);
  EXPECT_EQ(full.message(), "cuMemCreate: CUDA_ERROR_OUT_OF_MEMORY");
  const Status unknown = status_of(static_cast<CUresult>(9), "cuMemCreate");
  EXPECT_EQ(unknown.code(), Code::kInternal);
  EXPECT_EQ(unknown.message(), "cuMemCreate: an error that CUDA does not define");
}

}  // namespace
}  // namespace tessera::cuda

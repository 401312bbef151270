#include "cuda/context_values.h"

#include <gtest/gtest.h>

namespace tessera::cuda {
namespace {

int destroyed = 0;

void count(CUcontext, void*, void* value) { destroyed += *static_cast<int*>(value); }

TEST(ContextValues, AreKeptByContextAndKey) {
  int one = 1, two = 2;
  void* found = nullptr;
  EXPECT_TRUE(put_context_value(71, &one, &one, nullptr));
  EXPECT_FALSE(put_context_value(71, &two, &two, nullptr));
  EXPECT_TRUE(put_context_value(72, &one, &two, nullptr));
  EXPECT_EQ(get_context_value(71, &one, &found), CUDA_SUCCESS);
  EXPECT_EQ(found, &one);
  EXPECT_EQ(get_context_value(72, &one, &found), CUDA_SUCCESS);
  EXPECT_EQ(found, &two);
  EXPECT_EQ(get_context_value(72, &two, &found), CUDA_ERROR_INVALID_HANDLE);
  EXPECT_EQ(remove_context_value(71, &one), CUDA_SUCCESS);
  EXPECT_EQ(get_context_value(71, &one, &found), CUDA_ERROR_INVALID_HANDLE);
  EXPECT_EQ(remove_context_value(71, &one), CUDA_ERROR_INVALID_HANDLE);
}

TEST(ContextValues, DestructorsRunOnceAtTheEndOfTheContext) {
  int one = 1, ten = 10, hundred = 100;
  put_context_value(73, &one, &one, count);
  put_context_value(73, &ten, &ten, count);
  put_context_value(73, &hundred, &hundred, count);
  EXPECT_EQ(remove_context_value(73, &hundred), CUDA_SUCCESS);
  destroyed = 0;
  destroy_context_values(73, nullptr);
  destroy_context_values(73, nullptr);
  EXPECT_EQ(destroyed, 11);
}

}  // namespace
}  // namespace tessera::cuda

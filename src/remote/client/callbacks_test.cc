#include "remote/client/callbacks.h"

#include <gtest/gtest.h>

namespace tessera::remote {
namespace {

void count(void* argument) { ++*static_cast<int*>(argument); }
void count_streams(CUstream, CUresult status, void* argument) { *static_cast<int*>(argument) += status; }

TEST(HostFunctions, ThoseThatAreCalledOnceAreForgottenThen) {
  const size_t before = numbered_functions();
  int called = 0;
  for (int i = 0; i < 100; ++i) {
    const uint64_t number = number_host_function(count, &called);
    EXPECT_EQ(numbered_functions(), before + 1);
    run_callback({number, CUDA_SUCCESS, 1});
    run_callback({number, CUDA_SUCCESS, 1});  // a server that says it again is not believed
  }
  EXPECT_EQ(called, 100);
  const uint64_t added = number_stream_callback(count_streams, nullptr, &called);
  run_callback({added, 7, 1});
  EXPECT_EQ(called, 107);
  forget_number(number_host_function(count, &called));
  EXPECT_EQ(numbered_functions(), before);
}

TEST(HostFunctions, ThoseOfGraphsAreNumberedOnceAndStay) {
  int called = 0, other = 0;
  const uint64_t number = number_graph_function(count, &called);
  const size_t then = numbered_functions();
  EXPECT_EQ(number_graph_function(count, &called), number);
  EXPECT_NE(number_graph_function(count, &other), number);
  EXPECT_EQ(numbered_functions(), then + 1);
  forget_number(number);
  run_callback({number, CUDA_SUCCESS, 1});
  run_callback({number, CUDA_SUCCESS, 0});
  EXPECT_EQ(called, 2);
  CUhostFn function = nullptr;
  void* argument = nullptr;
  EXPECT_TRUE(host_function_of(number, &function, &argument));
  EXPECT_EQ(function, &count);
  EXPECT_EQ(argument, &called);
}

}  // namespace
}  // namespace tessera::remote

#include "cuda/api_entry.h"

#include <gtest/gtest.h>

#include "cuda/driver_table.h"

namespace tessera::cuda {
namespace {

std::string symbol_for(const char* name, int version, StreamForm form = StreamForm::kDefault) {
  Lookup found = find_driver_entry(name, version, form);
  return found.status == LookupStatus::kFound ? kDriverEntries[found.index].symbol : "";
}

TEST(ApiEntry, TheTableIsCuda13) { EXPECT_EQ(kDriverEntriesCount, 637u); }

TEST(ApiEntry, AnswersWithTheNewestFormNotNewerThanAsked) {
  EXPECT_EQ(symbol_for("cuMemAlloc", 13000), "cuMemAlloc_v2");
  EXPECT_EQ(symbol_for("cuMemAlloc", 3010), "cuMemAlloc");
  EXPECT_EQ(symbol_for("cuCtxGetDevice", 13000), "cuCtxGetDevice_v2");
  EXPECT_EQ(symbol_for("cuCtxGetDevice", 12080), "cuCtxGetDevice");
  EXPECT_EQ(symbol_for("cuCtxCreate", 12050), "cuCtxCreate_v4");
  EXPECT_EQ(symbol_for("cuCtxCreate", 12040), "cuCtxCreate_v3");
  EXPECT_EQ(find_driver_entry("cuMemAllocAsync", 10000, StreamForm::kDefault).status,
            LookupStatus::kVersionTooOld);
  EXPECT_EQ(find_driver_entry("cuMemAllocAsnyc", 13000, StreamForm::kDefault).status,
            LookupStatus::kNotFound);
}

TEST(ApiEntry, HonoursThePerThreadDefaultStream) {
  EXPECT_EQ(symbol_for("cuLaunchKernel", 13000, StreamForm::kPerThread), "cuLaunchKernel_ptsz");
  EXPECT_EQ(symbol_for("cuMemcpyHtoD", 13000, StreamForm::kPerThread), "cuMemcpyHtoD_v2_ptds");
  EXPECT_EQ(symbol_for("cuLaunchKernel", 6000, StreamForm::kPerThread), "cuLaunchKernel");
  EXPECT_EQ(symbol_for("cuLaunchKernel", 13000, StreamForm::kLegacy), "cuLaunchKernel");
  EXPECT_EQ(symbol_for("cuMemAlloc", 13000, StreamForm::kPerThread), "cuMemAlloc_v2");
}

TEST(ApiEntry, EveryPerThreadFormFollowsItsPlainForm) {
  for (size_t i = 0; i < kDriverEntriesCount; ++i) {
    if (!kDriverEntries[i].per_thread) continue;
    ASSERT_GT(i, 0u);
    EXPECT_STREQ(kDriverEntries[i].name, kDriverEntries[i - 1].name);
    EXPECT_FALSE(kDriverEntries[i - 1].per_thread);
  }
}

TEST(ApiEntry, FindsSymbols) {
  Lookup found = find_driver_symbol("cuMemcpyHtoD_v2_ptds");
  ASSERT_EQ(found.status, LookupStatus::kFound);
  EXPECT_STREQ(kDriverEntries[found.index].name, "cuMemcpyHtoD");
  EXPECT_EQ(find_driver_symbol("cuNoSuchThing").status, LookupStatus::kNotFound);
}

}  // namespace
}  // namespace tessera::cuda

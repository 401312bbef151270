#include "cli/hami_environment.h"

#include <gtest/gtest.h>

#include <map>

#include "common/size.h"

namespace tessera::cli {
namespace {

Result<HamiSettings> read(const std::map<std::string, std::string>& variables, size_t gpu_count = 1) {
  return read_hami_environment(
      [&](const std::string& name) {
        auto found = variables.find(name);
        return found == variables.end() ? std::string() : found->second;
      },
      gpu_count);
}

void expect_refused(const std::map<std::string, std::string>& variables, const std::string& text,
                    size_t gpu_count = 1) {
  auto settings = read(variables, gpu_count);
  ASSERT_FALSE(settings.ok()) << text;
  EXPECT_EQ(settings.status().code(), Code::kInvalidArgument);
  EXPECT_NE(settings.status().message().find(text), std::string::npos) << settings.status().message();
}

TEST(HamiEnvironment, NothingIsSaid) {
  auto settings = read({});
  ASSERT_TRUE(settings.ok());
  EXPECT_TRUE(settings->memory_bytes.empty());
  EXPECT_EQ(settings->log_level, "");
  EXPECT_TRUE(settings->share_percent.empty());
}

TEST(HamiEnvironment, MemoryOfOneGpuAndOfSeveral) {
  using Limits = std::vector<uint64_t>;
  EXPECT_EQ(read({{"CUDA_DEVICE_MEMORY_LIMIT", "2g"}})->memory_bytes, Limits{2 * kGiB});
  EXPECT_EQ(read({{"CUDA_DEVICE_MEMORY_LIMIT_0", "512m"}})->memory_bytes, Limits{512 * kMiB});
  EXPECT_EQ(read({{"CUDA_DEVICE_MEMORY_LIMIT", "2g"}, {"CUDA_DEVICE_MEMORY_LIMIT_0", "1g"}})->memory_bytes,
            Limits{kGiB});
  // The slice has no second GPU.
  EXPECT_TRUE(read({{"CUDA_DEVICE_MEMORY_LIMIT_1", "512m"}})->memory_bytes.empty());
  EXPECT_EQ(read({{"CUDA_DEVICE_MEMORY_LIMIT", "2g"}, {"CUDA_DEVICE_MEMORY_LIMIT_1", "1g"}}, 2)->memory_bytes,
            (Limits{2 * kGiB, kGiB}));
}

TEST(HamiEnvironment, WhatCannotBeIsRefusedByName) {
  expect_refused({{"CUDA_DEVICE_MEMORY_LIMIT", "much"}}, "CUDA_DEVICE_MEMORY_LIMIT");
  expect_refused({{"CUDA_DEVICE_MEMORY_LIMIT_0", "0"}}, "CUDA_DEVICE_MEMORY_LIMIT_0");
  expect_refused({{"CUDA_DEVICE_MEMORY_LIMIT_1", "2g"}}, "CUDA_DEVICE_MEMORY_LIMIT_0 is not set", 2);
  expect_refused({{"CUDA_DEVICE_SM_LIMIT", "101"}}, "CUDA_DEVICE_SM_LIMIT");
  expect_refused({{"CUDA_DEVICE_SM_LIMIT_0", "half"}}, "CUDA_DEVICE_SM_LIMIT_0");
  expect_refused({{"LIBCUDA_LOG_LEVEL", "5"}}, "LIBCUDA_LOG_LEVEL");
  expect_refused({{"GPU_CORE_UTILIZATION_POLICY", "always"}}, "GPU_CORE_UTILIZATION_POLICY");
  expect_refused({{"CUDA_TASK_PRIORITY", "-1"}}, "CUDA_TASK_PRIORITY");
}

TEST(HamiEnvironment, AComputeLimitIsAShare) {
  auto settings = read({{"CUDA_DEVICE_SM_LIMIT", "30"}, {"CUDA_DEVICE_SM_LIMIT_1", "0"}}, 2);
  EXPECT_EQ(settings->share_percent, (std::vector<uint32_t>{30, 0}));
  const std::vector<ComputeOptions> each = with_hami_compute({}, *settings);
  ASSERT_EQ(each.size(), 2u);
  EXPECT_EQ(each[0].share_permille, 300u);
  EXPECT_EQ(each[0].capped, false);
  EXPECT_FALSE(each[1].share_permille.has_value());
  EXPECT_TRUE(read({{"CUDA_DEVICE_SM_LIMIT", "100"}})->share_percent.empty());
  EXPECT_TRUE(read({{"CUDA_DEVICE_SM_LIMIT", "0"}})->share_percent.empty());
}

TEST(HamiEnvironment, ThePolicySaysWhetherTheLimitBindsAlways) {
  const auto compute = [](const char* policy) {
    return with_hami_compute(
        {}, *read({{"CUDA_DEVICE_SM_LIMIT", "30"}, {"GPU_CORE_UTILIZATION_POLICY", policy}}))[0];
  };
  EXPECT_EQ(compute("force").capped, true);
  EXPECT_EQ(compute("default").capped, false);
  EXPECT_FALSE(compute("disable").share_permille.has_value());
}

TEST(HamiEnvironment, OwnOptionsGoFirst) {
  ComputeOptions own;
  own.share_permille = 500;
  const auto settings = read({{"CUDA_DEVICE_SM_LIMIT", "30"}, {"CUDA_TASK_PRIORITY", "1"}});
  const std::vector<ComputeOptions> all = with_hami_compute(own, *settings);
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].share_permille, 500u);
  EXPECT_EQ(all[0].priority, scheduling::PriorityClass::kLow);
}

TEST(HamiEnvironment, LogLevels) {
  EXPECT_EQ(read({{"LIBCUDA_LOG_LEVEL", "0"}})->log_level, "error");
  EXPECT_EQ(read({{"LIBCUDA_LOG_LEVEL", "4"}})->log_level, "debug");
}

}  // namespace
}  // namespace tessera::cli

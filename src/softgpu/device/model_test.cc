#include "softgpu/device/model.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace tessera::softgpu {
namespace {

TEST(Model, IsFoundByKeyInAnyCase) {
  ASSERT_NE(find_model("a100-40"), nullptr);
  EXPECT_STREQ(find_model("a100-40")->name, "NVIDIA A100-SXM4-40GB");
  EXPECT_EQ(find_model("A100"), nullptr);
}

TEST(Model, DefaultsToTheSoftwareGpuItself) {
  EXPECT_EQ(find_model(""), &device_models()[0]);
  EXPECT_STREQ(find_model("")->name, "Software GPU");
  EXPECT_GE(find_model("")->compute_major, 9);
}

TEST(Model, FiguresAgreeWithEachOther) {
  std::set<std::string> keys, names;
  for (const DeviceModel& model : device_models()) {
    SCOPED_TRACE(model.key);
    EXPECT_TRUE(keys.insert(model.key).second);
    EXPECT_TRUE(names.insert(model.name).second);
    EXPECT_EQ(model.threads_per_sm % 32, 0u);
    EXPECT_LE(model.shared_per_block, model.shared_per_block_optin);
    EXPECT_LE(model.shared_per_block_optin + model.shared_reserved_per_block, model.shared_per_sm);
    EXPECT_LT(model.idle_mw, model.limit_mw);
    EXPECT_LT(model.idle_celsius, model.full_celsius);
    EXPECT_LT(model.full_celsius, model.slowdown_celsius);
    EXPECT_LT(model.slowdown_celsius, model.shutdown_celsius);
  }
}

}  // namespace
}  // namespace tessera::softgpu

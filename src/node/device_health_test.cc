#include "node/device_health.h"

#include <gtest/gtest.h>

namespace tessera::node {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

Inventory one(std::optional<uint64_t> errors, bool lost = false) {
  Inventory inventory;
  Gpu& gpu = inventory.gpus.emplace_back();
  gpu.uuid = "GPU-1";
  gpu.uncorrected_errors = errors;
  gpu.lost = lost;
  return inventory;
}

TEST(DeviceHealth, ANewErrorClosesAGpuUntilItWasQuiet) {
  DeviceHealth health;
  health.observe(one(7), kSecond);
  EXPECT_FALSE(health.any_closed(kSecond)) << "errors of earlier days";
  health.observe(one(8), 2 * kSecond);
  health.observe(one(8), 3 * kSecond);
  const auto why = health.closed("GPU-1", 3, 3 * kSecond);
  ASSERT_TRUE(why.has_value());
  EXPECT_NE(why->find("1 uncorrectable memory error (XID 48)"), std::string::npos) << *why;
  EXPECT_NE(why->find("after 10 min"), std::string::npos) << *why;
  EXPECT_NE(why->find("'tessera gpus --forgive 3'"), std::string::npos) << *why;
  health.observe(one(10), 4 * kSecond);
  EXPECT_NE(health.closed("GPU-1", 3, 4 * kSecond)->find("3 uncorrectable memory errors"), std::string::npos);
  EXPECT_TRUE(health.any_closed(603 * kSecond));
  EXPECT_FALSE(health.any_closed(604 * kSecond));
  EXPECT_FALSE(health.closed("GPU-2", 0, 4 * kSecond).has_value());
}

TEST(DeviceHealth, AnXidOfTheDeviceClosesIt) {
  DeviceHealth health;
  health.hear({"GPU-1", 95}, kSecond);
  EXPECT_FALSE(health.any_closed(kSecond)) << "not one of this node's, as far as is known";
  health.observe(one(7), kSecond);
  for (uint32_t xid : {13u, 31u, 43u, 63u, 94u, 79u, 100'000u}) health.hear({"GPU-1", xid}, 2 * kSecond);
  EXPECT_FALSE(health.any_closed(2 * kSecond)) << "a program's, passing, or seen by other signs";
  health.hear({"GPU-1", 48}, 2 * kSecond);
  EXPECT_FALSE(health.any_closed(2 * kSecond)) << "it is counted, and the count has not changed";
  health.hear({"GPU-1", 95}, 3 * kSecond);
  const auto why = health.closed("GPU-1", 3, 3 * kSecond);
  ASSERT_TRUE(why.has_value());
  EXPECT_EQ(
      *why,
      "XID 95 (uncontained memory error): reset the GPU; new programs get it again after 10 min without "
      "one, or by 'tessera gpus --forgive 3'");
  health.hear({"GPU-1", 119}, 4 * kSecond);
  EXPECT_NE(
      health.closed("GPU-1", 3, 4 * kSecond)->find("XID 119 (system processor does not answer), 2 errors"),
      std::string::npos);
  DeviceHealth after;
  after.restore("GPU-1", health.records(4 * kSecond).at("GPU-1"), 5 * kSecond);
  EXPECT_NE(after.closed("GPU-1", 3, 5 * kSecond)->find("XID 119"), std::string::npos);
}

TEST(DeviceHealth, WhereErrorsAreNotCountedXid48IsTheSign) {
  DeviceHealth health;
  health.observe(one(std::nullopt), kSecond);
  health.hear({"GPU-1", 48}, 2 * kSecond);
  EXPECT_TRUE(health.any_closed(2 * kSecond));
}

TEST(DeviceHealth, AResetOrAWordOpensItAgain) {
  DeviceHealth health;
  health.observe(one(0), kSecond);
  EXPECT_FALSE(health.forgive("GPU-1", kSecond));
  health.observe(one(1), 2 * kSecond);
  EXPECT_TRUE(health.forgive("GPU-1", 3 * kSecond));
  health.observe(one(1), 3 * kSecond);
  EXPECT_FALSE(health.any_closed(3 * kSecond));
  health.observe(one(2), 4 * kSecond);
  EXPECT_TRUE(health.any_closed(4 * kSecond));
  health.observe(one(0), 5 * kSecond);
  EXPECT_FALSE(health.any_closed(5 * kSecond));
}

TEST(DeviceHealth, AnotherDaemonKeepsItClosed) {
  DeviceHealth before;
  before.observe(one(7), kSecond);
  EXPECT_TRUE(before.records(kSecond).empty());
  before.observe(one(9), 2 * kSecond);
  const auto records = before.records(3 * kSecond);
  ASSERT_EQ(records.size(), 1u);
  DeviceHealth after, was_reset, worse;
  for (DeviceHealth* health : {&after, &was_reset, &worse})
    health->restore("GPU-1", records.at("GPU-1"), 4 * kSecond);
  after.observe(one(9), 5 * kSecond);
  EXPECT_EQ(after.closed("GPU-1", 0, 5 * kSecond), before.closed("GPU-1", 0, 5 * kSecond));
  EXPECT_TRUE(after.closed("GPU-1", 0, 5 * kSecond).has_value());
  was_reset.observe(one(0), 5 * kSecond);
  EXPECT_FALSE(was_reset.any_closed(5 * kSecond)) << "while there was no daemon";
  worse.observe(one(10), 5 * kSecond);
  EXPECT_NE(worse.closed("GPU-1", 0, 5 * kSecond)->find("3 uncorrectable"), std::string::npos);
}

// One that is lost is the inventory's to tell; when it is back it was reset.
TEST(DeviceHealth, ALostGpuIsNotQuarantined) {
  DeviceHealth health;
  health.observe(one(0), kSecond);
  health.observe(one(1), kSecond);
  health.observe(one(std::nullopt, true), 2 * kSecond);
  EXPECT_FALSE(health.closed("GPU-1", 0, 2 * kSecond).has_value());
  health.observe(one(0), 3 * kSecond);
  EXPECT_FALSE(health.any_closed(3 * kSecond));
  health.observe(one(1), 4 * kSecond);
  EXPECT_TRUE(health.any_closed(4 * kSecond));
}

}  // namespace
}  // namespace tessera::node

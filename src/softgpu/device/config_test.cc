#include "softgpu/device/config.h"

#include <gtest/gtest.h>

#include <map>

#include "softgpu/device/usage_history.h"
#include "softgpu/device/uuid.h"
#include "softgpu/device/visible.h"

namespace tessera::softgpu {
namespace {

Result<Config> parse(std::map<std::string, std::string> settings) {
  return parse_config([settings](const char* name) {
    auto found = settings.find(name);
    return found == settings.end() ? std::string() : found->second;
  });
}

TEST(ConfigTest, HasDefaults) {
  auto config = parse({});
  ASSERT_TRUE(config.ok());
  EXPECT_EQ(config->devices, 1);
  EXPECT_GE(config->sm_count, 1);
  EXPECT_GE(config->memory_bytes, kMinDeviceMemory);
  EXPECT_FALSE(config->state_dir.empty());
}

TEST(ConfigTest, TakesSettings) {
  auto config = parse({{"SOFTGPU_DEVICES", "4"}, {"SOFTGPU_MEMORY", "512MiB"}, {"SOFTGPU_SMS", "7"}});
  ASSERT_TRUE(config.ok());
  EXPECT_EQ(config->devices, 4);
  EXPECT_EQ(config->memory_bytes, 512u << 20);
  EXPECT_EQ(config->sm_count, 7);
}

TEST(ConfigTest, RefusesNonsenseByName) {
  for (const char* name : {"SOFTGPU_DEVICES", "SOFTGPU_MEMORY", "SOFTGPU_SMS"}) {
    for (const char* value : {"0", "-1", "many", "99999999999999999999"}) {
      auto config = parse({{name, value}});
      ASSERT_FALSE(config.ok()) << name << "=" << value;
      EXPECT_NE(config.status().message().find(name), std::string::npos);
    }
  }
}

TEST(ConfigTest, ReadsFiles) {
  auto file = parse_config_file("# comment\n\n SOFTGPU_SMS = 3 \nSOFTGPU_MODEL=x\n");
  ASSERT_TRUE(file.ok());
  EXPECT_EQ((*file)("SOFTGPU_SMS"), "3");
  EXPECT_EQ((*file)("SOFTGPU_DEVICES"), "");
  EXPECT_FALSE(parse_config_file("nonsense").ok());
}

TEST(VisibleDevicesTest, FollowsCuda) {
  const std::vector<std::string> uuids = {"GPU-aaaa", "GPU-aabb", "GPU-cccc"};
  using List = std::vector<int>;
  EXPECT_EQ(visible_devices(nullptr, uuids), (List{0, 1, 2}));
  EXPECT_EQ(visible_devices("", uuids), List{});
  EXPECT_EQ(visible_devices("2,0", uuids), (List{2, 0}));
  EXPECT_EQ(visible_devices("1,-1,0", uuids), List{1});
  EXPECT_EQ(visible_devices("0,7,1", uuids), List{0});
  EXPECT_EQ(visible_devices("GPU-c, 0", uuids), (List{2, 0}));
  EXPECT_EQ(visible_devices("GPU-aa", uuids), List{});  // two begin so
  EXPECT_EQ(visible_devices("0,0", uuids), List{});
  EXPECT_EQ(visible_devices("nonsense", uuids), List{});
}

TEST(UuidTest, IsStableAndDistinct) {
  EXPECT_EQ(device_uuid(0), device_uuid(0));
  EXPECT_NE(device_uuid(0), device_uuid(1));
  EXPECT_EQ(format_uuid(device_uuid(3)).size(),
            std::string("GPU-01234567-89ab-cdef-0123-456789abcdef").size());
}

TEST(UsageHistoryTest, CountsWhatTheWindowHolds) {
  constexpr uint64_t kBucket = UsageHistory::kBucketNs;
  UsageHistory history;
  const uint64_t now = 1000 * kBucket;
  history.add(now - 10 * kBucket, now - 8 * kBucket);
  EXPECT_EQ(history.busy_ns(now, 20 * kBucket), 2 * kBucket);
  EXPECT_EQ(history.busy_ns(now, 9 * kBucket), kBucket);
  EXPECT_EQ(history.busy_ns(now, 5 * kBucket), 0u);
  // Much later the old buckets no longer count, whatever place they have in the ring.
  EXPECT_EQ(history.busy_ns(now + 100 * kBucket, 20 * kBucket), 0u);
  history.add(now, now + 1000 * kBucket);  // longer than the ring
  EXPECT_EQ(history.busy_ns(now + 1000 * kBucket, 10 * kBucket), 10 * kBucket);
}

TEST(Config, OwnTables) {
  EXPECT_TRUE(parse({})->own_tables);
  EXPECT_TRUE(parse({{"SOFTGPU_OWN_TABLES", "on"}})->own_tables);
  EXPECT_FALSE(parse({{"SOFTGPU_OWN_TABLES", "off"}})->own_tables);
  EXPECT_FALSE(parse({{"SOFTGPU_OWN_TABLES", "no"}}).ok());
}

TEST(Config, Zeroing) {
  EXPECT_TRUE(parse({})->zeroing);
  EXPECT_FALSE(parse({{"SOFTGPU_ZEROING", "off"}})->zeroing);
  EXPECT_FALSE(parse({{"SOFTGPU_ZEROING", "maybe"}}).ok());
}

TEST(Config, ProcessorsThatRunKernels) {
  EXPECT_TRUE(parse({})->processors.empty());
  EXPECT_EQ(parse({{"SOFTGPU_CPUS", "0-2,5"}})->processors, (std::vector<int>{0, 1, 2, 5}));
  for (const char* wrong : {"1,0", "0,0", "3-1", "a", "0-", "-1", "1024", ",", "0-99999999999"}) {
    auto config = parse({{"SOFTGPU_CPUS", wrong}});
    ASSERT_FALSE(config.ok()) << wrong;
    EXPECT_NE(config.status().message().find("SOFTGPU_CPUS"), std::string::npos);
  }
}

}  // namespace
}  // namespace tessera::softgpu

#include "common/log.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <string>

#include "common/log_levels.h"
#include "common/strings.h"

namespace tessera {
namespace {

// One line of the log as it is written.
std::string logged(const char* format, const char* text) {
  setenv("TESSERA_LOG_FORMAT", format, 1);
  log_init("test", "NO_SUCH_VARIABLE");
  testing::internal::CaptureStderr();
  LOG_WARN("module", "%s", text);
  std::string line = testing::internal::GetCapturedStderr();
  unsetenv("TESSERA_LOG_FORMAT");
  log_init("test", "NO_SUCH_VARIABLE");
  return line;
}

TEST(Log, IsForPeopleWhereNothingIsSaid) {
  EXPECT_NE(logged("", "some text").find("] warn module: some text\n"), std::string::npos);
}

TEST(Log, IsJsonWhereThatIsAskedFor) {
  const std::string line = logged("json", "a \"name\"\\\n\x01");
  EXPECT_TRUE(line.starts_with("{\"time\":\"20")) << line;
  EXPECT_NE(line.find("\",\"level\":\"warn\",\"program\":\"test\",\"pid\":"), std::string::npos) << line;
  EXPECT_TRUE(line.ends_with("\"module\":\"module\",\"text\":\"a \\\"name\\\"\\\\\\u000a\\u0001\"}\n"))
      << line;
}

// The modules of lines of all levels that are written.
std::string written(const char* levels) {
  setenv("TEST_LOG", levels, 1);
  testing::internal::CaptureStderr();
  log_init("test", "TEST_LOG");
  for (const char* module : {"gate", "leases"}) {
    LOG_ERROR(module, "e");
    LOG_WARN(module, "w");
    LOG_INFO(module, "i");
    LOG_DEBUG(module, "d");
  }
  const std::string lines = testing::internal::GetCapturedStderr();
  std::string all;
  for (const std::string_view line : split(lines, '\n')) {
    if (!line.empty()) all += std::string(line.substr(line.find("] ") + 2)) + ";";
  }
  log_set_level(LogLevel::kWarn);
  return all;
}

TEST(Log, HasALevelForEachModule) {
  EXPECT_EQ(written("error"), "error gate: e;error leases: e;");
  EXPECT_EQ(written("error,leases=info"), "error gate: e;error leases: e;warn leases: w;info leases: i;");
  EXPECT_EQ(written("gate=error,info"), "error gate: e;error leases: e;warn leases: w;info leases: i;");
  EXPECT_EQ(written("gate=debug"),
            "error gate: e;warn gate: w;info gate: i;debug gate: d;error leases: e;warn leases: w;");
}

TEST(Log, WhatIsNoLevelIsSaidAndChangesNothing) {
  for (const char* wrong : {"loud", "warn,gate", "warn,gate=loud", "=info", "", "warn,"}) {
    if (*wrong != '\0') {
      EXPECT_NE(written(wrong).find("warn log: TEST_LOG is '"), std::string::npos) << wrong;
    }
    EXPECT_FALSE(log_set_levels(wrong)) << wrong;
  }
  EXPECT_FALSE(log_set_levels("warn," + std::string(kMostModuleBytes + 1, 'm') + "=info"));
  EXPECT_TRUE(log_set_levels("warn," + std::string(kMostModuleBytes, 'm') + "=info"));
  std::string many;
  for (size_t i = 0; i <= kMostModuleLevels; ++i) many += "m" + std::to_string(i) + "=info,";
  EXPECT_FALSE(log_set_levels(many + "warn"));
  log_set_level(LogLevel::kWarn);
}

TEST(Log, WhatIsNoUtf8IsReplaced) {
  EXPECT_NE(logged("json", "\xc3\xa9 \xff \xc3").find("\"text\":\"\xc3\xa9 \\ufffd \\ufffd\"}"),
            std::string::npos);
}

}  // namespace
}  // namespace tessera

#include "common/log.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <string>

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

TEST(Log, WhatIsNoUtf8IsReplaced) {
  EXPECT_NE(logged("json", "\xc3\xa9 \xff \xc3").find("\"text\":\"\xc3\xa9 \\ufffd \\ufffd\"}"),
            std::string::npos);
}

}  // namespace
}  // namespace tessera

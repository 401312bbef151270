#include "virtualization/inherited.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace tessera::vgpu {
namespace {

TEST(Inherited, FindsAValueInABlock) {
  const std::string_view block("A=1\0LONG_A=2\0EMPTY=\0B=x=y\0", 25);
  EXPECT_EQ(value_in(block, "A"), "1");
  EXPECT_EQ(value_in(block, "LONG_A"), "2");
  EXPECT_EQ(value_in(block, "EMPTY"), "");
  EXPECT_EQ(value_in(block, "B"), "x=y");
  EXPECT_EQ(value_in(block, "LONG"), "");
  EXPECT_EQ(value_in({}, "A"), "");
}

TEST(Inherited, AVariableThatTheProgramRemovedIsStillKnown) {
  const char* path = getenv("PATH");
  ASSERT_NE(path, nullptr);
  const std::string started_with = path;
  unsetenv("PATH");
  EXPECT_EQ(inherited("PATH"), started_with);
  setenv("PATH", "/elsewhere", 1);
  EXPECT_EQ(inherited("PATH"), "/elsewhere");
  setenv("PATH", started_with.c_str(), 1);
}

}  // namespace
}  // namespace tessera::vgpu

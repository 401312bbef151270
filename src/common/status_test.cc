#include "common/status.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>

namespace tessera {
namespace {

TEST(Status, CarriesCodeMessageAndContext) {
  Status status = Status::error(Code::kNotFound, "no GPU %d", 3).with_context("run");
  EXPECT_EQ(status.code(), Code::kNotFound);
  EXPECT_EQ(status.message(), "run: no GPU 3");
  EXPECT_TRUE(Status().with_context("x").ok());
}

TEST(Status, ErrnoBecomesCodeAndText) {
  Status status = Status::from_errno(ENOENT, "cannot open %s", "/x");
  EXPECT_EQ(status.code(), Code::kNotFound);
  EXPECT_EQ(status.message(), "cannot open /x: No such file or directory");
}

Result<std::unique_ptr<int>> half(int number) {
  if (number % 2 != 0) return Status::error(Code::kInvalidArgument, "odd");
  return std::make_unique<int>(number / 2);
}

Result<int> quarter(int number) {
  TESSERA_ASSIGN_OR_RETURN(auto once, half(number));
  TESSERA_ASSIGN_OR_RETURN(auto twice, half(*once));
  return *twice;
}

TEST(Result, MovesValuesAndReturnsEarly) {
  EXPECT_EQ(*quarter(12), 3);
  EXPECT_EQ(quarter(6).status().message(), "odd");
}

}  // namespace
}  // namespace tessera

#include "virtualization/residency/unmoved.h"

#include <gtest/gtest.h>

namespace tessera::vgpu {
namespace {

TEST(Unmoved, WhoseContextHasEndedIsNoNews) {
  EXPECT_EQ(notice_of_unmoved(Code::kFailedPrecondition).level, LogLevel::kInfo);
}

TEST(Unmoved, WhatOthersWaitForIs) {
  const UnmovedNotice no_place = notice_of_unmoved(Code::kResourceExhausted),
                      failed = notice_of_unmoved(Code::kInternal);
  EXPECT_EQ(no_place.level, LogLevel::kWarn);
  EXPECT_EQ(failed.level, LogLevel::kWarn);
  EXPECT_STRNE(no_place.text, failed.text);
}

}  // namespace
}  // namespace tessera::vgpu

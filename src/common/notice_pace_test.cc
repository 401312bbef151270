#include "common/notice_pace.h"

#include <gtest/gtest.h>

namespace tessera {
namespace {

constexpr uint64_t kPause = NoticePace::kPauseNs, kBegin = 1'000;

TEST(NoticePace, TheFirstIsWrittenAndTheNextAfterAPause) {
  NoticePace pace;
  EXPECT_EQ(pace.came(kBegin), 0u);
  EXPECT_FALSE(pace.came(kBegin));
  EXPECT_FALSE(pace.came(kBegin + kPause - 1));
  EXPECT_EQ(pace.came(kBegin + kPause), 2u) << "it says how many were not";
}

TEST(NoticePace, WhatIsSeldomIsWrittenEachTime) {
  NoticePace pace;
  for (uint64_t i = 0; i < 10; ++i) EXPECT_EQ(pace.came(kBegin + i * kPause), 0u);
}

TEST(NoticePace, WhatIsPassedOverDoesNotProlongThePause) {
  NoticePace pace;
  uint64_t written = 0;
  for (uint64_t ns = 0; ns < 10 * kPause; ns += kPause / 100) written += pace.came(ns) ? 1 : 0;
  EXPECT_EQ(written, 10u);
}

}  // namespace
}  // namespace tessera

#include "virtualization/residency/passage.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace tessera::vgpu {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

TEST(Passage, IsOpenAtFirst) {
  Passage passage;
  EXPECT_TRUE(passage.try_enter());
  passage.leave();
  EXPECT_FALSE(passage.is_closed());
}

TEST(Passage, ClosedItLetsNobodyIn) {
  Passage passage;
  ASSERT_TRUE(passage.close(kSecond));
  EXPECT_FALSE(passage.try_enter());
  EXPECT_TRUE(passage.close(0)) << "who is turned away is not inside";
  passage.open();
  EXPECT_TRUE(passage.try_enter());
}

TEST(Passage, OpensAgainWhereSomebodyStaysInside) {
  Passage passage;
  ASSERT_TRUE(passage.try_enter());
  EXPECT_FALSE(passage.close(1'000'000));
  EXPECT_FALSE(passage.is_closed());
  passage.leave();
  EXPECT_TRUE(passage.close(0));
}

// What is changed while it is closed is not looked at meanwhile.
TEST(Passage, KeepsThemApart) {
  Passage passage;
  int value = 0, seen_odd = 0;
  std::atomic<bool> ends{false};
  std::vector<std::thread> threads;
  std::atomic<int> odd{0};
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      while (!ends) {
        if (!passage.try_enter()) continue;
        if (value % 2 != 0) ++odd;
        passage.leave();
      }
    });
  }
  for (int i = 0; i < 500; ++i) {
    if (!passage.close(60 * kSecond)) ++seen_odd;
    ++value;
    ++value;
    passage.open();
  }
  ends = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(odd, 0);
  EXPECT_EQ(seen_odd, 0);
  EXPECT_EQ(value, 1000);
}

}  // namespace
}  // namespace tessera::vgpu

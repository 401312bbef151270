#include "common/stepped_clock.h"

#include <gtest/gtest.h>

#include "common/clock.h"

namespace tessera {
namespace {

uint64_t asked = 0;
uint64_t count_up() { return ++asked; }

TEST(SteppedClock, ExactlyAsksEachTime) {
  asked = 0;
  SteppedClock clock = SteppedClock::exact(&count_up);
  for (uint64_t i = 1; i <= 100; ++i) EXPECT_EQ(clock.now_ns(), i);
}

TEST(SteppedClock, StartsWithTheTime) {
  asked = 0;
  EXPECT_EQ(SteppedClock::of(&count_up).now_ns(), 1u);
}

// However fast it is asked it goes on, and never shows a time that is not yet or goes back.
TEST(SteppedClock, GoesOn) {
  SteppedClock clock = SteppedClock::of(&monotonic_ns);
  const uint64_t began = clock.now_ns();
  uint64_t last = began;
  while (last < began + 1'000'000) {
    const uint64_t now = clock.now_ns();
    ASSERT_GE(now, last);
    ASSERT_LE(now, monotonic_ns());
    last = now;
  }
}

}  // namespace
}  // namespace tessera

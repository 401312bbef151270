#include "remote/client/naming.h"

#include <gtest/gtest.h>

namespace tessera::remote {
namespace {

constexpr uint64_t kMiB = 1 << 20;
constexpr double kGigabit = 125e6;

Naming with_digest(double bytes_per_second) {
  Naming naming;
  for (int i = 0; i < 100; ++i) naming.digested(kMiB, static_cast<uint64_t>(kMiB * 1e9 / bytes_per_second));
  return naming;
}

TEST(Naming, PaysWhereTheWayIsSlowerThanTheDigest) {
  const Naming naming = with_digest(1.5e9);
  EXPECT_TRUE(naming.pays(kMiB, kGigabit));
  EXPECT_FALSE(naming.pays(kMiB, 2.5e9)) << "the way is faster";
  EXPECT_FALSE(naming.pays(kMiB, 0)) << "nothing is known of it";
}

TEST(Naming, GivesUpWhereNothingIsEverThereAndCostsLittleThen) {
  const double way = 5e8;  // the digest takes a third of the time
  Naming naming = with_digest(1.5e9);
  double digests = 0, sending = 0;
  for (int i = 0; i < 100'000; ++i) {
    if (naming.pays(kMiB, way)) {
      digests += kMiB / 1.5e9;
      naming.was_not_there(kMiB);
    }
    sending += kMiB / way;
    naming.sent(kMiB, way);
  }
  EXPECT_GT(digests, 0);
  EXPECT_LT(digests, 0.11 * sending + 0.6);
}

TEST(Naming, GoesOnWhereItHasPaid) {
  const double way = 5e8;
  Naming naming = with_digest(1.5e9);
  for (int i = 0; i < 10'000; ++i) {
    if (i % 2 != 0) {
      naming.was_not_there(kMiB);
      naming.sent(kMiB, way);
    } else {
      naming.was_there(kMiB, way);
    }
  }
  EXPECT_TRUE(naming.pays(kMiB, way));
}

}  // namespace
}  // namespace tessera::remote

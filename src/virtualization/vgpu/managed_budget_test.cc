#include "virtualization/vgpu/managed_budget.h"

#include <gtest/gtest.h>

namespace tessera::vgpu {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

TEST(ManagedBudget, WhatFitsIsChargedAndCreditedInFull) {
  ManagedBudget budget;
  EXPECT_EQ(budget.allocated(0, 10 * kMiB, 10 * kMiB).limit, 10 * kMiB);
  EXPECT_EQ(budget.allocated(0, 6 * kMiB, 6 * kMiB).limit, 16 * kMiB);
  EXPECT_EQ(budget.allocated(1, kMiB, kMiB).limit, kMiB);
  const ManagedBudget::Change freed = budget.freed(0, 10 * kMiB);
  EXPECT_EQ(freed.limit, 6 * kMiB);
  EXPECT_EQ(freed.credit, 10 * kMiB);
  EXPECT_EQ(budget.freed(0, 6 * kMiB).credit, 6 * kMiB);
  EXPECT_EQ(budget.charged(0), 0u);
  EXPECT_EQ(budget.charged(1), kMiB);
}

TEST(ManagedBudget, BeyondTheSliceTheRestServesAll) {
  ManagedBudget budget;
  budget.allocated(0, 10 * kMiB, 10 * kMiB);
  EXPECT_EQ(budget.allocated(0, 100 * kMiB, 2 * kMiB).limit, 12 * kMiB);
  // 100 MiB are left of it: all that is charged is still of use.
  EXPECT_EQ(budget.freed(0, 10 * kMiB).credit, 0u);
  EXPECT_EQ(budget.freed(0, 100 * kMiB).credit, 12 * kMiB);
}

TEST(ManagedBudget, OtherMemoryGoesFirst) {
  ManagedBudget budget;
  EXPECT_EQ(budget.give_up(0, kMiB).credit, 0u);
  budget.allocated(0, 20 * kMiB, 20 * kMiB);
  const ManagedBudget::Change some = budget.give_up(0, 5 * kMiB);
  EXPECT_EQ(some.limit, 15 * kMiB);
  EXPECT_EQ(some.credit, 5 * kMiB);
  EXPECT_EQ(budget.give_up(0, 100 * kMiB).credit, 15 * kMiB - ManagedBudget::kLeastBytes);
  EXPECT_EQ(budget.freed(0, 20 * kMiB).credit, ManagedBudget::kLeastBytes);
}

}  // namespace
}  // namespace tessera::vgpu

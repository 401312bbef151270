#include "virtualization/vgpu/overhead.h"

#include <gtest/gtest.h>

#include "virtualization/vgpu/loaded_code.h"

namespace tessera::vgpu {
namespace {

CUcontext context(uintptr_t value) { return reinterpret_cast<CUcontext>(value); }

TEST(OverheadLedger, EndsWithItsOwnerOrItsContext) {
  OverheadLedger ledger;
  ledger.add(7, {100, 0, context(1)});
  ledger.add(7, {50, 0, context(2)});
  ledger.add(8, {10, 0, context(1)});
  ledger.add(0, {1, 0, context(2)});
  EXPECT_EQ(ledger.owner_ended(0).size(), 0u);
  EXPECT_EQ(ledger.context_ended(context(2)).size(), 2u);
  const auto ended = ledger.owner_ended(7);
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].bytes, 100u);
  EXPECT_EQ(ledger.owner_ended(7).size(), 0u);
  EXPECT_EQ(ledger.context_ended(context(1)).size(), 1u);
}

TEST(OverheadLedger, WhatIsBesideContextsEndsWithItsOwner) {
  OverheadLedger ledger;
  ledger.add(7, {100, 0, nullptr});
  ledger.add(0, {10, 0, nullptr});  // nobody's: kept until the process ends
  EXPECT_EQ(ledger.context_ended(context(1)).size(), 0u);
  EXPECT_EQ(ledger.owner_ended(0).size(), 0u);
  EXPECT_EQ(ledger.owner_ended(7).size(), 1u);
}

TEST(OverheadLedger, DebtsArePaidInOrderOrEndUnpaid) {
  OverheadLedger ledger;
  EXPECT_FALSE(ledger.has_debts());
  ledger.add_debt(7, {100, 0, context(1)});
  ledger.add_debt(8, {10, 0, context(1)});
  ledger.add_debt(9, {5, 1, context(1)});
  EXPECT_EQ(ledger.debt_bytes(0), 110u);
  uint64_t left = 104;
  const auto pay = [&](uint64_t bytes) {
    if (bytes > left) return false;
    left -= bytes;
    return true;
  };
  EXPECT_FALSE(ledger.settle(0, pay));
  EXPECT_EQ(ledger.debt_bytes(0), 10u);
  EXPECT_EQ(ledger.owner_ended(8).size(), 0u);  // never charged
  EXPECT_TRUE(ledger.settle(0, pay));
  EXPECT_TRUE(ledger.has_debts());  // of the other device
  EXPECT_EQ(ledger.owner_ended(7).size(), 1u);
  EXPECT_EQ(ledger.context_ended(context(1)).size(), 0u);
  EXPECT_FALSE(ledger.has_debts());
}

TEST(LoadedCode, ForgetsWhatHandlesMayMeanLater) {
  LoadedCode code;
  const auto function = reinterpret_cast<CUfunction>(uintptr_t{0x10});
  const auto library = reinterpret_cast<CUlibrary>(uintptr_t{0x20});
  code.add_kernel(reinterpret_cast<CUkernel>(function), library);
  code.set_loaded(function, context(1));
  EXPECT_TRUE(code.loaded(function, context(1)));
  EXPECT_FALSE(code.loaded(function, context(2)));
  EXPECT_EQ(code.library_of(function), library);
  const uint64_t epoch = code.epoch();
  code.forget_library(library);
  EXPECT_NE(code.epoch(), epoch);
  EXPECT_FALSE(code.loaded(function, context(1)));
  EXPECT_EQ(code.library_of(function), nullptr);
}

}  // namespace
}  // namespace tessera::vgpu

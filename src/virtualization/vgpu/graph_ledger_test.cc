#include "virtualization/vgpu/graph_ledger.h"

#include <gtest/gtest.h>

namespace tessera::vgpu {
namespace {

CUgraphExec exec_of(uintptr_t value) { return reinterpret_cast<CUgraphExec>(value); }

TEST(GraphLedger, TheFirstLaunchAndTheFirstAfterATrimMayReserve) {
  GraphLedger ledger;
  const GraphLedger::Bytes needs{{0, 100}, {1, 7}};
  ledger.instantiated(exec_of(16), needs);
  EXPECT_EQ(ledger.needs(exec_of(16)), needs);
  ledger.launched(exec_of(16));
  EXPECT_TRUE(ledger.needs(exec_of(16)).empty());
  EXPECT_EQ(ledger.all_needs(exec_of(16)), needs);
  ledger.trimmed();
  EXPECT_EQ(ledger.needs(exec_of(16)), needs);
  ledger.destroyed(exec_of(16));
  EXPECT_TRUE(ledger.needs(exec_of(16)).empty());
  EXPECT_TRUE(ledger.all_needs(exec_of(16)).empty());
  EXPECT_TRUE(ledger.empty());
}

TEST(GraphLedger, GraphsWithoutMemoryAreNotKept) {
  GraphLedger ledger;
  ledger.instantiated(exec_of(16), {});
  EXPECT_TRUE(ledger.empty());
  ledger.launched(exec_of(16));
  EXPECT_TRUE(ledger.needs(exec_of(16)).empty());
}

TEST(GraphLedger, ChargesAreByDevice) {
  GraphLedger ledger;
  EXPECT_EQ(ledger.charged(3), 0u);
  ledger.set_charged(3, 50);
  ledger.set_charged(3, 40);
  EXPECT_EQ(ledger.charged(3), 40u);
  EXPECT_EQ(ledger.charged(0), 0u);
}

}  // namespace
}  // namespace tessera::vgpu

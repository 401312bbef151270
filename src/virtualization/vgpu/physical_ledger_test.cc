#include "virtualization/vgpu/physical_ledger.h"

#include <gtest/gtest.h>

namespace tessera::vgpu {
namespace {

TEST(PhysicalLedger, EndsWithTheLastHandle) {
  PhysicalLedger ledger;
  ledger.created(7, {100, 0, nullptr});
  ledger.retained(7);
  EXPECT_FALSE(ledger.released(7));
  EXPECT_EQ(ledger.released(7)->bytes, 100u);
  EXPECT_FALSE(ledger.released(7));
}

TEST(PhysicalLedger, EndsWithTheLastMapping) {
  PhysicalLedger ledger;
  ledger.created(7, {100, 0, nullptr});
  ledger.created(8, {50, 0, nullptr});
  ledger.mapped(1000, 100, 7);
  ledger.mapped(1100, 100, 7);
  ledger.mapped(1200, 50, 8);
  EXPECT_FALSE(ledger.released(7));
  EXPECT_FALSE(ledger.released(8));
  EXPECT_TRUE(ledger.unmapped(1000, 100).empty());
  EXPECT_TRUE(ledger.unmapped(0, 1000).empty());
  EXPECT_EQ(ledger.unmapped(1100, 200).size(), 2u);
  EXPECT_TRUE(ledger.unmapped(0, ~0ull).empty());
}

TEST(PhysicalLedger, ARetainedMappingOutlivesItsUnmapping) {
  PhysicalLedger ledger;
  ledger.created(7, {100, 0, nullptr});
  ledger.mapped(1000, 100, 7);
  EXPECT_FALSE(ledger.released(7));
  ledger.retained(7);
  EXPECT_TRUE(ledger.unmapped(1000, 100).empty());
  EXPECT_TRUE(ledger.released(7));
}

TEST(PhysicalLedger, ImportedHandlesEndNothing) {
  PhysicalLedger ledger;
  ledger.mapped(1000, 100, 9);
  ledger.retained(9);
  EXPECT_FALSE(ledger.released(9));
  EXPECT_TRUE(ledger.unmapped(1000, 100).empty());
}

TEST(PhysicalLedger, ImportedMemoryOfAKnownSizeIsChargedOnce) {
  PhysicalLedger ledger;
  EXPECT_FALSE(ledger.has(7));
  ledger.imported(7, {200, 2, nullptr});
  EXPECT_TRUE(ledger.has(7));
  ledger.imported(7, {200, 2, nullptr});
  EXPECT_FALSE(ledger.uncharged(7, 200));
  EXPECT_FALSE(ledger.released(7));
  EXPECT_EQ(ledger.released(7)->bytes, 200u);
  EXPECT_FALSE(ledger.has(7));
}

TEST(PhysicalLedger, ImportedMemoryOfAnUnknownSizeIsChargedByItsLargestMapping) {
  PhysicalLedger ledger;
  ledger.imported(7, {0, 2, nullptr});
  ledger.imported(7, {0, 2, nullptr});  // the same once more
  EXPECT_EQ(ledger.uncharged(7, 100)->bytes, 100u);
  ledger.charged(7, 100);
  ledger.mapped(1000, 100, 7);
  EXPECT_FALSE(ledger.uncharged(7, 100));
  EXPECT_EQ(ledger.uncharged(7, 130)->bytes, 30u);
  EXPECT_EQ(ledger.uncharged(7, 130)->device, 2u);
  EXPECT_FALSE(ledger.released(7));
  EXPECT_FALSE(ledger.released(7));
  const std::vector<Charge> ended = ledger.unmapped(1000, 100);
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].bytes, 100u);
}

TEST(PhysicalLedger, OwnMemoryImportedIsNotChargedAgain) {
  PhysicalLedger ledger;
  ledger.created(7, {100, 0, nullptr});
  ledger.imported(7, {100, 0, nullptr});
  EXPECT_FALSE(ledger.uncharged(7, 200));
  EXPECT_FALSE(ledger.released(7));
  EXPECT_EQ(ledger.released(7)->bytes, 100u);
}

}  // namespace
}  // namespace tessera::vgpu

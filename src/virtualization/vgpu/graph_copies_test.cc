#include "virtualization/vgpu/graph_copies.h"

#include <gtest/gtest.h>

namespace tessera::vgpu {
namespace {

CUgraphExec exec_of(uintptr_t value) { return reinterpret_cast<CUgraphExec>(value); }
CUgraphNode node_of(uintptr_t value) { return reinterpret_cast<CUgraphNode>(value); }

GraphCopy copy(uintptr_t node, uintptr_t child, CopyWay way, uint64_t bytes) {
  return {node_of(node), node_of(child), {way, bytes}};
}

const CUgraphExec kExec = exec_of(16);

TEST(GraphCopies, AddUpByTheirWay) {
  GraphCopies copies;
  copies.instantiated(kExec, {copy(1, 1, CopyWay::kToDevice, 10), copy(2, 2, CopyWay::kOnDevice, 7),
                              copy(3, 3, CopyWay::kToDevice, 5), copy(4, 4, CopyWay::kFromDevice, 2)});
  EXPECT_EQ(copies.totals(kExec), (GraphCopies::Totals{15, 2, 7, 0}));
  EXPECT_EQ(copies.totals(exec_of(32)), GraphCopies::Totals{});
  copies.destroyed(kExec);
  EXPECT_EQ(copies.totals(kExec), GraphCopies::Totals{});
  EXPECT_TRUE(copies.empty());
}

TEST(GraphCopies, AHandleThatIsGivenAgainHasNothingOfTheOneBefore) {
  GraphCopies copies;
  copies.instantiated(kExec, {copy(1, 1, CopyWay::kToDevice, 10)});
  copies.instantiated(kExec, {});
  EXPECT_TRUE(copies.empty());
}

TEST(GraphCopies, NodesAreChangedAndSwitchedOff) {
  GraphCopies copies;
  copies.instantiated(kExec, {copy(1, 1, CopyWay::kToDevice, 10), copy(2, 2, CopyWay::kToDevice, 20)});
  copies.set_copy(kExec, node_of(1), {CopyWay::kFromDevice, 3});
  EXPECT_EQ(copies.totals(kExec), (GraphCopies::Totals{20, 3, 0, 0}));
  copies.set_enabled(kExec, node_of(2), false);
  EXPECT_EQ(copies.totals(kExec), (GraphCopies::Totals{0, 3, 0, 0}));
  copies.set_copy(kExec, node_of(2), {CopyWay::kToDevice, 8});
  copies.set_enabled(kExec, node_of(2), true);
  EXPECT_EQ(copies.totals(kExec), (GraphCopies::Totals{8, 3, 0, 0}));
  copies.set_enabled(kExec, node_of(77), false);
  copies.set_copy(exec_of(32), node_of(1), {CopyWay::kToDevice, 1});
  EXPECT_EQ(copies.totals(kExec), (GraphCopies::Totals{8, 3, 0, 0}));
}

TEST(GraphCopies, MadeLikeAnotherItKeepsTheNamesOfItsNodes) {
  GraphCopies copies;
  copies.instantiated(kExec, {copy(1, 1, CopyWay::kToDevice, 10), copy(5, 2, CopyWay::kToDevice, 20),
                              copy(6, 2, CopyWay::kOnDevice, 30)});
  copies.made_like(kExec, std::nullopt,
                   {copy(11, 11, CopyWay::kToDevice, 1), copy(15, 12, CopyWay::kToDevice, 2),
                    copy(16, 12, CopyWay::kOnDevice, 3)});
  EXPECT_EQ(copies.totals(kExec), (GraphCopies::Totals{3, 0, 3, 0}));
  copies.set_copy(kExec, node_of(1), {CopyWay::kToDevice, 100});
  EXPECT_EQ(copies.totals(kExec), (GraphCopies::Totals{102, 0, 3, 0}));
  // A graph within it alone.
  copies.made_like(kExec, node_of(2),
                   {copy(25, 25, CopyWay::kFromDevice, 9), copy(26, 26, CopyWay::kOnDevice, 4)});
  EXPECT_EQ(copies.totals(kExec), (GraphCopies::Totals{100, 9, 4, 0}));
}

}  // namespace
}  // namespace tessera::vgpu

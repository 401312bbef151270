#include "remote/worker/handle_table.h"

#include <gtest/gtest.h>

namespace tessera::remote {
namespace {

TEST(HandleTable, AHandleHasOneIdUntilItIsForgotten) {
  HandleTable table;
  const uint64_t id = table.id_of(HandleKind::kCUmodule, 0x1000, 0);
  EXPECT_EQ(table.id_of(HandleKind::kCUmodule, 0x1000, 0), id);
  EXPECT_EQ(table.find(id), 0x1000u);
  EXPECT_EQ(kind_of(id), HandleKind::kCUmodule);
  // The driver may give the same number for things of different kinds.
  EXPECT_NE(table.id_of(HandleKind::kCUarray, 0x1000, 0), id);
  table.forget(id);
  EXPECT_EQ(table.find(id), 0u);
  EXPECT_NE(table.id_of(HandleKind::kCUmodule, 0x1000, 0), id) << "an old id would mean something new";
}

TEST(HandleTable, WhatCameFromAHandleGoesWithIt) {
  HandleTable table;
  const uint64_t library = table.id_of(HandleKind::kCUlibrary, 1, 0);
  const uint64_t module = table.id_of(HandleKind::kCUmodule, 2, library);
  const uint64_t function = table.id_of(HandleKind::kCUfunction, 3, module);
  const uint64_t other = table.id_of(HandleKind::kCUfunction, 4, 0);
  table.forget(library);
  EXPECT_EQ(table.find(module), 0u);
  EXPECT_EQ(table.find(function), 0u);
  EXPECT_EQ(table.find(other), 4u);
  EXPECT_EQ(table.size(), 1u);
}

TEST(HandleTable, AClientNamesOnlyNumbersOfItsOwnAndNoneTwice) {
  HandleTable table;
  const uint64_t mine = handle_id(HandleKind::kCUstream, kOfClient | 7);
  EXPECT_TRUE(table.bind(mine, 0x2000, 0));
  EXPECT_FALSE(table.bind(mine, 0x3000, 0));
  EXPECT_FALSE(table.bind(handle_id(HandleKind::kCUstream, 7), 0x3000, 0));
  EXPECT_FALSE(table.bind(42, 0x3000, 0));
  EXPECT_EQ(table.find(mine), 0x2000u);
  EXPECT_EQ(table.id_of(HandleKind::kCUstream, 0x2000, 0), mine);
}

TEST(HandleId, KernelsStandForFunctions) {
  const uint64_t kernel = handle_id(HandleKind::kCUkernel, 1),
                 function = handle_id(HandleKind::kCUfunction, 1);
  EXPECT_TRUE(may_stand_for(kernel, HandleKind::kCUfunction));
  EXPECT_FALSE(may_stand_for(function, HandleKind::kCUkernel));
  EXPECT_FALSE(may_stand_for(0x7f0000001000, HandleKind::kCUfunction));
}

// A program that makes and releases memory for ever has a bounded number of names for it.
TEST(HandleTable, AllocationsAreForgottenAfterTheirLastReference) {
  constexpr auto kKind = HandleKind::kCUmemGenericAllocationHandle;
  HandleTable table;
  const uint64_t id = table.id_of(kKind, 1, 0);
  table.release(id);
  EXPECT_EQ(table.id_of(kKind, 1, 0), id);  // it was mapped, and is retained again
  for (uint64_t real = 2; real < 4 * HandleTable::kMostReleased; ++real)
    table.release(table.id_of(kKind, real, 0));
  EXPECT_EQ(table.find(id), 1u);
  EXPECT_EQ(table.size(), 1 + HandleTable::kMostReleased);
  table.release(id);
  table.release(id);  // once too often
  for (uint64_t real = 2; real < 2 * HandleTable::kMostReleased; ++real)
    table.release(table.id_of(kKind, real, 0));
  EXPECT_EQ(table.find(id), 0u);
}

// A session that is made again: what the server names anew gets the name that the program has for it.
TEST(HandleTable, ARenamedHandleKeepsWhatItIsAndWhatIsBelowIt) {
  HandleTable table;
  const uint64_t library = table.id_of(HandleKind::kCUlibrary, 1, 0);
  const uint64_t module = table.id_of(HandleKind::kCUmodule, 2, library);
  const uint64_t function = table.id_of(HandleKind::kCUfunction, 3, module);
  const uint64_t name = handle_id(HandleKind::kCUmodule, first_number(1));
  EXPECT_FALSE(table.rename(name, module)) << "there is none such";
  EXPECT_FALSE(table.rename(module, 42)) << "no handle";
  EXPECT_FALSE(table.rename(module, handle_id(HandleKind::kCUarray, 9))) << "another kind";
  EXPECT_FALSE(table.rename(module, module)) << "it is taken";
  EXPECT_TRUE(table.rename(module, name));
  EXPECT_EQ(table.find(module), 0u);
  EXPECT_EQ(table.find(name), 2u);
  EXPECT_EQ(table.id_of(HandleKind::kCUmodule, 2, library), name);
  table.forget(library);
  EXPECT_EQ(table.find(name), 0u);
  EXPECT_EQ(table.find(function), 0u);
  EXPECT_EQ(table.size(), 0u);
}

TEST(HandleTable, WhatIsMovedEndsWithItsNewOwner) {
  HandleTable table;
  const uint64_t graph = table.id_of(HandleKind::kCUgraph, 1, 0),
                 other = table.id_of(HandleKind::kCUgraph, 2, 0);
  const uint64_t child = table.id_of(HandleKind::kCUgraph, 3, graph);
  table.move_below(child, child);
  table.move_below(child, handle_id(HandleKind::kCUgraph, 99));
  table.move_below(handle_id(HandleKind::kCUgraph, 99), graph);
  table.move_below(child, other);
  table.forget(graph);
  EXPECT_EQ(table.find(child), 3u);
  table.forget(other);
  EXPECT_EQ(table.find(child), 0u);
}

TEST(HandleTable, HasAnEnd) {
  HandleTable table;
  for (uint64_t real = 1; real <= HandleTable::kMost; ++real)
    ASSERT_NE(table.id_of(HandleKind::kCUgraphNode, real, 0), 0u);
  EXPECT_EQ(table.id_of(HandleKind::kCUgraphNode, HandleTable::kMost + 1, 0), 0u);
  EXPECT_FALSE(table.bind(handle_id(HandleKind::kCUevent, kOfClient), 1, 0));
  const uint64_t known = table.id_of(HandleKind::kCUgraphNode, 7, 0);
  EXPECT_NE(known, 0u) << "known ones are given all the same";
  table.forget(known);
  EXPECT_NE(table.id_of(HandleKind::kCUgraphNode, HandleTable::kMost + 1, 0), 0u) << "one has gone";
}

}  // namespace
}  // namespace tessera::remote

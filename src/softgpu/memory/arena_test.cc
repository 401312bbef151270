#include "softgpu/memory/arena.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "softgpu/memory/allocation_table.h"

namespace tessera::softgpu {
namespace {

constexpr uint64_t kArenaBytes = 64u << 20;

void write_all(RangeAllocator::Range range, int value) {
  memset(reinterpret_cast<void*>(range.begin), value, range.size);
}

TEST(ArenaTest, MemoryIsUsableFromEndToEnd) {
  auto arena = Arena::reserve(kArenaBytes);
  ASSERT_TRUE(arena.ok());
  auto range = (*arena)->allocate(kArenaBytes, Arena::kGranularity);
  ASSERT_TRUE(range.ok()) << range.status().message();
  write_all(*range, 1);
  EXPECT_FALSE((*arena)->allocate(1, Arena::kGranularity).ok());
  (*arena)->free(*range);
}

TEST(ArenaTest, FreedMemoryGoesBackToTheSystem) {
  auto arena = Arena::reserve(kArenaBytes);
  ASSERT_TRUE(arena.ok());
  auto keep = (*arena)->allocate(100, Arena::kGranularity);  // shares a chunk with the next one
  auto range = (*arena)->allocate(8u << 20, Arena::kGranularity);
  ASSERT_TRUE(keep.ok() && range.ok());
  write_all(*keep, 7);
  write_all(*range, 1);
  (*arena)->free(*range);
  auto again = (*arena)->allocate(8u << 20, Arena::kGranularity);
  ASSERT_TRUE(again.ok());
  ASSERT_EQ(again->begin, range->begin);
  // Whole pages come back as zeros: they were given up.
  const auto* bytes = reinterpret_cast<const unsigned char*>(again->begin);
  EXPECT_EQ(bytes[4u << 20], 0);
  EXPECT_EQ(*reinterpret_cast<const unsigned char*>(keep->begin), 7);
}

// Of the mapping that holds an address: its line VmFlags in /proc/self/smaps.
std::string mapping_flags(uint64_t address) {
  std::ifstream smaps("/proc/self/smaps");
  bool inside = false;
  for (std::string line; std::getline(smaps, line);) {
    uint64_t begin = 0, end = 0;
    if (sscanf(line.c_str(), "%lx-%lx ", &begin, &end) == 2) inside = begin <= address && address < end;
    if (inside && line.starts_with("VmFlags:")) return line;
  }
  return "";
}

// A core dump of a device's file would have all of it, and take the memory for what was never touched.
TEST(ArenaTest, IsNeitherDumpedNorInherited) {
  auto arena = Arena::reserve(kArenaBytes);
  ASSERT_TRUE(arena.ok());
  auto range = (*arena)->allocate(100, Arena::kGranularity);
  ASSERT_TRUE(range.ok());
  for (const uint64_t address : {range->begin, range->begin + kArenaBytes / 2}) {
    EXPECT_NE(mapping_flags(address).find(" dd"), std::string::npos) << mapping_flags(address);
    EXPECT_NE(mapping_flags(address).find(" dc"), std::string::npos) << mapping_flags(address);
  }
}

bool system_knows_huge_pages() { return access("/sys/kernel/mm/transparent_hugepage", F_OK) == 0; }

TEST(ArenaTest, LargeAllocationsAreAdvisedToHavePagesOfAChunk) {
  if (!system_knows_huge_pages()) GTEST_SKIP() << "the system has no transparent huge pages";
  auto arena = Arena::reserve(kArenaBytes);
  auto small_pages = Arena::reserve(kArenaBytes, "test", Arena::PageSize::kSmall);
  ASSERT_TRUE(arena.ok() && small_pages.ok());
  auto small = (*arena)->allocate(Arena::kChunkBytes - Arena::kGranularity, Arena::kGranularity);
  auto large = (*arena)->allocate(Arena::kChunkBytes, Arena::kChunkBytes);
  auto never = (*small_pages)->allocate(Arena::kChunkBytes, Arena::kChunkBytes);
  ASSERT_TRUE(small.ok() && large.ok() && never.ok());
  const auto is_advised = [](RangeAllocator::Range range) {
    return mapping_flags(range.begin).find(" hg") != std::string::npos;
  };
  EXPECT_FALSE(is_advised(*small));
  EXPECT_TRUE(is_advised(*large));
  EXPECT_FALSE(is_advised(*never));
}

uint64_t file_bytes(const Arena& arena) {
  struct stat facts {};
  EXPECT_EQ(fstat(arena.file().fd(), &facts), 0);
  return static_cast<uint64_t>(facts.st_blocks) * 512;
}

// A huge page brings memory on both sides of an allocation: here as if it had, whatever the system's setting.
TEST(ArenaTest, WhatHugePagesBringBesideAnAllocationGoesWithIt) {
  auto arena = Arena::reserve(kArenaBytes);
  ASSERT_TRUE(arena.ok());
  auto before = (*arena)->allocate(Arena::kChunkBytes / 4, Arena::kGranularity);
  auto range = (*arena)->allocate(Arena::kChunkBytes + Arena::kChunkBytes / 2, Arena::kGranularity);
  ASSERT_TRUE(before.ok() && range.ok());
  ASSERT_EQ(before->end(), range->begin);
  const uint64_t chunks_end = range->begin - Arena::kChunkBytes / 4 + 2 * Arena::kChunkBytes;
  write_all({range->begin, chunks_end - range->begin}, 1);
  write_all(*before, 2);
  (*arena)->free(*range);
  const auto* there = reinterpret_cast<const unsigned char*>(before->begin);
  for (uint64_t at = 0; at < before->size; at += 4096) ASSERT_EQ(there[at], 2);
  (*arena)->free(*before);
  EXPECT_EQ(file_bytes(**arena), 0u);
}

// Programs that lock their memory, also what they will map, do not fill a device's addresses by that.
TEST(ArenaTest, TakesAndKeepsNoMemoryWhereMemoryIsLocked) {
  constexpr uint64_t kLarge = 8u << 20;
  const pid_t child = fork();  // locking is for the whole process
  if (child == 0) {
    if (mlockall(MCL_FUTURE) != 0) _exit(77);
    auto arena = Arena::reserve(kLarge);
    if (!arena.ok()) _exit(77);  // the limit on locked memory
    const auto blocks = [&] {
      struct stat facts {};
      return fstat((*arena)->file().fd(), &facts) == 0 ? facts.st_blocks : -1;
    };
    if (blocks() != 0) _exit(1);
    auto range = (*arena)->allocate(kLarge / 2, Arena::kGranularity);
    if (!range.ok()) _exit(2);
    write_all(*range, 1);
    if (blocks() == 0) _exit(3);
    (*arena)->free(*range);
    _exit(blocks() == 0 ? 0 : 4);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "memory cannot be locked here";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(ArenaTest, NeighboursKeepTheirBytes) {
  auto arena = Arena::reserve(kArenaBytes);
  ASSERT_TRUE(arena.ok());
  std::mt19937 random(5);
  struct Held {
    RangeAllocator::Range range;
    int value;
  };
  std::vector<Held> held;
  for (int step = 0; step < 3000; ++step) {
    if (random() % 2 == 0 || held.empty()) {
      auto range = (*arena)->allocate(1 + random() % 100'000, Arena::kGranularity);
      if (!range.ok()) continue;
      held.push_back({*range, static_cast<int>(step & 0x7f)});
      write_all(*range, held.back().value);
    } else {
      const size_t i = random() % held.size();
      const auto* bytes = reinterpret_cast<const unsigned char*>(held[i].range.begin);
      for (uint64_t at = 0; at < held[i].range.size; ++at) ASSERT_EQ(bytes[at], held[i].value);
      (*arena)->free(held[i].range);
      held[i] = held.back();
      held.pop_back();
    }
  }
}

TEST(AllocationTableTest, FindsByAnyAddressAndRefusesOverlaps) {
  AllocationTable table;
  Allocation a;
  a.begin = 0x1000;
  a.size = 100;
  ASSERT_TRUE(table.insert(a).ok());
  EXPECT_TRUE(table.find(0x1000));
  EXPECT_TRUE(table.find(0x1063));
  EXPECT_FALSE(table.find(0x1064));
  EXPECT_FALSE(table.find(0xfff));
  for (uint64_t begin : {0xff0ull, 0x1000ull, 0x1050ull}) {
    Allocation b;
    b.begin = begin;
    b.size = 0x40;
    EXPECT_EQ(table.insert(b).code(), Code::kAlreadyExists) << begin;
  }
  EXPECT_TRUE(table.remove(0x1000, [](const Allocation&) { return true; }));
  EXPECT_FALSE(table.remove(0x1000, [](const Allocation&) { return true; }));
}

}  // namespace
}  // namespace tessera::softgpu

#include "common/mappings.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

namespace tessera {
namespace {

constexpr std::string_view kList =
    "00400000-00500000 r-xp 00000000 08:01 17 /usr/bin/a b\n"
    "00600000-00700000 rw-p 00000000 00:00 0 \n"
    "00700000-00780000 ---p 00000000 00:00 0 \n"
    "00790000-00800000 rw-p 00000000 00:00 0 [heap]\n"
    "7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0 [stack]\n";

TEST(Mappings, LinesAreRead) {
  Mapping mapping;
  ASSERT_TRUE(read_mapping("00400000-00500000 r-xp 00000000 08:01 17 /usr/bin/a b", &mapping));
  EXPECT_EQ(mapping.begin, 0x400000u);
  EXPECT_EQ(mapping.end, 0x500000u);
  EXPECT_EQ(mapping.path, "/usr/bin/a b");
  ASSERT_TRUE(read_mapping("7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0 [stack]", &mapping));
  EXPECT_EQ(mapping.path, "");
  for (const std::string_view line : {"", "x", "400000", "400000 500000", "500000-400000 r-xp", "400000-"})
    EXPECT_FALSE(read_mapping(line, &mapping)) << line;
}

TEST(Mappings, WhatIsTakenEndsWhereTheGapIsLargeEnough) {
  const auto end = [](uint64_t address, uint64_t gap) { return taken_from(kList, address, gap).end; };
  EXPECT_EQ(end(0x680000, 0x1000), 0x780000u);   // two that touch
  EXPECT_EQ(end(0x680000, 0x10000), 0x780000u);  // just large enough
  EXPECT_EQ(end(0x680000, 0x20000), 0x800000u);  // too small a gap
  EXPECT_EQ(end(0x5f0000, 0x20000), 0x800000u);  // begins before what is taken
  EXPECT_EQ(end(0x5f0000, 0x10000), 0x5f0000u);  // fits there
  EXPECT_EQ(end(0x900000, 0x1000), 0x900000u);
}

TEST(Mappings, OfThisProcess) {
  const size_t bytes = 4 << 20;
  void* const memory = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  const auto list = own_mappings();
  ASSERT_TRUE(list.ok());
  const auto begin = reinterpret_cast<uint64_t>(memory);
  EXPECT_GE(taken_from(*list, begin, 1).end, begin + bytes);
  munmap(memory, bytes);
}

}  // namespace
}  // namespace tessera

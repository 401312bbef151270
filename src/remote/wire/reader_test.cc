#include "remote/wire/reader.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <random>

#include "remote/wire/writer.h"

namespace tessera::remote {
namespace {

TEST(Reader, ReadsWhatTheWriterWrote) {
  std::vector<std::byte> bytes;
  Writer writer(bytes);
  const int numbers[] = {1, 2, 3};
  writer.value<uint16_t>(7);
  writer.array(numbers, 3);
  writer.text("name");
  writer.text(nullptr);
  writer.structure<int>(nullptr);
  EXPECT_EQ(bytes.size() % 8, 0u);
  Arena arena;
  Reader reader(bytes, arena);
  uint64_t count = 0;
  EXPECT_EQ(reader.value<uint16_t>(), 7);
  const int* found = reader.array<int>(&count);
  ASSERT_EQ(count, 3u);
  EXPECT_EQ(found[2], 3);
  EXPECT_STREQ(reader.text(), "name");
  EXPECT_EQ(reader.text(), nullptr);
  EXPECT_EQ(reader.structure<int>(), nullptr);
  EXPECT_TRUE(reader.whole());
}

TEST(Reader, TextWithoutItsEndAndArraysThatLieAreRefused) {
  std::vector<std::byte> bytes;
  Writer(bytes).array("ab", 2);
  Arena arena;
  Reader text(bytes, arena);
  EXPECT_EQ(text.text(), nullptr);
  EXPECT_TRUE(text.failed());
  for (uint64_t count : {uint64_t{9}, uint64_t{1} << 61, ~uint64_t{1}}) {
    std::vector<std::byte> lie;
    Writer(lie).value(count);
    Reader reader(lie, arena);
    uint64_t read = 1;
    EXPECT_EQ(reader.array<uint64_t>(&read), nullptr);
    EXPECT_EQ(read, 0u);
    EXPECT_FALSE(reader.whole());
  }
}

// Bytes of strangers: whatever they are, reading them ends, within bounds and the arena's limit.
TEST(Reader, AnyBytesAreReadWithinTheirBounds) {
  std::mt19937_64 random(3);
  for (int round = 0; round < 20'000; ++round) {
    std::vector<std::byte> bytes(random() % 200);
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random() % 5 == 0 ? random() : 0);
    Arena arena;
    Reader reader(bytes, arena);
    for (int field = 0; field < 12 && !reader.failed(); ++field) {
      uint64_t count = 0;
      switch (random() % 4) {
        case 0:
          (void)reader.value<uint32_t>();
          break;
        case 1:
          (void)reader.array<uint64_t>(&count);
          EXPECT_LE(count, bytes.size());
          break;
        case 2:
          if (const char* text = reader.text()) {
            EXPECT_LT(strlen(text), bytes.size());
          }
          break;
        default:
          (void)reader.structure<std::array<uint64_t, 5>>();
      }
    }
  }
}

TEST(Arena, HasALimit) {
  Arena arena;
  EXPECT_NE(arena.array<std::byte>(0), nullptr);
  EXPECT_EQ(arena.array<uint64_t>(Arena::kLimitBytes), nullptr);
  EXPECT_NE(arena.array<std::byte>(Arena::kLimitBytes / 2), nullptr);
  EXPECT_EQ(arena.array<std::byte>(Arena::kLimitBytes / 2), nullptr);
  arena.clear();
  EXPECT_NE(arena.array<std::byte>(Arena::kLimitBytes / 2), nullptr);
}

}  // namespace
}  // namespace tessera::remote

#include "remote/wire/changes.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

namespace tessera::remote {
namespace {

using Bytes = std::vector<std::byte>;

Bytes random_bytes(std::mt19937& dice, size_t size) {
  Bytes bytes(size);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(dice() % 4);
  return bytes;
}

void apply(Bytes& memory, const Changes& changes) {
  ASSERT_TRUE(are_changes(changes));
  each_change(changes, [&](uint64_t offset, ByteSpan run) {
    ASSERT_LE(changes.address + offset + run.size(), memory.size());
    memcpy(memory.data() + changes.address + offset, run.data(), run.size());
  });
}

TEST(Changes, BringTheOtherSideUpToThis) {
  std::mt19937 dice(1);
  for (int round = 0; round < 200; ++round) {
    const size_t size = 1 + dice() % 200'000;
    Bytes before = random_bytes(dice, size), now = before, there = before;
    for (unsigned i = dice() % 50; i > 0; --i) now[dice() % size] = static_cast<std::byte>(dice());
    find_changes(0, now, before, [&](const Changes& changes) { apply(there, changes); });
    EXPECT_EQ(there, now);
    EXPECT_EQ(before, now);
  }
}

// As two threads that share a page do, or a kernel and the host: neither undoes what the other has written.
TEST(Changes, OfBothSidesAtOnceDoNotUndoEachOther) {
  std::mt19937 dice(2);
  for (int round = 0; round < 100; ++round) {
    const size_t size = 1 + dice() % 20'000;
    const Bytes start = random_bytes(dice, size);
    Bytes here = start, there = start, heres_last = start, theres_last = start;
    for (size_t i = 0; i < size; ++i) {
      if (dice() % 3 == 0) (dice() % 2 == 0 ? here : there)[i] = static_cast<std::byte>(7 + dice() % 4);
    }
    Bytes both = here;
    for (size_t i = 0; i < size; ++i) both[i] = there[i] != start[i] ? there[i] : here[i];
    std::vector<std::pair<uint64_t, std::pair<uint64_t, Bytes>>> to_there, to_here;
    const auto keep = [](auto& in) {
      return [&in](const Changes& c) {
        in.push_back({c.address, {c.bytes, Bytes(c.encoded.begin(), c.encoded.end())}});
      };
    };
    find_changes(0, here, heres_last, keep(to_there));
    find_changes(0, there, theres_last, keep(to_here));
    for (const auto& [at, what] : to_there) apply(there, {at, what.first, what.second});
    for (const auto& [at, what] : to_here) apply(here, {at, what.first, what.second});
    EXPECT_EQ(here, both);
    EXPECT_EQ(there, both);
  }
}

TEST(Changes, ThatAreNoneAreRefused) {
  const auto bytes = [](std::initializer_list<int> values) {
    Bytes made;
    for (int value : values) made.push_back(static_cast<std::byte>(value));
    return made;
  };
  const Bytes good = bytes({0b101, 1, 2}), short_one = bytes({0b101, 1}), long_one = bytes({0b101, 1, 2, 3}),
              beyond = bytes({0b1001, 1, 2}), none = bytes({});
  EXPECT_TRUE(are_changes({0, 3, good}));
  EXPECT_FALSE(are_changes({0, 3, short_one}));
  EXPECT_FALSE(are_changes({0, 3, long_one}));
  EXPECT_FALSE(are_changes({0, 3, beyond})) << "a change behind the span's end";
  EXPECT_FALSE(are_changes({0, 3, none}));
  EXPECT_FALSE(are_changes({0, 0, none}));
  EXPECT_FALSE(are_changes({0, kMostChangedSpan + 1, Bytes(kMostChangedSpan)}));
  EXPECT_FALSE(are_changes({0, ~uint64_t{0}, good}));
}

}  // namespace
}  // namespace tessera::remote

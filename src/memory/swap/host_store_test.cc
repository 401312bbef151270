#include "memory/swap/host_store.h"

#include <gtest/gtest.h>
#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

namespace tessera::memory {
namespace {

constexpr uint64_t kSlot = 64 * 1024;

TEST(HostStore, SlotsAreApartAndKeepWhatIsWritten) {
  HostStore store(kSlot);
  std::vector<uint32_t> slots;
  for (int i = 0; i < 200; ++i) {
    auto slot = store.take();
    ASSERT_TRUE(slot.ok());
    memset(store.at(*slot), i, kSlot);
    slots.push_back(*slot);
  }
  EXPECT_EQ(store.used_bytes(), 200 * kSlot);
  for (size_t i = 0; i < slots.size(); ++i) {
    const std::byte* bytes = store.at(slots[i]);
    for (uint64_t at : {uint64_t{0}, kSlot / 2, kSlot - 1}) EXPECT_EQ(bytes[at], static_cast<std::byte>(i));
  }
}

// In KiB, of all mappings of this process.
uint64_t lazily_free_kib() {
  std::ifstream file("/proc/self/smaps_rollup");
  for (std::string key; file >> key;) {
    uint64_t kib = 0;
    if (key == "LazyFree:" && file >> kib) return kib;
  }
  return 0;
}

TEST(HostStore, WhatIsGivenBackIsTheHostsToTakeAndUsedAgain) {
  constexpr uint64_t kLarge = uint64_t{2} << 20;
  HostStore store(kLarge);
  std::vector<uint32_t> slots(64);  // Linux marks many pages at a time
  for (uint32_t& slot : slots) {
    slot = store.take().value();
    memset(store.at(slot), 0xff, kLarge);
  }
  const uint64_t before = lazily_free_kib();
  for (const uint32_t slot : slots) store.give_back(slot);
  EXPECT_EQ(store.used_bytes(), 0u);
  EXPECT_GT(lazily_free_kib(), before);
  EXPECT_EQ(store.take().value(), slots.back());
}

// Of what the slot takes of the host's memory.
size_t pages_of(const HostStore& store, uint32_t slot, uint64_t slot_bytes) {
  std::vector<unsigned char> is_there(slot_bytes / static_cast<uint64_t>(sysconf(_SC_PAGESIZE)));
  EXPECT_EQ(mincore(store.at(slot), slot_bytes, is_there.data()), 0);
  return static_cast<size_t>(std::count_if(is_there.begin(), is_there.end(), [](auto c) { return c & 1; }));
}

// How many slots of 128 MiB have memory still when all of them have been given back.
size_t kept_slots(HostStore::Look look) {
  constexpr uint64_t kLarge = uint64_t{2} << 20;
  HostStore store(kLarge, std::nullopt, HostStore::Filling::kWhole, look);
  std::vector<uint32_t> slots(64);
  for (uint32_t& slot : slots) {
    slot = store.take().value();
    memset(store.at(slot), 0xff, kLarge);
  }
  for (const uint32_t slot : slots) store.give_back(slot);
  return static_cast<size_t>(std::count_if(slots.begin(), slots.end(),
                                           [&](uint32_t slot) { return pages_of(store, slot, kLarge) > 0; }));
}

TEST(HostStore, WhatIsGivenBackGoesAtOnceWhereTheHostHasLittleThatIsFree) {
  const auto poor = [] {
    return HostStore::Memory{uint64_t{8} << 30, uint64_t{1} << 30, uint64_t{16} << 30};
  };
  const auto rich = [] { return HostStore::Memory{uint64_t{8} << 30, uint64_t{4} << 30, uint64_t{8} << 30}; };
  EXPECT_EQ(kept_slots(poor), HostStore::kKeptBytes >> 21);
  if (HostStore::look_at_host().free_bytes > uint64_t{1} << 30) {
    EXPECT_EQ(kept_slots(rich), 64u);
  }
}

TEST(HostStore, LeavesTheHostSomeMemory) {
  constexpr auto kWhole = HostStore::Filling::kWhole;
  HostStore poor(kSlot, std::nullopt, kWhole,
                 [] { return HostStore::Memory{.available_bytes = uint64_t{100} << 20}; });
  EXPECT_EQ(poor.take().status().code(), Code::kResourceExhausted);
  HostStore unknown(kSlot, std::nullopt, kWhole, [] { return HostStore::Memory{}; });
  EXPECT_TRUE(unknown.take().ok());
}

TEST(HostStore, OfANumaNode) {
  HostStore store(kSlot, 0);
  const Result<uint32_t> slot = store.take();
  ASSERT_TRUE(slot.ok());
  int mode = -1;
  if (syscall(SYS_get_mempolicy, &mode, nullptr, 0, store.at(*slot), MPOL_F_ADDR) == 0) {
    EXPECT_EQ(mode, MPOL_PREFERRED);
  }
  HostStore nowhere(kSlot, 1000);  // memory all the same
  EXPECT_TRUE(nowhere.take().ok());
}

TEST(HostStore, LinuxSaysWhatIsAvailable) {
  const HostStore::Memory memory = HostStore::look_at_host();
  EXPECT_GT(memory.available_bytes, uint64_t{1} << 20);
  EXPECT_GT(memory.free_bytes, 0u);
  EXPECT_GT(memory.total_bytes, memory.free_bytes);
}

}  // namespace
}  // namespace tessera::memory

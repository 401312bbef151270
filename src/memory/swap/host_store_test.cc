#include "memory/swap/host_store.h"

#include <gtest/gtest.h>
#include <linux/mempolicy.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <string>

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

TEST(HostStore, LeavesTheHostSomeMemory) {
  constexpr auto kWhole = HostStore::Filling::kWhole;
  HostStore poor(kSlot, std::nullopt, kWhole, [] { return uint64_t{100} << 20; });
  EXPECT_EQ(poor.take().status().code(), Code::kResourceExhausted);
  HostStore unknown(kSlot, std::nullopt, kWhole, [] { return uint64_t{0}; });
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

TEST(HostStore, LinuxSaysWhatIsAvailable) { EXPECT_GT(HostStore::available_host_bytes(), uint64_t{1} << 20); }

}  // namespace
}  // namespace tessera::memory

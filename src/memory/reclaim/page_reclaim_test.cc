#include "memory/reclaim/page_reclaim.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "memory/reclaim/access_traces.h"

namespace tessera::memory {
namespace {

uint64_t faults_of(PageDirectory& directory, const std::vector<PageId>& trace) {
  uint64_t faults = 0;
  for (const PageId page : trace) faults += directory.access(page).fault ? 1 : 0;
  return faults;
}

uint64_t faults_of(PageReclaim& reclaim, const std::vector<PageId>& trace) {
  uint64_t faults = 0;
  for (const PageId page : trace) faults += reclaim.used(page).fault ? 1 : 0;
  return faults;
}

TEST(LruDirectory, EvictsWhatWasUsedLongestAgo) {
  LruDirectory lru(2);
  EXPECT_TRUE(lru.access(1).fault);
  EXPECT_TRUE(lru.access(2).fault);
  EXPECT_FALSE(lru.access(1).fault);
  EXPECT_EQ(lru.access(3).evicted, 2u);
  EXPECT_TRUE(lru.contains(1));
}

TEST(LirsDirectory, KeepsMostOfALoopThatIsTooLong) {
  constexpr size_t kRoom = 1000, kPages = 1250;
  LirsDirectory lirs(kRoom);
  std::vector<PageId> trace;
  for (int turn = 0; turn < 20; ++turn) {
    for (PageId page = 0; page < kPages; ++page) trace.push_back(page);
  }
  EXPECT_LE(faults_of(lirs, trace), kPages + 19 * (kPages - kRoom + kRoom / 50));
}

// Traces of 125 % of what fits. The best that could be done with a loop is a fifth of its uses.
TEST(PageReclaim, HalvesTheFaultsOfLoopsAndNeverHasFivePercentMoreThanLru) {
  for (const uint32_t room : {64u, 400u, 2000u}) {
    for (const AccessTrace& trace : access_traces(room * 5 / 4, 1)) {
      LruDirectory lru(room);
      PageReclaim reclaim(room);
      const uint64_t before = faults_of(lru, trace.pages), now = faults_of(reclaim, trace.pages);
      EXPECT_LE(now, before * 105 / 100) << trace.name << ", room for " << room;
      if (trace.loops) {
        EXPECT_LE(now, before / 2) << trace.name << ", room for " << room;
      }
    }
  }
}

TEST(PageReclaim, NeverHasFivePercentMoreThanLruWhateverTheSizes) {
  for (const uint32_t percent : {102u, 110u, 150u, 200u, 400u}) {
    for (const AccessTrace& trace : access_traces(300 * percent / 100, percent)) {
      LruDirectory lru(300);
      PageReclaim reclaim(300);
      const uint64_t before = faults_of(lru, trace.pages), now = faults_of(reclaim, trace.pages);
      EXPECT_LE(now, before * 105 / 100) << trace.name << ", " << percent << " %";
    }
  }
}

// A model that holds what it is told to hold.
TEST(PageReclaim, SaysWhatLeavesWheneverSomethingMust) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    std::mt19937_64 random(seed);
    size_t room = 2 + random() % 60;
    PageReclaim reclaim(room);
    std::set<PageId> held;
    for (int step = 0; step < 5000; ++step) {
      const uint64_t dice = random() % 100;
      const PageId page = random() % 100 < 50 ? random() % 20 : random() % 120;
      if (dice == 0) {
        room = 2 + random() % 60;
        for (const PageId gone : reclaim.resize(room)) ASSERT_EQ(held.erase(gone), 1u);
      } else if (dice < 5) {
        reclaim.forget(page);
        held.erase(page);
      } else {
        const PageReclaim::Outcome outcome = reclaim.used(page);
        ASSERT_EQ(outcome.fault, !held.contains(page));
        if (outcome.evict) {
          ASSERT_EQ(held.erase(*outcome.evict), 1u);
          ASSERT_NE(*outcome.evict, page);
        }
        held.insert(page);
      }
      ASSERT_LE(held.size(), room);
      ASSERT_EQ(held.size(), reclaim.resident());
      for (const PageId one : held) ASSERT_TRUE(reclaim.contains(one));
    }
  }
}

}  // namespace
}  // namespace tessera::memory

#include "softgpu/device/device_file.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>
#include <vector>

#include "common/clock.h"
#include "softgpu/device/device_file_layout.h"
#include "softgpu/device/device_testing.h"
#include "softgpu/device/sm_slot.h"

namespace tessera::softgpu {
namespace {

constexpr uint64_t kCapacity = 64u << 20;

class DeviceFileTest : public OwnDeviceTest {
 protected:
  // A process of its own on the device; `body` runs in it, then it tells and sleeps until it is killed.
  pid_t start(const std::function<void(DeviceFile&)>& body) {
    int ready[2];
    EXPECT_EQ(pipe(ready), 0);
    const pid_t child = fork();
    if (child == 0) {
      auto file = DeviceFile::open(config_, 0, true);
      if (!file.ok()) _exit(1);
      body(**file);
      const char done = 1;
      if (write(ready[1], &done, 1) != 1) _exit(1);
      for (;;) pause();
    }
    char done = 0;
    EXPECT_EQ(read(ready[0], &done, 1), 1);
    close(ready[0]);
    close(ready[1]);
    return child;
  }
  void stop(pid_t child) {
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
  }
};

TEST_F(DeviceFileTest, CapacityIsShared) {
  auto file = open();
  const pid_t child = start([](DeviceFile& other) { EXPECT_TRUE(other.charge(kCapacity / 2).ok()); });
  EXPECT_EQ(file->free_bytes(), kCapacity / 2);
  EXPECT_EQ(file->charge(kCapacity / 2 + 1).code(), Code::kResourceExhausted);
  EXPECT_TRUE(file->charge(kCapacity / 2).ok());
  EXPECT_EQ(file->free_bytes(), 0u);
  file->credit(kCapacity / 2);
  stop(child);
}

TEST_F(DeviceFileTest, AKilledProcessGivesEverythingBack) {
  auto file = open();
  const pid_t child = start([](DeviceFile& other) {
    EXPECT_TRUE(other.charge(kCapacity).ok());
    other.set_contexts(1);
    SmSlots(other).acquire();
  });
  EXPECT_EQ(file->use(1).processes.size(), 1u);
  stop(child);
  EXPECT_TRUE(file->charge(kCapacity).ok());
  SmSlots slots(*file);
  const uint32_t a = slots.acquire(), b = slots.acquire();
  EXPECT_NE(a, b);
  EXPECT_EQ(file->use(1).processes.size(), 0u);
}

// Two workers that took the first free slot each met on one processor, as a slot is one.
TEST_F(DeviceFileTest, ASlotIsTakenAgainByTheOneThatHadIt) {
  auto file = open();
  SmSlots slots(*file);
  const uint32_t a = slots.acquire(), b = slots.acquire();
  slots.release(a);
  slots.release(b);
  EXPECT_EQ(slots.acquire(b), b);
  EXPECT_EQ(slots.acquire(a), a);
  slots.release(a);
  EXPECT_EQ(slots.acquire(b), a) << "where it is somebody's, any other";
}

TEST_F(DeviceFileTest, ASlotThatRestsIsNotBusy) {
  auto file = open();
  SmSlots slots(*file);
  const uint64_t begin = monotonic_ns();
  const uint32_t a = slots.acquire(), b = slots.acquire();
  const uint64_t idle = monotonic_ns();
  slots.rest(a, idle);
  slots.rest(b, idle - 1);
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_LE(slots.active_ns(), idle - begin) << "while they are held";
  slots.release(a);
  slots.release(b);
  EXPECT_LE(file->use(1).busy_ns, 2 * (idle - begin));
  EXPECT_LE(slots.active_ns(), idle - begin);
  EXPECT_GT(slots.active_ns(), 0u);
}

// On a busy machine a program may end before its worker comes to give the slot up, which it had for all its
// kernels.
TEST_F(DeviceFileTest, WhoEndsWithASlotThatRestsHasBeenBusy) {
  auto file = open();
  constexpr uint64_t kWorkNs = 3 * kSlotQuantumNs;
  const pid_t child = start([](DeviceFile& other) {
    SmSlots slots(other);
    const uint32_t slot = slots.acquire();
    const uint64_t begin = monotonic_ns();
    uint64_t now = begin;
    while (now < begin + kWorkNs) now = monotonic_ns();
    slots.rest(slot, now);
  });
  stop(child);
  EXPECT_GE(file->use(1).busy_ns, kWorkNs);
}

TEST_F(DeviceFileTest, TimeThatWasToldStaysWhereItsSlotRestedBefore) {
  auto file = open();
  SmSlots slots(*file);
  const uint64_t before = monotonic_ns();
  const uint32_t slot = slots.acquire();
  const uint64_t told = slots.active_ns();
  slots.rest(slot, before);
  EXPECT_GE(slots.active_ns(), told);
  slots.release(slot);
  EXPECT_GE(slots.active_ns(), told);
  // Who takes it next begins anew.
  EXPECT_EQ(slots.acquire(), slot);
  const uint64_t again = slots.active_ns();
  while (slots.active_ns() <= again) std::this_thread::yield();
}

TEST_F(DeviceFileTest, SurvivesDeathInsideTheLock) {
  auto file = open();
  const pid_t child = start([](DeviceFile& other) {
    EXPECT_TRUE(other.charge(kCapacity).ok());
    new DeviceFile::Lock(other);  // never released
  });
  stop(child);
  EXPECT_TRUE(file->charge(kCapacity).ok());
  EXPECT_EQ(file->free_bytes(), 0u);
}

TEST_F(DeviceFileTest, GeometryChangesOnlyWhenNobodyIsOnTheDevice) {
  auto file = open();
  config_.memory_bytes = kCapacity * 2;
  auto second = open();
  EXPECT_EQ(second->capacity_bytes(), kCapacity);
  file.reset();
  second.reset();
  auto observer = open(false);
  auto third = open();
  EXPECT_EQ(third->capacity_bytes(), kCapacity * 2);
  EXPECT_TRUE(observer->replaced());
  EXPECT_FALSE(third->replaced());
}

TEST_F(DeviceFileTest, RefusesAFolderThatOthersMayWrite) {
  ASSERT_EQ(chmod(config_.state_dir.c_str(), 0777), 0);
  EXPECT_EQ(DeviceFile::open(config_, 0, true).status().code(), Code::kPermissionDenied);
}

TEST_F(DeviceFileTest, ReplacesAFileThatIsNoDeviceFile) {
  for (size_t size : {size_t{0}, size_t{100}, sizeof(DeviceFileLayout)}) {
    const std::string path = config_.state_dir + "/gpu0";
    std::filesystem::remove(path);
    FILE* garbage = fopen(path.c_str(), "w");
    ASSERT_NE(garbage, nullptr);
    fclose(garbage);
    std::filesystem::resize_file(path, size);
    EXPECT_EQ(open()->free_bytes(), kCapacity);
  }
}

TEST_F(DeviceFileTest, BusyTimeIsCharged) {
  auto file = open();
  file->set_contexts(1);
  SmSlots slots(*file);
  const uint32_t slot = slots.acquire();
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  const uint64_t while_running = file->use(1'000'000'000).busy_ns;
  EXPECT_GE(while_running, 5'000'000u);
  slots.release(slot);
  const DeviceUse use = file->use(1'000'000'000);
  ASSERT_EQ(use.processes.size(), 1u);
  EXPECT_GE(use.busy_ns, while_running);
  EXPECT_EQ(use.processes[0].busy_ns, use.busy_ns);
  EXPECT_EQ(use.processes[0].process.pid, getpid());
}

TEST_F(DeviceFileTest, FaultsAreToldToEveryProcessOnce) {
  auto file = open();
  auto observer = open(false);
  const std::string control = config_.state_dir + "/gpu0.control";
  std::ofstream(control) << "ecc single count=2\nnonsense\nlost\n";
  EXPECT_EQ(observer->health().lost, 1u);
  const Health health = file->health();
  EXPECT_EQ(health.lost, 1u);
  EXPECT_EQ(health.ever.corrected, 2u);
  EXPECT_EQ(health.events_end, 2u);
  EXPECT_EQ(health.changes, observer->health().changes);
  std::ofstream(control, std::ios::app) << "clear\n";
  EXPECT_EQ(file->use(1).health.lost, 0u);
  EXPECT_EQ(file->health().ever.corrected, 2u);
}

TEST_F(DeviceFileTest, ADeviceOfAnotherSizeIsAsIllAsBefore) {
  std::ofstream(config_.state_dir + "/gpu0.control") << "lost\nxid 13\n";
  EXPECT_EQ(open()->health().lost, 1u);
  config_.memory_bytes *= 2;
  const Health health = open()->health();
  EXPECT_EQ(health.lost, 1u);
  EXPECT_EQ(health.events_end, 2u);  // and the commands are not taken again
}

TEST_F(DeviceFileTest, AnErrorStrikesOneProcess) {
  auto file = open();
  std::ofstream(config_.state_dir + "/gpu0.control") << "ecc double address=0x10000 pid=" << getpid() << "\n";
  EXPECT_EQ(file->health().latent_count, 1u);
  EXPECT_FALSE(file->strike(0x11000, 0x11004));
  EXPECT_TRUE(file->strike(0x10000, 0x10004));
  EXPECT_EQ(file->health().ever.uncorrected, 1u);
}

// Counts turns, not times: each process yields whenever it is asked to, and both get turns.
TEST_F(DeviceFileTest, ProcessesTakeTurnsOnASlot) {
  config_.sm_count = 1;
  auto file = open();
  constexpr int kTurns = 20;
  auto take_turns = [](SmSlots& slots, uint32_t slot) {
    for (int turn = 0; turn < kTurns; ++turn) {
      while (!slots.stop(slot).load()) std::this_thread::yield();
      slot = slots.yield(slot);
    }
    return slot;
  };
  const pid_t child = fork();
  if (child == 0) {
    auto other = DeviceFile::open(config_, 0, true);
    if (!other.ok()) _exit(1);
    SmSlots slots(**other);
    uint32_t slot = take_turns(slots, slots.acquire());
    for (;;) {  // gives way until the parent has had its turns too
      if (slots.stop(slot).load()) slot = slots.yield(slot);
      std::this_thread::yield();
    }
  }
  SmSlots slots(*file);
  const uint32_t slot = take_turns(slots, slots.acquire());
  stop(child);
  slots.release(slot);
}

TEST_F(DeviceFileTest, AConfinedProcessWaitsForItsOwnSlotsOnly) {
  config_.sm_count = 4;
  auto mine = open();
  auto others = open();
  SmSlots own(*mine), other(*others);
  const uint32_t first = own.acquire();
  ASSERT_EQ(first, 0u);
  other.confine(*IndexSet::parse("2-3"));
  EXPECT_EQ(other.acquire(), 2u);
  EXPECT_EQ(other.acquire(), 3u);
  // It wants a third: nothing for others to give up.
  std::thread waiter([&] { EXPECT_EQ(other.acquire(), 3u); });
  std::this_thread::sleep_for(std::chrono::nanoseconds(3 * kSlotQuantumNs));
  EXPECT_FALSE(own.stop(first).load());
  EXPECT_EQ(own.yield(first), first);
  // What is taken away is given up at the next yield, for one that it may use.
  own.confine(*IndexSet::parse("1"));
  EXPECT_TRUE(own.stop(first).load());
  EXPECT_EQ(own.yield(first), 1u);
  other.release(3);
  waiter.join();
}

// Which ones does not matter, and what it may not hold is free for others.
TEST_F(DeviceFileTest, AProcessHoldsItsMostSlotsAndNoMore) {
  config_.sm_count = 4;
  auto mine = open();
  auto others = open();
  SmSlots own(*mine), other(*others);
  own.hold_at_most(2);
  EXPECT_EQ(own.acquire(), 0u);
  EXPECT_EQ(own.acquire(), 1u);
  std::atomic<bool> third{false};
  std::thread waiter([&] {
    EXPECT_EQ(own.acquire(), 0u);
    third = true;
  });
  std::this_thread::sleep_for(std::chrono::nanoseconds(3 * kSlotQuantumNs));
  EXPECT_FALSE(third);
  EXPECT_EQ(other.acquire(), 2u);
  EXPECT_EQ(other.acquire(), 3u);
  own.release(0);
  waiter.join();
}

TEST_F(DeviceFileTest, AWaiterGetsTheSlotOfOneThatDies) {
  config_.sm_count = 1;
  auto file = open();
  const pid_t child = start([](DeviceFile& other) { SmSlots(other).acquire(); });
  std::thread killer([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    stop(child);
  });
  SmSlots slots(*file);
  slots.release(slots.acquire());
  killer.join();
}

TEST_F(DeviceFileTest, WaitersShareTheSearchForTheDead) {
  constexpr int kWaiters = 8;
  constexpr uint64_t kWatchedNs = 300'000'000;
  auto holder = open();
  SmSlots held(*holder);
  const uint32_t slots[] = {held.acquire(), held.acquire()};
  std::vector<std::thread> waiters;
  for (int i = 0; i < kWaiters; ++i) {
    waiters.emplace_back([file = open()] {
      SmSlots own(*file);
      own.release(own.acquire());
    });
  }
  uint64_t searches = 0;
  uint64_t last = 0;
  const uint64_t began = monotonic_ns();
  while (monotonic_ns() - began < kWatchedNs) {
    {
      DeviceFile::Lock lock(*holder);
      if (holder->layout().reaped_ns != last) ++searches;
      last = holder->layout().reaped_ns;
    }
    usleep(200);
  }
  const uint64_t watched = monotonic_ns() - began;
  for (uint32_t slot : slots) held.release(slot);
  for (std::thread& waiter : waiters) waiter.join();
  // At most one every 20 ms however many wait, plus the one that was there at first; but they do search.
  EXPECT_GE(searches, 2u);
  EXPECT_LE(searches, watched / 20'000'000 + 2);
}

TEST_F(DeviceFileTest, WithoutCompetitionASlotIsKept) {
  auto file = open();
  SmSlots slots(*file);
  const uint32_t slot = slots.acquire();
  slots.interrupt_own();
  EXPECT_TRUE(slots.stop(slot).load());
  EXPECT_EQ(slots.yield(slot), slot);
  EXPECT_FALSE(slots.stop(slot).load());
  slots.release(slot);
}

}  // namespace
}  // namespace tessera::softgpu

#include "softgpu/device/shared_memory.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <random>
#include <vector>

#include "softgpu/device/device_file_layout.h"
#include "softgpu/device/other_process.h"

namespace tessera::softgpu {
namespace {

constexpr uint64_t kSize = 10u << 20;
constexpr MemoryPlace kPlace{1, 2, 4096};

class SharedMemoryTest : public DeviceOfProcesses {
 protected:
  Result<ExportedMemory> hold(uint64_t id, uint64_t pool) {
    return hold_exported_memory(*file_, id, pool, &exporter_);
  }
  // As others see this process: alone or with others.
  uint64_t own_used() {
    file_->set_contexts(1);  // without one it is not shown
    for (const ProcessUse& process : file_->use(0).processes) {
      if (process.process.pid == getpid()) return process.used_bytes;
    }
    return 0;
  }
  pid_t exporter_ = 0;
};

uint64_t export_some(DeviceFile& file, uint64_t pool = 0) {
  if (!file.charge(kSize).ok()) return 0;
  auto id = export_memory(file, {kPlace, kSize, kSize - 5, 7, pool});
  return id.ok() ? *id : 0;
}

TEST_F(SharedMemoryTest, CountsOnceHoweverManyHoldIt) {
  auto hold = [](DeviceFile& file) {
    auto id = hold_shared_memory(file, kPlace, kSize);
    return id.ok() ? *id : 0;
  };
  const Other first = start(hold);
  ASSERT_NE(first.answer, 0u);
  const Other second = start(hold);
  EXPECT_EQ(second.answer, first.answer);
  EXPECT_EQ(hold(*file_), first.answer);
  EXPECT_EQ(used(), kSize);
  EXPECT_EQ(own_used(), kSize);
  first.end();
  EXPECT_EQ(used(), kSize);
  EXPECT_TRUE(let_go_of_memory(*file_, second.answer));
  EXPECT_EQ(own_used(), 0u);
  EXPECT_EQ(used(), kSize);
  second.end();
  EXPECT_EQ(used(), 0u);
  EXPECT_FALSE(is_held(*file_, second.answer));
}

TEST_F(SharedMemoryTest, IsHeldByWhoOpensItWhenTheExporterIsKilled) {
  const Other exporter = start([](DeviceFile& file) { return export_some(file); });
  ASSERT_NE(exporter.answer, 0u);
  EXPECT_EQ(used(), kSize);
  auto memory = hold(exporter.answer, 0);
  ASSERT_TRUE(memory.ok()) << memory.status().message();
  EXPECT_EQ(exporter_, exporter.pid);
  EXPECT_EQ(memory->fd, 7);
  EXPECT_EQ(memory->size, kSize);
  EXPECT_EQ(memory->allocated, kSize - 5);
  EXPECT_EQ(memory->place, kPlace);
  EXPECT_EQ(used(), kSize);
  exporter.end();
  EXPECT_EQ(used(), kSize);
  const Other late = start([&](DeviceFile& file) -> uint64_t {
    pid_t none = 0;
    return hold_exported_memory(file, exporter.answer, 0, &none).status().code() == Code::kNotFound ? 1 : 0;
  });
  EXPECT_EQ(late.answer, 1u);  // a number that the dead exporter gave opens nothing
  late.end();
  EXPECT_FALSE(let_go_of_memory(*file_, exporter.answer));
  EXPECT_EQ(used(), 0u);
}

TEST_F(SharedMemoryTest, OpensOnlyWhatIsThere) {
  const Other exporter = start([](DeviceFile& file) { return export_some(file, 5); });
  ASSERT_NE(exporter.answer, 0u);
  EXPECT_EQ(hold(0, 0).status().code(), Code::kNotFound);
  EXPECT_EQ(hold(exporter.answer, 0).status().code(), Code::kNotFound);  // of a pool
  EXPECT_EQ(hold(exporter.answer, 6).status().code(), Code::kNotFound);
  for (int bit = 0; bit < 64; ++bit) {
    const uint64_t wrong = exporter.answer ^ uint64_t { 1 } << bit;
    EXPECT_EQ(hold(wrong, 5).status().code(), Code::kNotFound) << bit;
  }
  EXPECT_TRUE(hold(exporter.answer, 5).ok());
  exporter.end();
  const uint64_t own = export_some(*file_);
  EXPECT_EQ(hold(own, 0).status().code(), Code::kFailedPrecondition);
}

TEST_F(SharedMemoryTest, AnExportMovesTheCharge) {
  const uint64_t id = export_some(*file_);
  ASSERT_NE(id, 0u);
  EXPECT_EQ(used(), kSize);
  EXPECT_EQ(own_used(), kSize);
  EXPECT_FALSE(let_go_of_memory(*file_, id));
  EXPECT_EQ(used(), 0u);
  const uint64_t again = export_some(*file_);
  EXPECT_NE(again, id);  // the same place, and a number of its own
}

TEST_F(SharedMemoryTest, HoldsNoMoreThanThereIs) {
  ASSERT_TRUE(hold_shared_memory(*file_, kPlace, kCapacity).ok());
  EXPECT_EQ(hold_shared_memory(*file_, {1, 3, 0}, 1).status().code(), Code::kResourceExhausted);
  EXPECT_TRUE(hold_shared_memory(*file_, kPlace, kCapacity).ok());
  EXPECT_EQ(file_->charge(1).code(), Code::kResourceExhausted);
}

TEST_F(SharedMemoryTest, PiecesAreBounded) {
  std::vector<uint64_t> held;
  for (uint32_t i = 0; i < kMaxSharedMemory; ++i) {
    auto id = hold_shared_memory(*file_, {1, i, 0}, 1);
    ASSERT_TRUE(id.ok()) << i;
    held.push_back(*id);
  }
  EXPECT_EQ(hold_shared_memory(*file_, {2, 0, 0}, 1).status().code(), Code::kResourceExhausted);
  EXPECT_EQ(file_->layout().shared_memory_end, kMaxSharedMemory);
  for (const uint64_t id : held) let_go_of_memory(*file_, id);
  EXPECT_EQ(file_->layout().shared_memory_end, 0u);
}

// Processes that do all of it at random and are killed at any instruction, within the lock too, leave
// nothing.
constexpr uint64_t kPieces = 8;

[[noreturn]] void live_at_random(DeviceFile& file, uint64_t seed, std::atomic<uint64_t>* exported) {
  std::minstd_rand random(static_cast<unsigned>(seed));
  std::vector<uint64_t> held;
  for (;;) {
    const uint64_t piece = random() % kPieces;
    switch (random() % 4) {
      case 0:
        if (auto id = hold_shared_memory(file, {9, piece, 0}, 4096); id.ok()) held.push_back(*id);
        break;
      case 1:
        if (file.charge(4096).ok()) {
          auto id = export_memory(file, {{seed, piece, 0}, 4096, 4096, 3, 0});
          if (id.ok()) {
            exported[piece].store(*id);
            held.push_back(*id);
          } else {  // as many as there can be
            file.credit(4096);
          }
        }
        break;
      case 2: {
        pid_t exporter = 0;
        const uint64_t id = exported[piece].load();
        if (auto memory = hold_exported_memory(file, id, 0, &exporter); memory.ok()) {
          if (memory->size != 4096 || exporter == getpid()) _exit(1);
          held.push_back(id);
        }
        break;
      }
      default:
        if (held.empty()) break;
        let_go_of_memory(file, held.back());
        held.pop_back();
    }
  }
}

TEST_F(SharedMemoryTest, NothingIsLeftOfProcessesThatAreKilled) {
  constexpr uint64_t kProcesses = 6, kRounds = 20;
  void* page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(page, MAP_FAILED);
  auto* exported = static_cast<std::atomic<uint64_t>*>(page);
  for (uint64_t round = 0; round < kRounds; ++round) {
    std::vector<pid_t> alive;
    for (uint64_t i = 0; i < kProcesses; ++i) {
      const pid_t child = fork();
      if (child == 0) {
        auto file = DeviceFile::open(config_, 0, true);
        if (!file.ok()) _exit(1);
        live_at_random(**file, 1 + round * kProcesses + i, exported);
      }
      alive.push_back(child);
    }
    for (const pid_t child : alive) {
      usleep(1000);
      EXPECT_LE(used(), kCapacity);
      EXPECT_EQ(kill(child, SIGKILL), 0);
      int status = 0;
      waitpid(child, &status, 0);
      EXPECT_TRUE(WIFSIGNALED(status)) << status;
    }
    EXPECT_EQ(used(), 0u) << round;
  }
  munmap(page, 4096);
}

}  // namespace
}  // namespace tessera::softgpu

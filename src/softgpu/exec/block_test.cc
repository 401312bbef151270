// Barriers, warp exchange, shared memory and atomics; stopping and resuming; blocks that wait for each other.
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <numeric>
#include <thread>

#include "softgpu/exec/testing/test_machine.h"

namespace tessera::softgpu::exec {
namespace {

std::string kernel(const std::string& body, const std::string& before = "") {
  return ".version 8.0\n.target sm_80\n.address_size 64\n" + before +
         ".visible .entry k(.param .u64 out) {\n .reg .b32 %i, %v, %r<12>; .reg .b64 %rd<10>; .reg .pred "
         "%p<10>;\n mov.u32 %i, %tid.x;\n" +
         body +
         "\nSTORE:\n ld.param.u64 %rd1, [out]; mad.wide.u32 %rd2, %i, 4, %rd1; st.global.u32 [%rd2], %v;\n "
         "ret;\n}\n";
}

void expect(const std::string& ptx, uint32_t threads, const std::function<uint32_t(uint32_t)>& reference,
            uint32_t dynamic_shared = 0) {
  TestMachine machine(ptx);
  ASSERT_TRUE(machine.status().ok()) << machine.status().message();
  auto* out = machine.array<uint32_t>(threads);
  ASSERT_EQ(machine.run("k", {}, {threads}, Parameters().add(out), dynamic_shared), Outcome::kFinished)
      << machine.status().message() << machine.fault().detail;
  for (uint32_t i = 0; i < threads; ++i) EXPECT_EQ(out[i], reference(i)) << "thread " << i;
}

constexpr const char* kReverse = R"(
    shl.b32 %r1, %i, 2; mov.u32 %r2, buffer; add.u32 %r3, %r1, %r2; st.shared.u32 [%r3], %i;
    bar.sync 0;
    mov.u32 %r4, %ntid.x; sub.u32 %r5, %r4, %i; sub.u32 %r5, %r5, 1; mad.lo.u32 %r6, %r5, 4, %r2; ld.shared.u32 %v, [%r6];
)";

TEST(Barriers, SharedMemoryIsSeenAfterThem) {
  expect(
      kernel(kReverse, ".extern .shared .align 16 .b8 buffer[];\n"), 1000, [](uint32_t i) { return 999 - i; },
      4000);
  expect(kernel(kReverse, ".shared .align 16 .b8 before[20]; .shared .align 16 .b8 buffer[4096];\n"), 1024,
         [](uint32_t i) { return 1023 - i; });
}

TEST(Barriers, ThreadsThatExitedAreNotAwaited) {
  expect(kernel("mov.u32 %v, 0; setp.lt.u32 %p1, %i, 40; @%p1 bra STORE; bar.sync 0; mov.u32 %v, 3;"), 128,
         [](uint32_t i) { return i < 40 ? 0u : 3u; });
}

TEST(Barriers, ProducersArriveAndConsumersWait) {
  expect(kernel(R"(
    mov.u32 %r1, cell; setp.ge.u32 %p1, %i, 32; @%p1 bra CONSUME;
    mad.lo.u32 %r2, %i, 4, %r1; add.u32 %r3, %i, 500; st.shared.u32 [%r2], %r3; bar.arrive 3, 64; mov.u32 %v, 1; bra STORE;
  CONSUME:
    bar.sync 3, 64; sub.u32 %r4, %i, 32; mad.lo.u32 %r5, %r4, 4, %r1; ld.shared.u32 %v, [%r5];
  )",
                ".shared .align 4 .b8 cell[128];\n"),
         64, [](uint32_t i) { return i < 32 ? 1 : i - 32 + 500; });
}

TEST(Barriers, Reductions) {
  expect(kernel(R"(
    setp.lt.u32 %p1, %i, 37; bar.red.popc.u32 %v, 0, %p1;
    setp.lt.u32 %p2, %i, 1000; bar.red.and.pred %p3, 0, %p2; @%p3 add.u32 %v, %v, 1000;
    setp.eq.u32 %p4, %i, 77; bar.red.or.pred %p5, 1, !%p4; @%p5 add.u32 %v, %v, 5000;
    bar.red.and.pred %p6, 0, %p4; @%p6 add.u32 %v, %v, 100000;
  )"),
         100, [](uint32_t) { return 6037u; });
}

TEST(Barriers, WaitingForNobodyIsAFaultNotAHang) {
  TestMachine machine(kernel(
      "mov.u32 %v, 0; setp.lt.u32 %p1, %i, 32; @%p1 bra A; bar.sync 1; bra STORE; A: bar.sync 2, 64;"));
  ASSERT_TRUE(machine.status().ok()) << machine.status().message();
  EXPECT_EQ(machine.run("k", {}, {64}, Parameters().add(machine.array<uint32_t>(64))), Outcome::kFaulted);
  EXPECT_NE(machine.fault().detail.find("deadlock"), std::string::npos) << machine.fault().detail;
}

TEST(Warp, Shuffles) {
  expect(kernel("shfl.sync.down.b32 %v|%p1, %i, 3, 31, -1; @!%p1 add.u32 %v, %v, 100;"), 32,
         [](uint32_t i) { return i + 3 < 32 ? i + 3 : i + 100; });
  expect(kernel("shfl.sync.up.b32 %v|%p1, %i, 5, 0, -1; @!%p1 add.u32 %v, %v, 100;"), 32,
         [](uint32_t i) { return i >= 5 ? i - 5 : i + 100; });
  expect(kernel("shfl.sync.bfly.b32 %v, %i, 9, 31, -1;"), 32, [](uint32_t i) { return i ^ 9; });
  expect(kernel("shfl.sync.idx.b32 %v, %i, 3, 0x181f, -1;"), 32,
         [](uint32_t i) { return (i & ~7u) | 3; });  // width 8
  expect(kernel("shfl.sync.down.b32 %v, %i, 2, 0x1c1f, -1;"), 32,
         [](uint32_t i) { return i % 4 < 2 ? i + 2 : i; });  // width 4
}

TEST(Warp, ShufflesOfPartOfAWarp) {
  // Each half names only itself, and reaches its own copy of the instruction.
  expect(kernel(R"(
    setp.lt.u32 %p1, %i, 16; @%p1 bra LOW;
    shfl.sync.bfly.b32 %v, %i, 1, 31, 0xffff0000; bra STORE;
  LOW:
    shfl.sync.idx.b32 %v, %i, 7, 31, 0x0000ffff;
  )"),
         32, [](uint32_t i) { return i < 16 ? 7 : i ^ 1; });
  // Masks that differ by lane in one instruction: tiles of 8.
  expect(kernel(R"(
    and.b32 %r1, %i, 24; shl.b32 %r2, 0xff, %r1; setp.lt.u32 %p1, %i, 11;
    vote.sync.ballot.b32 %v, %p1, %r2;
  )"),
         32, [](uint32_t i) { return i < 8    ? 0xffu
                                     : i < 16 ? 0x700u
                                              : 0u; });
}

TEST(Warp, LanesMeetAtSyncInstructionsInDifferentPlaces) {
  expect(kernel(R"(
    and.b32 %r1, %i, 1; setp.eq.u32 %p1, %r1, 0; @%p1 bra EVEN;
    add.u32 %r2, %i, 100; shfl.sync.bfly.b32 %v, %r2, 1, 31, -1; bra STORE;
  EVEN:
    add.u32 %r3, %i, 200; shfl.sync.bfly.b32 %v, %r3, 1, 31, -1;
  )"),
         32, [](uint32_t i) { return (i ^ 1) + (i % 2 == 0 ? 100 : 200); });
  expect(kernel(R"(
    mov.u32 %r5, 0; and.b32 %r1, %i, 1; setp.eq.u32 %p1, %r1, 0; @%p1 bra EVEN;
    mov.u32 %r6, cell; mad.lo.u32 %r7, %i, 4, %r6; st.shared.u32 [%r7], %i; bar.warp.sync -1; bra JOIN;
  EVEN:
    bar.warp.sync -1;
  JOIN:
    or.b32 %r8, %i, 1; mov.u32 %r6, cell; mad.lo.u32 %r7, %r8, 4, %r6; ld.shared.u32 %v, [%r7];
  )",
                ".shared .align 4 .b8 cell[128];\n"),
         32, [](uint32_t i) { return i | 1; });
}

TEST(Warp, ExitedLanesAreNotAwaited) {
  expect(kernel("mov.u32 %v, 9; setp.gt.u32 %p1, %i, 20; @%p1 bra STORE; vote.sync.ballot.b32 %v, 1, -1;"),
         32, [](uint32_t i) { return i > 20 ? 9 : 0x1fffffu; });
}

TEST(Warp, VotesMatchesAndReductions) {
  expect(kernel("setp.ne.u32 %p1, %i, 5; vote.sync.all.pred %p2, %p1, -1; vote.sync.any.pred %p3, !%p1, -1; "
                "vote.sync.uni.pred %p4, %p1, -1;"
                "selp.u32 %v, 1, 0, %p2; selp.u32 %r1, 2, 0, %p3; selp.u32 %r2, 4, 0, %p4; or.b32 %v, %v, "
                "%r1; or.b32 %v, %v, %r2;"),
         32, [](uint32_t) { return 2u; });
  expect(kernel("and.b32 %r1, %i, 3; match.any.sync.b32 %v, %r1, -1;"), 32,
         [](uint32_t i) { return 0x11111111u << (i & 3); });
  expect(kernel("shr.u32 %r1, %i, 5; match.all.sync.b32 %v|%p1, %r1, -1; @!%p1 mov.u32 %v, 1;"), 64,
         [](uint32_t) { return ~0u; });
  expect(kernel("redux.sync.add.s32 %v, %i, -1; redux.sync.max.u32 %r1, %i, -1; add.u32 %v, %v, %r1; "
                "redux.sync.xor.b32 %r2, %i, -1; add.u32 %v, %v, %r2;"),
         32, [](uint32_t) { return 496u + 31; });
  expect(kernel("setp.lt.u32 %p1, %i, 9; mov.u32 %v, 0; @%p1 activemask.b32 %v; elect.sync %r1|%p2, -1; @%p2 "
                "add.u32 %v, %v, 0x1000;"),
         32, [](uint32_t i) { return (i < 9 ? 0x1ffu : 0u) + (i == 0 ? 0x1000u : 0u); });
}

TEST(Atomics, AllOperations) {
  TestMachine machine(kernel(R"(
    ld.param.u64 %rd3, [out]; mov.u32 %r1, cell; mov.u32 %v, 0;
    setp.ne.u32 %p1, %i, 0; @%p1 bra GO; mov.u32 %r2, 0; st.shared.u32 [%r1], %r2; st.shared.u32 [%r1+4], %r2;
  GO:
    bar.sync 0;
    atom.shared.add.u32 %r3, [%r1], 2; red.shared.max.u32 [%r1+4], %i;
    red.global.add.u32 [%rd3+400], 1; red.global.min.s32 [%rd3+404], %i; red.global.or.b32 [%rd3+408], %i;
    atom.global.inc.u32 %r4, [%rd3+412], 9; atom.global.add.f32 %r5, [%rd3+416], 0f3F000000;
    red.global.add.f64 [%rd3+424], 0d3FE0000000000000; atom.global.exch.b32 %r7, [%rd3+432], 55; red.global.add.u64 [%rd3+440], 0x100000001;
    bar.sync 0;
    ld.shared.u32 %v, [%r1]; ld.shared.u32 %r6, [%r1+4]; mad.lo.u32 %v, %r6, 1000, %v;
  )",
                             ".shared .align 4 .b8 cell[8];\n"));
  ASSERT_TRUE(machine.status().ok()) << machine.status().message();
  auto* out = machine.array<uint32_t>(128);
  ASSERT_EQ(machine.run("k", {}, {96}, Parameters().add(out)), Outcome::kFinished)
      << machine.status().message() << machine.fault().detail;
  EXPECT_EQ(out[5], 95000u + 192);
  EXPECT_EQ(out[100], 96u);
  EXPECT_EQ(out[101], 0u);
  EXPECT_EQ(out[102], 127u);
  EXPECT_EQ(out[103], 96u % 10);
  float sum32;
  double sum64;
  uint64_t sum;
  std::memcpy(&sum32, &out[104], 4);
  std::memcpy(&sum64, &out[106], 8);
  std::memcpy(&sum, &out[110], 8);
  EXPECT_EQ(sum32, 48.0f);
  EXPECT_EQ(sum64, 48.0);
  EXPECT_EQ(out[108], 55u);
  EXPECT_EQ(sum, 96 * 0x100000001ull);
}

// A long computation with barriers and divergence, whose result depends on every step.
constexpr const char* kLong = R"(
    mov.u32 %r1, cell; mad.lo.u32 %r2, %i, 4, %r1; mov.u32 %v, %i; mov.u32 %r3, 0;
  LOOP:
    st.shared.u32 [%r2], %v; bar.sync 0;
    xor.b32 %r4, %i, 1; mad.lo.u32 %r5, %r4, 4, %r1; ld.shared.u32 %r6, [%r5]; bar.sync 0;
    and.b32 %r7, %r6, 1; setp.eq.u32 %p1, %r7, 0; @%p1 bra EVEN; mad.lo.u32 %v, %v, 3, %r6; bra NEXT;
  EVEN: add.u32 %v, %v, 17;
  NEXT: add.u32 %r3, %r3, 1; setp.lt.u32 %p2, %r3, 2000; @%p2 bra LOOP;
)";
uint32_t long_reference(uint32_t thread, uint32_t threads) {
  std::vector<uint32_t> v(threads);
  std::iota(v.begin(), v.end(), 0u);
  for (int step = 0; step < 2000; ++step) {
    const std::vector<uint32_t> old = v;
    for (uint32_t i = 0; i < threads; ++i) v[i] = old[i ^ 1] % 2 == 0 ? old[i] + 17 : old[i] * 3 + old[i ^ 1];
  }
  return v[thread];
}

TEST(BlockRun, StoppedAtAnyMomentItResumesToTheSameResult) {
  TestMachine machine(kernel(kLong, ".shared .align 4 .b8 cell[512];\n"));
  ASSERT_TRUE(machine.status().ok()) << machine.status().message();
  auto* out = machine.array<uint32_t>(128);
  const Launch* launch = machine.prepare("k", {}, {128}, Parameters().add(out));
  ASSERT_NE(launch, nullptr) << machine.status().message();
  auto block = BlockRun::create(*launch, {0, 0, 0});
  const std::atomic<bool> stopped{true};
  const std::atomic<bool> running{false};
  // With the flag set a run does the least it can and stops; every so often it may go on.
  int stops = 0;
  Outcome outcome = Outcome::kPreempted;
  while (outcome == Outcome::kPreempted && stops < 1000) {
    outcome = block->run(stopped, 0);
    stops += outcome == Outcome::kPreempted;
    if (stops % 10 == 9) break;
  }
  EXPECT_EQ(outcome, Outcome::kPreempted);
  std::atomic<bool> flag{false};
  std::thread interrupter([&] {
    for (int i = 0; i < 50; ++i) {
      flag = true;
      std::this_thread::sleep_for(std::chrono::microseconds(100));
      flag = false;
      std::this_thread::sleep_for(std::chrono::microseconds(20));
    }
  });
  do {
    std::thread elsewhere([&] { outcome = block->run(flag, 1); });
    elsewhere.join();
    stops += outcome == Outcome::kPreempted;
  } while (outcome == Outcome::kPreempted || outcome == Outcome::kSpinning);
  interrupter.join();
  ASSERT_EQ(outcome, Outcome::kFinished);
  for (uint32_t i = 0; i < 128; i += 13) EXPECT_EQ(out[i], long_reference(i, 128));
  EXPECT_GT(block->warp_instructions(), 4u * 2000 * 10);
  block->reset({0, 0, 0});
  EXPECT_EQ(block->run(running, 0), Outcome::kFinished);
  EXPECT_EQ(out[127], long_reference(127, 128));
}

TEST(BlockRun, BlocksThatWaitForEachOtherGetTheirTurns) {
  TestMachine machine(kernel(R"(
    ld.param.u64 %rd3, [out]; mov.u32 %r1, %ctaid.x; mov.u32 %v, 1; setp.ne.u32 %p1, %r1, 0; @%p1 bra SECOND;
  FIRST: ld.volatile.global.u32 %r2, [%rd3+256]; setp.eq.u32 %p2, %r2, 0; @%p2 bra FIRST; bra STORE;
  SECOND: mov.u32 %r3, 1; st.volatile.global.u32 [%rd3+256], %r3;
  WAIT: ld.acquire.gpu.global.u32 %r2, [%rd3]; setp.eq.u32 %p2, %r2, 0; @%p2 bra WAIT;
  )"));
  ASSERT_TRUE(machine.status().ok()) << machine.status().message();
  auto* out = machine.array<uint32_t>(65);
  EXPECT_EQ(machine.run("k", {2}, {32}, Parameters().add(out)), Outcome::kFinished) << machine.fault().detail;
}

}  // namespace
}  // namespace tessera::softgpu::exec

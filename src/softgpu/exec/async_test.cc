// Asynchronous copies and barriers in shared memory, by instruction.
#include <gtest/gtest.h>

#include <functional>

#include "softgpu/exec/testing/test_machine.h"

namespace tessera::softgpu::exec {
namespace {

std::string kernel(const std::string& body) {
  return ".version 8.6\n.target sm_90\n.address_size 64\n.visible .entry k(.param .u64 out) {\n"
         ".reg .b32 %i, %v, %s, %r<12>; .reg .b64 %rd<12>; .reg .pred %p<6>;\n"
         ".shared .align 16 .b8 tile[8192]; .shared .align 8 .b64 bar;\n"
         "mov.u32 %i, %tid.x; mov.u32 %v, 0; ld.param.u64 %rd1, [out]; mov.u32 %s, bar;\n"
         "mad.wide.u32 %rd2, %i, 4, %rd1;\n" +
         body + "\nst.global.u32 [%rd2], %v;\nret;\n}\n";
}

void expect(const std::string& body, uint32_t threads, const std::function<uint32_t(uint32_t)>& reference) {
  TestMachine machine(kernel(body));
  ASSERT_TRUE(machine.status().ok()) << machine.status().message();
  auto* out = machine.array<uint32_t>(4096);
  for (uint32_t i = 0; i < 4096; ++i) out[i] = i * 3;
  ASSERT_EQ(machine.run("k", {}, {threads}, Parameters().add(out)), Outcome::kFinished)
      << machine.status().message() << machine.fault().detail;
  for (uint32_t i = 0; i < threads; ++i) EXPECT_EQ(out[i], reference(i)) << "thread " << i;
}

void expect_fault(const std::string& body, FaultKind kind) {
  TestMachine machine(kernel(body));
  ASSERT_TRUE(machine.status().ok()) << machine.status().message();
  auto* out = machine.array<uint32_t>(4096);
  ASSERT_EQ(machine.run("k", {}, {32}, Parameters().add(out)), Outcome::kFaulted)
      << machine.status().message();
  EXPECT_EQ(machine.fault().kind, kind) << machine.fault().detail;
}

const char* const kInit =
    "setp.eq.u32 %p1, %i, 0; @%p1 mbarrier.init.shared::cta.b64 [bar], 64; bar.sync 0;\n";

TEST(AsyncCopy, AddressesInBothWidthsAndOffsets) {
  expect(
      "mov.u32 %r1, tile; mad.lo.u32 %r1, %i, 4, %r1; cp.async.ca.shared.global [%r1+128], [%rd2+4096], 4;"
      "cp.async.wait_all; ld.shared.u32 %v, [%r1+128];",
      64, [](uint32_t i) { return (i + 1024) * 3; });
  expect(
      "mov.u64 %rd3, tile; mad.wide.u32 %rd3, %i, 16, %rd3; mad.wide.u32 %rd4, %i, 16, %rd1;"
      "cp.async.cg.shared::cta.global.L2::256B [%rd3], [%rd4+16], 16, 12; cp.async.commit_group;"
      "cp.async.wait_group 0; ld.shared.v4.u32 {%r1, %r2, %r3, %r4}, [%rd3];"
      "mad.lo.u32 %v, %r4, 1000, %r3;",
      64, [](uint32_t i) { return (4 * i + 6) * 3; });
}

TEST(AsyncCopy, IgnoredSourcesAreNotTouched) {
  expect(
      "mov.u32 %r1, tile; mad.lo.u32 %r1, %i, 8, %r1; mov.u32 %r2, 7; st.shared.v2.u32 [%r1], {%r2, %r2};"
      "and.b32 %r3, %i, 1; setp.ne.u32 %p2, %r3, 0; add.u64 %rd4, %rd1, 8192; selp.b64 %rd3, 64, %rd4, %p2;"
      "cp.async.ca.shared.global [%r1], [%rd3], 8, %p2; cp.async.wait_all; ld.shared.u32 %v, [%r1+4];",
      64, [](uint32_t i) { return i % 2 == 0 ? 2049 * 3u : 0u; });
}

TEST(AsyncCopy, WrongAddressesAreFaults) {
  expect_fault("mov.u32 %r1, tile; mov.u64 %rd3, 64; cp.async.ca.shared.global [%r1], [%rd3], 4;",
               FaultKind::kIllegalAddress);
  expect_fault("mov.u32 %r1, tile; cp.async.ca.shared.global [%r1+2], [%rd1], 4;",
               FaultKind::kMisalignedAddress);
  expect_fault(
      "mov.u32 %r1, tile; cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r1], "
      "[%rd1+8], 16, [bar];",
      FaultKind::kMisalignedAddress);
  expect_fault("mov.u32 %r1, tile; cp.async.bulk.global.shared::cta.bulk_group [%rd1], [%r1], 40;",
               FaultKind::kIllegalInstruction);
}

TEST(AsyncCopy, BulkCopiesCompleteAtTheBarrier) {
  const std::string wait = "W: mbarrier.try_wait.parity.shared.b64 %p2, [bar], 0; @!%p2 bra W;\n";
  expect(std::string(kInit) +
             "mov.u32 %r1, tile; @!%p1 mbarrier.arrive.shared.b64 _, [bar];"
             "@%p1 mbarrier.arrive.expect_tx.shared.b64 _, [bar], 512;"
             "@%p1 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r1], [%rd1+256], 256, "
             "[bar];"
             "@%p1 cp.async.bulk.shared::cta.global.mbarrier::complete_tx::bytes.L2::cache_hint [%r1+256], "
             "[%rd1+1024], 256, [bar], %rd9;" +
             wait + "mad.lo.u32 %r2, %i, 8, %r1; ld.shared.u32 %v, [%r2];",
         64, [](uint32_t i) { return (i < 32 ? 64 + 2 * i : 256 + 2 * (i - 32)) * 3; });
  // Store and add whose bytes are counted.
  expect(
      std::string(kInit) +
          "mov.u32 %r1, tile; mad.lo.u32 %r1, %i, 4, %r1; mov.u32 %r3, 5; st.shared.u32 [%r1], %r3;"
          "mapa.shared::cluster.u32 %r4, %r1, 0; mapa.shared::cluster.u32 %r5, %s, 0;"
          "mbarrier.arrive.expect_tx.shared.b64 _, [bar], 8; bar.sync 0;"
          "red.async.relaxed.cluster.shared::cluster.mbarrier::complete_tx::bytes.add.u32 [%r4], %i, [%r5];"
          "st.async.shared::cluster.mbarrier::complete_tx::bytes.u32 [%r4+4096], %i, [%r5];" +
          wait + "ld.shared.u32 %v, [%r1]; ld.shared.u32 %r6, [%r1+4096]; add.u32 %v, %v, %r6;",
      64, [](uint32_t i) { return 2 * i + 5; });
}

TEST(AsyncCopy, MaskedAndReduced) {
  expect(
      "mov.u32 %r1, tile; mad.lo.u32 %r2, %i, 4, %r1; st.shared.u32 [%r2], %i; bar.sync 0;"
      "setp.eq.u32 %p1, %i, 0; .reg .b16 %h; mov.b16 %h, 0x0f0f;"
      "@%p1 cp.async.bulk.global.shared::cta.bulk_group.cp_mask [%rd1+4096], [%r1], 256, %h;"
      "@%p1 cp.async.bulk.commit_group; @%p1 cp.async.bulk.wait_group.read 0; bar.sync 0;"
      "ld.global.u32 %v, [%rd2+4096];",
      64, [](uint32_t i) { return i % 2 == 0 ? i : (1024 + i) * 3; });
  expect(
      "mov.u32 %r1, tile; mad.lo.u32 %r2, %i, 4, %r1; mul.lo.u32 %r3, %i, 50; st.shared.u32 [%r2], %r3;"
      "bar.sync 0; setp.eq.u32 %p1, %i, 0;"
      "@%p1 cp.reduce.async.bulk.global.shared::cta.bulk_group.max.s32 [%rd1+4096], [%r1], 256;"
      "@%p1 cp.reduce.async.bulk.global.shared::cta.bulk_group.add.u32 [%rd1+4096], [%r1], 256;"
      "bar.sync 0; ld.global.u32 %v, [%rd2+4096];",
      64, [](uint32_t i) { return std::max((1024 + i) * 3, i * 50) + i * 50; });
}

TEST(Mbarrier, StatesAndParitiesAgree) {
  // 64 arrivals expected, 63 made: the phase goes on; the last one ends it.
  expect(std::string(kInit) +
             "mov.u64 %rd3, 0; setp.lt.u32 %p2, %i, 63; @%p2 mbarrier.arrive.shared.b64 %rd3, [bar];"
             "bar.sync 0; mbarrier.test_wait.shared.b64 %p3, [bar], %rd3;"
             "mbarrier.test_wait.parity.shared::cta.b64 %p4, [bar], 0; @%p3 add.u32 %v, %v, 1;"
             "@%p4 add.u32 %v, %v, 2; bar.sync 0; @!%p2 mbarrier.arrive.shared.b64 %rd3, [bar]; bar.sync 0;"
             "mbarrier.test_wait.shared.b64 %p3, [bar], %rd3;"
             "mbarrier.test_wait.parity.acquire.cta.shared::cta.b64 %p4, [bar], 0; @%p3 add.u32 %v, %v, 4;"
             "@%p4 add.u32 %v, %v, 8; mbarrier.test_wait.parity.shared.b64 %p4, [bar], 1;"
             "@%p4 add.u32 %v, %v, 16;",
         64, [](uint32_t) { return 12u; });
}

TEST(Mbarrier, PendingCountsAndDrops) {
  // Each lane of one warp sees one arrival fewer missing.
  expect(std::string(kInit) +
             "setp.lt.u32 %p2, %i, 32; mov.u64 %rd3, 0; @%p2 mbarrier.arrive_drop.shared.b64 %rd3, [bar];"
             "@%p2 mbarrier.pending_count.b64 %v, %rd3; bar.sync 0;"
             // Thirty-two are left for this phase and for each after it.
             "@!%p2 mbarrier.arrive.shared.b64 _, [bar]; bar.sync 0;"
             "@!%p2 mbarrier.arrive.shared.b64 _, [bar]; bar.sync 0;"
             "mbarrier.test_wait.parity.shared.b64 %p3, [bar], 1; @%p3 add.u32 %v, %v, 1000;",
         64, [](uint32_t i) { return 1000 + (i < 32 ? 64 - i : 0); });
  expect(std::string(kInit) +
             "@%p1 mbarrier.arrive.noComplete.shared.b64 %rd3, [bar], 62;"
             "setp.lt.u32 %p2, %i, 2; @%p2 cp.async.mbarrier.arrive.shared.b64 [bar];"
             "@%p2 cp.async.mbarrier.arrive.noinc.shared.b64 [bar]; bar.sync 0;"
             "mbarrier.test_wait.parity.shared.b64 %p3, [bar], 0; selp.u32 %v, 1, 0, %p3;",
         64, [](uint32_t) { return 1u; });
}

TEST(Mbarrier, MisuseIsAFault) {
  expect_fault("mbarrier.arrive.shared.b64 _, [bar];", FaultKind::kIllegalInstruction);
  expect_fault("mbarrier.init.shared.b64 [bar], 0;", FaultKind::kIllegalInstruction);
  expect_fault("mbarrier.init.b64 [%rd1], 5;", FaultKind::kInvalidAddressSpace);
  expect_fault("mbarrier.init.shared.b64 [bar+4], 5;", FaultKind::kMisalignedAddress);
}

TEST(Mbarrier, WaitingWarpsLetTheOthersRun) {
  // Warp 1 waits for warp 0, which has far to go; generic addresses.
  expect("mov.u64 %rd5, bar; cvta.shared.u64 %rd4, %rd5;" + std::string(kInit) +
             "setp.lt.u32 %p2, %i, 32; @!%p2 bra WAIT; mov.u32 %r1, 0;"
             "L: add.u32 %r1, %r1, 1; setp.lt.u32 %p3, %r1, 100000; @%p3 bra L;"
             "mov.u32 %r2, tile; st.shared.u32 [%r2], %r1; mbarrier.arrive.b64 _, [%rd4], 2; bra DONE;"
             "WAIT: mov.u64 %rd6, 0; mbarrier.try_wait.b64 %p4, [%rd4], %rd6, 1000; @!%p4 bra WAIT;"
             "DONE: bar.sync 0; ld.shared.u32 %v, [tile];",
         64, [](uint32_t) { return 100000u; });
}

}  // namespace
}  // namespace tessera::softgpu::exec

// Clusters: places, shared memory of other blocks, the cluster's barrier, multicast.
#include <gtest/gtest.h>

#include "softgpu/exec/testing/test_machine.h"

namespace tessera::softgpu::exec {
namespace {

constexpr uint32_t kThreads = 32;

std::string kernel(const std::string& body) {
  return ".version 8.6\n.target sm_90\n.address_size 64\n.visible .entry k(.param .u64 out) {\n"
         ".reg .b16 %h; .reg .b32 %i, %v, %block, %rank, %r<12>; .reg .b64 %rd<12>; .reg .pred %p<6>;\n"
         ".shared .align 16 .b8 tile[128]; .shared .align 8 .b64 bar;\n"
         "mov.u32 %i, %tid.x; mov.u32 %v, 0; ld.param.u64 %rd1, [out];\n"
         "mov.u32 %r1, %ctaid.x; mov.u32 %r2, %nctaid.x; mov.u32 %r3, %ctaid.y;\n"
         "mad.lo.u32 %block, %r3, %r2, %r1; mov.u32 %rank, %cluster_ctarank;\n"
         "mad.lo.u32 %r4, %block, 32, %i; mad.wide.u32 %rd2, %r4, 4, %rd1;\n" +
         body + "\nst.global.u32 [%rd2], %v;\nret;\n}\n";
}

// %v of each thread, by block.
void expect(const std::string& body, Dim3 grid, Dim3 cluster,
            const std::function<uint32_t(uint32_t block, uint32_t thread)>& reference) {
  TestMachine machine(kernel(body));
  ASSERT_TRUE(machine.status().ok()) << machine.status().message();
  auto* out = machine.array<uint32_t>(4096);
  for (uint32_t i = 0; i < 4096; ++i) out[i] = i * 3;
  ASSERT_EQ(machine.run("k", grid, {kThreads}, Parameters().add(out), 0, cluster), Outcome::kFinished)
      << machine.status().message() << machine.fault().detail;
  for (uint32_t block = 0; block < grid.count(); ++block) {
    for (uint32_t i = 0; i < kThreads; ++i)
      ASSERT_EQ(out[block * kThreads + i], reference(block, i)) << "block " << block << ", thread " << i;
  }
}

Fault expect_fault(const std::string& body, Dim3 cluster) {
  TestMachine machine(kernel(body));
  EXPECT_TRUE(machine.status().ok()) << machine.status().message();
  auto* out = machine.array<uint32_t>(4096);
  EXPECT_EQ(machine.run("k", cluster, {kThreads}, Parameters().add(out), 0, cluster), Outcome::kFaulted);
  return machine.fault();
}

const char* const kSync = "barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned;\n";

TEST(Cluster, Places) {
  expect(
      "mov.u32 %r5, %clusterid.x; mov.u32 %r6, %nclusterid.y; mov.u32 %r7, %cluster_nctarank;"
      "mov.u32 %r8, %cluster_ctaid.y; mov.u32 %r9, %cluster_nctaid.x; mov.pred %p1, %is_explicit_cluster;"
      "mad.lo.u32 %v, %r5, 10, %rank; mad.lo.u32 %v, %r6, 100, %v; mad.lo.u32 %v, %r7, 1000, %v;"
      "mad.lo.u32 %v, %r8, 10000, %v; mad.lo.u32 %v, %r9, 100000, %v; @%p1 add.u32 %v, %v, 1000000;",
      {4, 6}, {2, 3}, [](uint32_t block, uint32_t) {
        const uint32_t x = block % 4, y = block / 4;
        return x / 2 * 10 + y % 3 * 2 + x % 2 + 200 + 6000 + y % 3 * 10000 + 200000 + 1000000;
      });
  expect("mov.u32 %r5, %cluster_nctarank; mov.pred %p1, %is_explicit_cluster; selp.u32 %v, 5, %r5, %p1;" +
             std::string(kSync),
         {3}, {1}, [](uint32_t, uint32_t) { return 1u; });
}

TEST(Cluster, SharedMemoryOfOtherBlocks) {
  // Each block reads the next one's through an address of the space and through a generic one.
  expect(
      "mov.u32 %r5, tile; mad.lo.u32 %r5, %i, 4, %r5; mad.lo.u32 %r6, %block, 100, %i;"
      "st.shared.u32 [%r5], %r6;" +
          std::string(kSync) +
          "mov.u32 %r7, %cluster_nctarank; add.u32 %r8, %rank, 1; rem.u32 %r8, %r8, %r7;"
          "mapa.shared::cluster.u32 %r9, %r5, %r8; ld.shared::cluster.u32 %v, [%r9];"
          "cvt.u64.u32 %rd3, %r5; cvta.shared.u64 %rd3, %rd3; mapa.u64 %rd4, %rd3, %r8; ld.u32 %r10, [%rd4];"
          "mad.lo.u32 %v, %r10, 10000, %v; getctarank.u64 %r10, %rd4; sub.u32 %r10, %r10, %r8;"
          "add.u32 %v, %v, %r10; getctarank.shared::cluster.u32 %r10, %r9; sub.u32 %r10, %r10, %r8;"
          "add.u32 %v, %v, %r10; isspacep.shared::cluster %p1, %rd4; @!%p1 add.u32 %v, %v, 1;"
          "isspacep.global %p1, %rd4; @%p1 add.u32 %v, %v, 1; getctarank.u64 %r10, %rd3;"
          "sub.u32 %r10, %r10, %rank; add.u32 %v, %v, %r10;" +
          kSync,
      {6}, {3}, [](uint32_t block, uint32_t i) {
        const uint32_t value = (block / 3 * 3 + (block + 1) % 3) * 100 + i;
        return value * 10001;
      });
  // Atomics on one word of rank 0; each lane has another block's neighbour in its vector.
  expect("mov.u32 %r5, tile; setp.eq.u32 %p1, %i, 0; @%p1 st.shared.u32 [%r5], %rank;" + std::string(kSync) +
             "mapa.shared::cluster.u32 %r6, %r5, 0; and.b32 %r7, %i, 1; setp.eq.u32 %p2, %r7, 1;"
             "selp.b32 %r6, %r6, %r5, %p2; atom.shared::cluster.add.u32 %r8, [%r6], 1;" +
             kSync + "ld.shared.u32 %v, [tile];" + kSync,
         {4}, {4}, [](uint32_t block, uint32_t) { return block == 0 ? 16 + 64 : block + 16; });
}

TEST(Cluster, AddressesOutsideOfItAreFaults) {
  const std::string body = "mov.u32 %r5, tile; mov.u32 %r6, ";
  EXPECT_EQ(
      expect_fault(body + "2; mapa.shared::cluster.u32 %r7, %r5, %r6; ld.shared::cluster.u32 %v, [%r7];", {2})
          .kind,
      FaultKind::kIllegalAddress);
  EXPECT_EQ(
      expect_fault(body + "1; mapa.shared::cluster.u32 %r7, %r5, %r6; ld.shared::cluster.u32 %v, [%r7+4096];",
                   {2})
          .kind,
      FaultKind::kIllegalAddress);
}

TEST(Cluster, BarrierHasPhases) {
  // A word that each block adds to between barriers; every block sees all additions of each phase.
  expect(
      "mov.u32 %r5, tile; mapa.shared::cluster.u32 %r6, %r5, 0; setp.eq.u32 %p1, %i, 0; mov.u32 %r7, 0;"
      "@%p1 st.shared.u32 [%r5], %r7; mov.u32 %r11, 0;" +
          std::string(kSync) +
          "L: @%p1 red.shared::cluster.add.u32 [%r6], 1; barrier.cluster.arrive.release;"
          "add.u32 %r7, %r7, 1; barrier.cluster.wait.acquire; ld.shared::cluster.u32 %r8, [%r6];"
          "add.u32 %r11, %r11, %r8; barrier.cluster.arrive; barrier.cluster.wait;"
          "setp.lt.u32 %p2, %r7, 20; @%p2 bra L; mov.u32 %v, %r11;",
      {8}, {8}, [](uint32_t, uint32_t) { return 8 * (20 * 21 / 2); });
}

TEST(Cluster, ThreadsThatHaveExitedDoNotCount) {
  expect(
      "setp.eq.u32 %p1, %rank, 1; and.b32 %r5, %i, 1; setp.eq.u32 %p2, %r5, 1; and.pred %p3, %p1, %p2;"
      "mov.u32 %v, 7; @%p3 st.global.u32 [%rd2], %v; @%p3 exit;" +
          std::string(kSync) + kSync,
      {2}, {2}, [](uint32_t, uint32_t) { return 7u; });
}

TEST(Cluster, ThatCannotGoOnIsADeadlock) {
  const Fault fault = expect_fault(
      "setp.eq.u32 %p1, %rank, 0; @%p1 bar.sync 1, 64; @!%p1 barrier.cluster.arrive;"
      "@!%p1 barrier.cluster.wait;",
      {2});
  EXPECT_EQ(fault.kind, FaultKind::kTrap);
  EXPECT_NE(fault.detail.find("deadlock"), std::string::npos) << fault.detail;
}

TEST(Cluster, MulticastReachesTheBlocksNamed) {
  expect(
      "mov.u32 %r5, tile; mov.u32 %r6, bar; setp.eq.u32 %p1, %i, 0; mad.lo.u32 %r7, %i, 4, %r5; mov.u32 %r8, "
      "9;"
      "st.shared.u32 [%r7], %r8; @%p1 mbarrier.init.shared.b64 [bar], 1;"
      "setp.eq.u32 %p2, %rank, 1; setp.ne.u32 %p3, %rank, 1;"
      "and.pred %p4, %p1, %p3; @%p4 mbarrier.arrive.expect_tx.shared.b64 _, [bar], 128;" +
          std::string(kSync) +
          "setp.eq.and.u32 %p4, %rank, 0, %p1; mov.b16 %h, 5;"
          "@%p4 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%r5], "
          "[%rd1+4096], 128, [%r6], %h;"
          "@%p2 bra DONE; W: mbarrier.try_wait.parity.shared.b64 %p5, [bar], 0; @!%p5 bra W;"
          "DONE: barrier.cluster.arrive; barrier.cluster.wait; ld.shared.u32 %v, [%r7];",
      {3}, {3}, [](uint32_t block, uint32_t i) { return block == 1 ? 9 : (1024 + i) * 3; });
}

}  // namespace
}  // namespace tessera::softgpu::exec

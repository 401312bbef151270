// Loads and stores in every state space and width, and what happens when an address is wrong.
#include <gtest/gtest.h>

#include <functional>

#include "softgpu/exec/testing/test_machine.h"

namespace tessera::softgpu::exec {
namespace {

std::string kernel(const std::string& body, const std::string& before = "",
                   const std::string& parameters = ".param .u64 out") {
  return ".version 8.0\n.target sm_80\n.address_size 64\n" + before + ".visible .entry k(" + parameters +
         ") {\n .reg .b32 %i, %v, %r<12>; .reg .b64 %rd<12>; .reg .b16 %h<6>; .reg .f32 %f<6>; .reg .pred "
         "%p<6>;\n mov.u32 %i, %tid.x; ld.param.u64 %rd1, [out];\n" +
         body + "\nSTORE:\n mad.wide.u32 %rd2, %i, 4, %rd1; st.global.u32 [%rd2], %v;\n ret;\n}\n";
}

void expect(const std::string& ptx, uint32_t threads, const std::function<uint32_t(uint32_t)>& reference) {
  TestMachine machine(ptx);
  ASSERT_TRUE(machine.status().ok()) << machine.status().message();
  auto* out = machine.array<uint32_t>(4096);
  ASSERT_EQ(machine.run("k", {}, {threads}, Parameters().add(out)), Outcome::kFinished)
      << machine.status().message() << machine.fault().detail;
  for (uint32_t i = 0; i < threads; ++i) EXPECT_EQ(out[i], reference(i)) << "thread " << i;
}

TEST(Memory, WidthsAndExtensions) {
  // Bytes 0x80 + i, read back in every way.
  const std::string write =
      "add.u32 %r1, %i, 0x70; cvt.u64.u32 %rd3, %i; add.u64 %rd4, %rd1, %rd3; st.global.u8 [%rd4+8192], %r1; "
      "bar.sync 0;";
  expect(kernel(write + "ld.global.u8 %v, [%rd4+8192];"), 64, [](uint32_t i) { return i + 0x70; });
  expect(kernel(write + "ld.global.s8 %v, [%rd4+8192];"), 64,
         [](uint32_t i) { return static_cast<uint32_t>(static_cast<int8_t>(i + 0x70)); });
  expect(kernel(write + "ld.global.s8 %h1, [%rd4+8192]; cvt.u32.u16 %v, %h1;"), 64, [](uint32_t i) {
    return static_cast<uint32_t>(static_cast<uint16_t>(static_cast<int8_t>(i + 0x70)));
  });
  expect(kernel(write + "ld.global.s8 %rd5, [%rd4+8192]; shr.s64 %rd5, %rd5, 4; cvt.u32.u64 %v, %rd5;"), 64,
         [](uint32_t i) { return static_cast<uint32_t>(static_cast<int8_t>(i + 0x70) >> 4); });
  expect(kernel(write + "and.b64 %rd6, %rd4, -2; ld.global.s16 %v, [%rd6+8192];"), 64, [](uint32_t i) {
    const uint32_t low = (i & ~1u) + 0x70;
    return static_cast<uint32_t>(static_cast<int16_t>(low | (low + 1) << 8));
  });
}

TEST(Memory, Vectors) {
  expect(kernel("mad.wide.u32 %rd3, %i, 16, %rd1; add.u32 %r1, %i, 1; add.u32 %r2, %i, 2; add.u32 %r3, %i, "
                "3; st.global.v4.u32 [%rd3+4096], {%i, %r1, %r2, %r3};"
                "bar.sync 0; xor.b32 %r4, %i, 1; mad.wide.u32 %rd4, %r4, 16, %rd1; ld.global.v4.u32 {%r5, "
                "%r6, %r7, %r8}, [%rd4+4096];"
                "add.u32 %v, %r5, %r6; mad.lo.u32 %v, %r7, 100, %v; mad.lo.u32 %v, %r8, 10000, %v;"),
         64, [](uint32_t i) { return (i ^ 1) * 2 + 1 + ((i ^ 1) + 2) * 100 + ((i ^ 1) + 3) * 10000; });
  expect(kernel("mad.wide.u32 %rd3, %i, 16, %rd1; cvt.u64.u32 %rd4, %i; st.global.v2.u64 [%rd3+4096], {%rd4, "
                "%rd3}; ld.global.v2.u64 {%rd5, %rd6}, [%rd3+4096];"
                "sub.u64 %rd7, %rd6, %rd3; add.u64 %rd7, %rd7, %rd5; cvt.u32.u64 %v, %rd7;"),
         40, [](uint32_t i) { return i; });
}

TEST(Memory, WideRegisters) {
  expect(kernel("mad.wide.u32 %rd3, %i, 16, %rd1; cvt.u64.u32 %rd4, %i; .reg .b128 %w<3>;"
                "mov.b128 %w0, {%rd4, %rd3}; mov.b128 %w1, %w0; st.global.b128 [%rd3+4096], %w1;"
                "ld.global.nc.L1::no_allocate.b128 %w2, [%rd3+4096]; mov.b128 {%rd5, %rd6}, %w2;"
                "sub.u64 %rd7, %rd6, %rd3; add.u64 %rd7, %rd7, %rd5; cvt.u32.u64 %v, %rd7;"),
         40, [](uint32_t i) { return i; });
}

TEST(Memory, ScatteredAndReversedAddresses) {
  const std::string write =
      "mad.wide.u32 %rd3, %i, 4, %rd1; mul.lo.u32 %r1, %i, 7; st.global.u32 [%rd3+4096], %r1; bar.sync 0;";
  expect(kernel(write + "mul.lo.u32 %r2, %i, 37; and.b32 %r2, %r2, 63; mad.wide.u32 %rd4, %r2, 4, %rd1; "
                        "ld.global.u32 %v, [%rd4+4096];"),
         64, [](uint32_t i) { return (i * 37 & 63) * 7; });
  expect(
      kernel(write + "sub.u32 %r2, 63, %i; mad.wide.u32 %rd4, %r2, 4, %rd1; ld.global.u32 %v, [%rd4+4096];"),
      64, [](uint32_t i) { return (63 - i) * 7; });
  expect(kernel(write + "ld.global.nc.L1::no_allocate.L2::128B.u32 %v, [%rd1+4136];"), 64,
         [](uint32_t) { return 70u; });
  expect(kernel(write + "ld.relaxed.sys.global.u32 %v, [%rd3+4096]; ld.acquire.gpu.u32 %r4, [%rd3+4096]; "
                        "st.release.cta.global.u32 [%rd3+4096], %r4; fence.acq_rel.gpu;"),
         64, [](uint32_t i) { return i * 7; });
}

TEST(Memory, GenericAddressesReachEverySpace) {
  expect(kernel(R"(
    .local .align 8 .b8 mine[16];
    mov.u64 %rd3, cell; cvta.shared.u64 %rd4, %rd3; mad.wide.u32 %rd5, %i, 4, %rd4; st.u32 [%rd5], %i;
    mov.u64 %rd6, mine; cvta.local.u64 %rd7, %rd6; add.u32 %r1, %i, 100; st.u32 [%rd7+4], %r1;
    isspacep.shared %p1, %rd5; isspacep.local %p2, %rd7; isspacep.global %p3, %rd1; isspacep.global %p4, %rd7;
    ld.u32 %r2, [%rd5]; ld.local.u32 %r3, [mine+4]; add.u32 %v, %r2, %r3;
    @%p1 add.u32 %v, %v, 1000; @%p2 add.u32 %v, %v, 2000; @%p3 add.u32 %v, %v, 4000; @%p4 add.u32 %v, %v, 8000;
    cvta.to.shared.u64 %rd8, %rd5; ld.shared.u32 %r4, [%rd8]; sub.u32 %r4, %r4, %i; add.u32 %v, %v, %r4;
    // Lanes in different spaces in one instruction.
    and.b32 %r5, %i, 1; setp.eq.u32 %p5, %r5, 0; selp.b64 %rd9, %rd5, %rd7, %p5; @!%p5 add.u64 %rd9, %rd9, 4; ld.u32 %r6, [%rd9]; mad.lo.u32 %v, %r6, 100000, %v;
  )",
                ".shared .align 4 .b8 cell[256];\n"),
         64, [](uint32_t i) { return 2 * i + 100 + 7000 + (i % 2 == 0 ? i : i + 100) * 100000; });
}

TEST(Memory, VariablesAndTheirInitialValues) {
  expect(kernel("mov.u64 %rd3, pointer; ld.global.u64 %rd4, [%rd3]; rem.u32 %r1, %i, 3; mad.wide.u32 %rd5, "
                "%r1, 4, %rd4; ld.global.u32 %v, [%rd5]; ld.const.u32 %r2, [c+4]; add.u32 %v, %v, %r2;",
                ".global .align 4 .u32 values[4] = {1, 10, 100, 1000}; .const .align 4 .u32 c[2] = {5, "
                "6000}; .global .u64 pointer = values+4;\n"),
         9, [](uint32_t i) {
           return (i % 3 == 0 ? 10 : i % 3 == 1 ? 100 : 1000) + 6000;
         });
}

TEST(Memory, ParametersByValueAndByAddress) {
  TestMachine machine(
      kernel("rem.u32 %r1, %i, 5; mov.b64 %rd3, s; mad.wide.u32 %rd4, %r1, 4, %rd3; ld.param.u32 %v, "
             "[%rd4+4]; cvta.param.u64 %rd5, %rd3; ld.u32 %r2, [%rd5]; add.u32 %v, %v, %r2;"
             "ld.param.s8 %r3, [b]; add.u32 %v, %v, %r3; ld.param.v2.u32 {%r4, %r5}, [s+8]; mad.lo.u32 %v, "
             "%r5, 1000, %v;",
             "", ".param .u64 out, .param .align 8 .b8 s[24], .param .u8 b"));
  ASSERT_TRUE(machine.status().ok()) << machine.status().message();
  struct alignas(8) {
    uint32_t values[6];
  } s = {{7000, 1, 2, 3, 4, 5}};
  auto* out = machine.array<uint32_t>(32);
  ASSERT_EQ(machine.run("k", {}, {20}, Parameters().add(out).add(s).add(int8_t{-1})), Outcome::kFinished)
      << machine.status().message() << machine.fault().detail;
  for (uint32_t i = 0; i < 20; ++i) EXPECT_EQ(out[i], i % 5 + 1 + 7000 - 1 + 3000);
}

Fault fault_of(const std::string& body, const std::string& before = "", bool writable = true) {
  TestMachine machine(kernel(body, before));
  EXPECT_TRUE(machine.status().ok()) << machine.status().message();
  auto* out = machine.array<uint32_t>(64, writable);
  EXPECT_EQ(machine.run("k", {}, {64}, Parameters().add(out)), Outcome::kFaulted)
      << machine.status().message();
  return machine.fault();
}

TEST(Atomics, VectorsAreAsManyOperations) {
  // Element k of the old value comes back in register k; sums and the larger halves stay.
  expect(kernel(R"(
    mad.wide.u32 %rd3, %i, 16, %rd1; mov.f32 %f1, 0f3F800000; mov.f32 %f2, 0f40000000; cvt.rn.f32.u32 %f3, %i;
    st.global.v4.f32 [%rd3+4096], {%f1, %f2, %f3, %f3};
    atom.global.add.v4.f32 {%f1, %f2, %f4, _}, [%rd3+4096], {%f2, %f2, %f3, %f3};
    red.global.add.v2.f32 [%rd3+4104], {%f3, %f3};
    ld.global.v4.f32 {%f1, %f2, %f3, %f5}, [%rd3+4096]; add.f32 %f1, %f1, %f2; add.f32 %f3, %f3, %f5;
    add.f32 %f1, %f1, %f3; add.f32 %f1, %f1, %f4; cvt.rzi.u32.f32 %v, %f1;)"),
         32, [](uint32_t i) { return 7 + 7 * i; });
  expect(kernel(R"(
    mad.wide.u32 %rd3, %i, 4, %rd1; mov.u32 %r1, 0x3c00fe00; st.global.u32 [%rd3+4096], %r1;
    mov.b16 %h1, 0x4000; mov.b16 %h2, 0x3800;
    atom.global.max.noftz.v2.f16 {%h3, %h4}, [%rd3+4096], {%h1, %h2};
    ld.global.u32 %r2, [%rd3+4096]; mov.b32 %r3, {%h3, %h4}; sub.u32 %r3, %r3, %r1; add.u32 %v, %r2, %r3;)"),
         32, [](uint32_t) { return 0x3c004000u; });
}

TEST(Faults, OutOfBounds) {
  const Fault past = fault_of("mov.u32 %v, 0; mad.wide.u32 %rd3, %i, 4, %rd1; ld.global.u32 %v, [%rd3+4];");
  EXPECT_EQ(past.kind, FaultKind::kIllegalAddress);
  EXPECT_EQ(past.thread.x, 63u);
  EXPECT_EQ(past.address % 256, 0u);
  EXPECT_NE(past.detail.find("PTX line"), std::string::npos);
  EXPECT_EQ(fault_of("mov.u32 %v, 0; mov.u64 %rd3, 0; ld.u32 %v, [%rd3];").kind, FaultKind::kIllegalAddress);
  EXPECT_EQ(
      fault_of("mov.u32 %v, 0; mov.u64 %rd3, 0; setp.eq.u32 %p1, %i, 45; @%p1 st.global.u32 [%rd3], %v;")
          .thread.x,
      45u);
  EXPECT_EQ(fault_of("mov.u32 %r1, cell; mad.lo.u32 %r2, %i, 4, %r1; ld.shared.u32 %v, [%r2];",
                     ".shared .align 4 .b8 cell[128];\n")
                .thread.x,
            32u);
  EXPECT_EQ(fault_of("mov.u64 %rd3, cell; cvta.shared.u64 %rd4, %rd3; ld.u32 %v, [%rd4+128];",
                     ".shared .align 4 .b8 cell[128];\n")
                .kind,
            FaultKind::kIllegalAddress);
  EXPECT_EQ(fault_of("mov.u32 %r1, -4; st.shared.u32 [%r1], %i; mov.u32 %v, 0;",
                     ".shared .align 4 .b8 cell[128];\n")
                .kind,
            FaultKind::kIllegalAddress);
  EXPECT_EQ(fault_of(".local .align 4 .b8 mine[128]; mul.lo.u32 %r1, %i, 4; cvt.u64.u32 %rd3, %r1; "
                     "ld.local.u32 %v, [%rd3];")
                .kind,
            FaultKind::kIllegalAddress);
  EXPECT_EQ(fault_of("atom.global.add.u32 %v, [%rd1+256], 1;").kind, FaultKind::kIllegalAddress);
  EXPECT_EQ(fault_of("mov.u32 %v, 1;", "", false).kind,
            FaultKind::kIllegalAddress);  // a store into read-only memory
  // Strides that would wrap around the address space.
  EXPECT_EQ(fault_of("mov.u32 %v, 0; cvt.u64.u32 %rd3, %i; shl.b64 %rd3, %rd3, 60; add.u64 %rd3, %rd3, %rd1; "
                     "ld.global.u32 %v, [%rd3];")
                .kind,
            FaultKind::kIllegalAddress);
}

TEST(Faults, Misaligned) {
  EXPECT_EQ(fault_of("ld.global.u32 %v, [%rd1+2];").kind, FaultKind::kMisalignedAddress);
  EXPECT_EQ(fault_of("ld.global.v2.u32 {%v, %r1}, [%rd1+4];").kind, FaultKind::kMisalignedAddress);
  EXPECT_EQ(fault_of("mad.wide.u32 %rd3, %i, 3, %rd1; ld.global.u16 %v, [%rd3];").kind,
            FaultKind::kMisalignedAddress);
  EXPECT_EQ(fault_of("mov.u32 %r1, 2; ld.shared.u32 %v, [%r1];", ".shared .align 4 .b8 cell[128];\n").kind,
            FaultKind::kIllegalAddress);
}

TEST(Faults, MemoryThatIsFreedMeanwhileIsNoticed) {
  TestMachine machine(kernel("ld.global.u32 %v, [%rd1];"));
  ASSERT_TRUE(machine.status().ok()) << machine.status().message();
  auto* out = machine.array<uint32_t>(64);
  const Launch* launch = machine.prepare("k", {}, {64}, Parameters().add(out));
  auto block = BlockRun::create(*launch, {0, 0, 0});
  const std::atomic<bool> stop{false};
  EXPECT_EQ(block->run(stop, 0), Outcome::kFinished);
  ASSERT_TRUE(machine.memory().map().erase(reinterpret_cast<uintptr_t>(out)).ok());
  block->reset({0, 0, 0});
  EXPECT_EQ(block->run(stop, 0), Outcome::kFaulted);
}

TEST(Faults, Trap) {
  EXPECT_EQ(fault_of("mov.u32 %v, 0; setp.eq.u32 %p1, %i, 3; @%p1 trap;").kind, FaultKind::kTrap);
}

}  // namespace
}  // namespace tessera::softgpu::exec

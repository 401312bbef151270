// Divergence, loops, calls, function pointers, and locks between lanes of a warp.
#include <gtest/gtest.h>

#include <functional>

#include "softgpu/exec/testing/test_machine.h"

namespace tessera::softgpu::exec {
namespace {

constexpr const char* kHeader = ".version 8.0\n.target sm_80\n.address_size 64\n";
// out[i] = %v for a kernel of one block; %i is the thread's index.
std::string kernel(const std::string& body, const std::string& before = "") {
  return kHeader + before +
         ".visible .entry k(.param .u64 out) {\n .reg .b32 %i, %v, %r<10>; .reg .b64 %rd<10>; .reg .pred "
         "%p<10>;\n mov.u32 %i, %tid.x;\n" +
         body +
         "\nSTORE:\n ld.param.u64 %rd1, [out]; mad.wide.u32 %rd2, %i, 4, %rd1; st.global.u32 [%rd2], %v;\n "
         "ret;\n}\n";
}

void expect(const std::string& ptx, uint32_t threads, const std::function<uint32_t(uint32_t)>& reference) {
  TestMachine machine(ptx);
  ASSERT_TRUE(machine.status().ok()) << machine.status().message();
  auto* out = machine.array<uint32_t>(threads);
  ASSERT_EQ(machine.run("k", {}, {threads}, Parameters().add(out)), Outcome::kFinished)
      << machine.status().message() << machine.fault().detail;
  for (uint32_t i = 0; i < threads; ++i) EXPECT_EQ(out[i], reference(i)) << "thread " << i;
}

TEST(ControlFlow, NestedIfs) {
  expect(kernel(R"(
    mov.u32 %v, 1;
    and.b32 %r1, %i, 1; setp.eq.u32 %p1, %r1, 0; @%p1 bra EVEN;
    and.b32 %r2, %i, 2; setp.ne.u32 %p2, %r2, 0; @!%p2 bra ODD_LOW;
    add.u32 %v, %v, 10;
    bra ODD_END;
  ODD_LOW:
    add.u32 %v, %v, 20;
  ODD_END:
    mul.lo.u32 %v, %v, 2;
    bra.uni JOIN;
  EVEN:
    add.u32 %v, %v, %i;
  JOIN:
    add.u32 %v, %v, 1000;
  )"),
         70, [](uint32_t i) { return (i % 2 == 0 ? 1 + i : (i % 4 == 3 ? 11 : 21) * 2) + 1000; });
}

TEST(ControlFlow, LoopsWithBreakAndContinue) {
  expect(kernel(R"(
    mov.u32 %v, 0; mov.u32 %r1, 0;
  LOOP:
    setp.ge.u32 %p1, %r1, %i; @%p1 bra STORE;
    add.u32 %r1, %r1, 1;
    and.b32 %r2, %r1, 3; setp.eq.u32 %p2, %r2, 0; @%p2 bra LOOP;
    setp.gt.u32 %p3, %v, 200; @%p3 bra STORE;
    add.u32 %v, %v, %r1;
    bra LOOP;
  )"),
         64, [](uint32_t n) {
           uint32_t v = 0;
           for (uint32_t k = 0; k < n;) {
             ++k;
             if (k % 4 == 0) continue;
             if (v > 200) break;
             v += k;
           }
           return v;
         });
}

TEST(ControlFlow, EarlyReturnLeavesTheOthersRunning) {
  expect(kernel(R"(
    mov.u32 %v, 7;
    setp.lt.u32 %p1, %i, 5;
    @%p1 bra STORE;
    setp.gt.u32 %p2, %i, 40;
    ld.param.u64 %rd5, [out]; mad.wide.u32 %rd6, %i, 4, %rd5; @%p2 st.global.u32 [%rd6], 99;
    @%p2 exit;
    mov.u32 %v, 8;
  )"),
         50, [](uint32_t i) { return i < 5    ? 7u
                                     : i > 40 ? 99u
                                              : 8u; });
}

TEST(ControlFlow, Switch) {
  expect(kernel(R"(
    mov.u32 %v, 5; and.b32 %r1, %i, 7; setp.gt.u32 %p1, %r1, 3; @%p1 bra STORE;
    TABLE: .branchtargets A, B, C, B;
    brx.idx %r1, TABLE;
  A: mov.u32 %v, 100; bra STORE;
  B: mov.u32 %v, 200; bra STORE;
  C: add.u32 %v, %i, 300;
  )"),
         40, [](uint32_t i) {
           const uint32_t k = i % 8;
           return k == 0 ? 100 : k == 1 || k == 3 ? 200 : k == 2 ? i + 300 : 5u;
         });
}

TEST(ControlFlow, GuardedInstructionsKeepOtherLanes) {
  expect(kernel(R"(
    mov.u32 %v, %i; and.b32 %r1, %i, 4; setp.ne.u32 %p1, %r1, 0;
    @%p1 add.u32 %v, %v, 50;
    @!%p1 mul.lo.u32 %v, %v, 3;
  )"),
         32, [](uint32_t i) { return (i & 4) != 0 ? i + 50 : i * 3; });
}

constexpr const char* kFibonacci = R"(
  .func (.param .b32 result) fib(.param .b32 n) {
    .reg .b32 %n, %a, %b; .reg .pred %p;
    ld.param.u32 %n, [n]; setp.lt.u32 %p, %n, 2; mov.u32 %a, %n; @%p bra DONE;
    { .param .b32 x; .param .b32 y; sub.u32 %a, %n, 1; st.param.b32 [x], %a; call.uni (y), fib, (x); ld.param.b32 %a, [y]; }
    { .param .b32 x; .param .b32 y; sub.u32 %b, %n, 2; st.param.b32 [x], %b; call.uni (y), fib, (x); ld.param.b32 %b, [y]; }
    add.u32 %a, %a, %b;
  DONE:
    st.param.b32 [result], %a;
    ret;
  }
)";
uint32_t fibonacci(uint32_t n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }

TEST(Calls, RecursionWithDifferentDepthsPerLane) {
  expect(kernel("{ .param .b32 x; .param .b32 y; rem.u32 %r1, %i, 9; st.param.b32 [x], %r1; call (y), fib, "
                "(x); ld.param.b32 %v, [y]; }",
                kFibonacci),
         64, [](uint32_t i) { return fibonacci(i % 9); });
}

TEST(Calls, GuardedCallsAndRegisterArguments) {
  expect(kernel("mov.u32 %v, 77; and.b32 %r1, %i, 1; setp.eq.u32 %p1, %r1, 0; rem.u32 %r2, %i, 7; @%p1 call "
                "(%v), fib, (%r2);",
                kFibonacci),
         40, [](uint32_t i) { return i % 2 == 0 ? fibonacci(i % 7) : 77; });
}

TEST(Calls, FunctionPointersFromATable) {
  const std::string functions = R"(
    .func (.param .b32 r) inc(.param .b32 x) { .reg .b32 %a; ld.param.u32 %a, [x]; add.u32 %a, %a, 1; st.param.b32 [r], %a; ret; }
    .func (.param .b32 r) triple(.param .b32 x) { .reg .b32 %a; ld.param.u32 %a, [x]; mul.lo.u32 %a, %a, 3; st.param.b32 [r], %a; ret; }
    .func (.param .b32 r) count(.param .b32 x) { .reg .b32 %a, %n; .reg .pred %p; ld.param.u32 %n, [x]; mov.u32 %a, 0;
      L: setp.ge.u32 %p, %a, %n; @%p bra E; add.u32 %a, %a, 1; bra L; E: st.param.b32 [r], %a; ret; }
    .global .u64 table[3] = {inc, triple, count};
  )";
  expect(kernel(R"(
    mov.u64 %rd3, table; rem.u32 %r1, %i, 3; mad.wide.u32 %rd4, %r1, 8, %rd3; ld.global.u64 %rd5, [%rd4];
    { .param .b32 x; .param .b32 y; st.param.b32 [x], %i;
      proto: .callprototype (.param .b32 _) _ (.param .b32 _);
      call (y), %rd5, (x), proto; ld.param.b32 %v, [y]; }
  )",
                functions),
         45, [](uint32_t i) { return i % 3 == 0   ? i + 1
                                     : i % 3 == 1 ? i * 3
                                                  : i; });
}

TEST(Calls, LocalVariablesOfEachFrameAreItsOwn) {
  const std::string functions = R"(
    .func (.param .b32 r) depth(.param .b32 x) {
      .local .align 8 .b8 buffer[64]; .reg .b32 %n, %a, %m; .reg .b64 %b, %g; .reg .pred %p;
      ld.param.u32 %n, [x]; mov.u64 %b, buffer; cvta.local.u64 %g, %b; st.u32 [%g+8], %n; mov.u32 %a, 0;
      setp.eq.u32 %p, %n, 0; @%p bra E;
      { .param .b32 q; .param .b32 s; sub.u32 %m, %n, 1; st.param.b32 [q], %m; call (s), depth, (q); ld.param.b32 %a, [s]; }
      E: ld.local.u32 %m, [buffer+8]; add.u32 %a, %a, %m; st.param.b32 [r], %a; ret; }
  )";
  expect(kernel("{ .param .b32 x; .param .b32 y; and.b32 %r1, %i, 15; st.param.b32 [x], %r1; call (y), "
                "depth, (x); ld.param.b32 %v, [y]; }",
                functions),
         32, [](uint32_t i) { return (i & 15) * ((i & 15) + 1) / 2; });
}

TEST(Calls, EndlessRecursionIsAStackOverflow) {
  TestMachine machine(kernel("call forever, ();", ".func forever() { call forever, (); ret; }"));
  ASSERT_TRUE(machine.status().ok()) << machine.status().message();
  EXPECT_EQ(machine.run("k", {}, {32}, Parameters().add(machine.array<uint32_t>(32))), Outcome::kFaulted);
  EXPECT_EQ(machine.fault().kind, FaultKind::kStackOverflow);
}

TEST(Calls, APointerToNothingIsAnInvalidPc) {
  TestMachine machine(kernel("mov.u64 %rd3, 12345; { proto: .callprototype _ (); call %rd3, (), proto; }"));
  ASSERT_TRUE(machine.status().ok()) << machine.status().message();
  EXPECT_EQ(machine.run("k", {}, {32}, Parameters().add(machine.array<uint32_t>(32))), Outcome::kFaulted)
      << machine.status().message();
  EXPECT_EQ(machine.fault().kind, FaultKind::kInvalidPc);
}

// Each lane takes the same lock in turn: the one that holds it must run although the others spin behind it.
TEST(ControlFlow, SpinLockBetweenLanes) {
  const std::string before = ".global .u32 lock; .global .u32 counter;\n";
  expect(kernel(R"(
    mov.u64 %rd3, lock; mov.u64 %rd4, counter;
  SPIN:
    atom.global.cas.b32 %r1, [%rd3], 0, 1; setp.ne.u32 %p1, %r1, 0; @%p1 bra SPIN;
    ld.volatile.global.u32 %v, [%rd4]; add.u32 %r2, %v, 1; st.volatile.global.u32 [%rd4], %r2;
    membar.gl; atom.global.exch.b32 %r3, [%rd3], 0;
    setp.lt.u32 %p2, %v, 96; selp.u32 %v, 1, 0, %p2;
  )",
                before),
         96, [](uint32_t) { return 1u; });
}

// The lock's holder does its work above the loop in program order, so lowest-first would never let it finish.
TEST(ControlFlow, ALaneWaitsForAnotherOfItsWarp) {
  expect(kernel(R"(
    mov.u64 %rd3, flag; mov.u32 %v, 1; setp.eq.u32 %p1, %i, 31; @%p1 bra SET;
  WAIT:
    ld.volatile.global.u32 %r1, [%rd3]; setp.eq.u32 %p2, %r1, 0; @%p2 bra WAIT;
    bra STORE;
  SET:
    mov.u32 %r2, 5; st.volatile.global.u32 [%rd3], %r2;
  )",
                ".global .u32 flag;\n"),
         32, [](uint32_t) { return 1u; });
}

TEST(ControlFlow, SpecialRegisters) {
  TestMachine machine(std::string(kHeader) + R"(
    .visible .entry k(.param .u64 out) { .reg .b32 %r<16>; .reg .b64 %rd<6>;
      mov.u32 %r1, %tid.x; mov.u32 %r2, %tid.y; mov.u32 %r3, %tid.z; mov.u32 %r4, %ntid.x; mov.u32 %r5, %ntid.y;
      mad.lo.u32 %r6, %r3, %r5, %r2; mad.lo.u32 %r6, %r6, %r4, %r1;
      mov.u32 %r7, %ctaid.x; mov.u32 %r8, %ctaid.y; mov.u32 %r9, %nctaid.x; mad.lo.u32 %r10, %r8, %r9, %r7;
      mul.lo.u32 %r11, %r10, 60; add.u32 %r11, %r11, %r6;
      mov.u32 %r12, %laneid; mov.u32 %r13, %warpid; mad.lo.u32 %r14, %r13, 32, %r12; mad.lo.u32 %r14, %r10, 1000, %r14;
      ld.param.u64 %rd1, [out]; mad.wide.u32 %rd2, %r11, 4, %rd1; st.global.u32 [%rd2], %r14; ret; })");
  ASSERT_TRUE(machine.status().ok()) << machine.status().message();
  auto* out = machine.array<uint32_t>(360);
  ASSERT_EQ(machine.run("k", {3, 2}, {5, 4, 3}, Parameters().add(out)), Outcome::kFinished)
      << machine.fault().detail;
  for (uint32_t i = 0; i < 360; ++i) EXPECT_EQ(out[i], i / 60 * 1000 + i % 60);
}

}  // namespace
}  // namespace tessera::softgpu::exec

// alloca, stacksave and stackrestore.
#include <gtest/gtest.h>

#include "softgpu/exec/testing/test_machine.h"

namespace tessera::softgpu::exec {
namespace {

std::string kernel(const std::string& body) {
  return ".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry k(.param .u64 out) {\n"
         ".reg .b32 %i, %v, %r<8>; .reg .b64 %rd<12>; .reg .pred %p<4>;\n"
         ".local .align 8 .b8 own[24];\n"
         "mov.u32 %i, %tid.x; mov.u32 %v, 0; ld.param.u64 %rd1, [out]; mad.wide.u32 %rd2, %i, 4, %rd1;\n" +
         body + "\nst.global.u32 [%rd2], %v;\nret;\n}\n";
}

Outcome run(TestMachine& machine, uint32_t** out) {
  EXPECT_TRUE(machine.status().ok()) << machine.status().message();
  *out = machine.array<uint32_t>(64);
  return machine.run("k", {}, {64}, Parameters().add(*out));
}

TEST(Stack, RestoringGivesBack) {
  // 4 MiB altogether, of 512 KiB that there are.
  TestMachine machine(kernel(R"(
    mov.u64 %rd3, own; st.local.u32 [%rd3+20], %i; mov.u32 %r1, 0;
    L: stacksave.u64 %rd4; alloca.u64 %rd5, 4096, 64; and.b64 %rd6, %rd5, 63; st.local.u32 [%rd5+4092], %r1;
    ld.local.u32 %r2, [%rd5+4092]; add.u32 %v, %v, %r2; cvt.u32.u64 %r3, %rd6; add.u32 %v, %v, %r3;
    stackrestore.u64 %rd4; add.u32 %r1, %r1, 1; setp.lt.u32 %p1, %r1, 1000; @%p1 bra L;
    ld.local.u32 %r2, [%rd3+20]; add.u32 %v, %v, %r2;)"));
  uint32_t* out = nullptr;
  ASSERT_EQ(run(machine, &out), Outcome::kFinished) << machine.fault().detail;
  for (uint32_t i = 0; i < 64; ++i) EXPECT_EQ(out[i], 499500 + i);
}

TEST(Stack, LanesThatAskForMoreGetIt) {
  TestMachine machine(kernel(R"(
    mad.wide.u32 %rd3, %i, 8, 8; alloca.u64 %rd4, %rd3; alloca.u64 %rd5, 8; add.u64 %rd6, %rd4, %rd3;
    st.local.u32 [%rd6+-4], %i; mov.u32 %r1, 7; st.local.u32 [%rd5], %r1; ld.local.u32 %v, [%rd6+-4];)"));
  uint32_t* out = nullptr;
  ASSERT_EQ(run(machine, &out), Outcome::kFinished) << machine.fault().detail;
  for (uint32_t i = 0; i < 64; ++i) EXPECT_EQ(out[i], i);
}

TEST(Stack, ExhaustedIsAFault) {
  TestMachine machine(kernel("alloca.u64 %rd3, 1048576;"));
  uint32_t* out = nullptr;
  ASSERT_EQ(run(machine, &out), Outcome::kFaulted);
  EXPECT_EQ(machine.fault().kind, FaultKind::kStackOverflow);
}

}  // namespace
}  // namespace tessera::softgpu::exec

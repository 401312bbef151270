// Device code of the programs. All kernels have the parameters (pointer, number).
#pragma once

namespace tessera::fuzz {

inline constexpr const char* kKernelNames[] = {"fill", "count", "turn", "share", "stop", "nobody"};
inline constexpr const char* kHarmlessKernelNames[] = {"fill", "count", "turn", "share"};

// fill: a word for each thread. count: one atomic sum. turn: up to 255 rounds of arithmetic. share: dynamic
// shared memory, there or not. stop: a trap.
inline constexpr char kKernels[] = R"(
.version 7.0
.target sm_70
.address_size 64
.extern .shared .align 4 .b8 dynamic[];
.visible .global .align 4 .u32 total = 5;
.visible .global .attribute(.managed) .align 4 .b8 managed[4096];
.visible .const .align 4 .u32 factors[4] = {1, 2, 3, 4};

.visible .entry fill(.param .u64 p, .param .u32 v) {
  .reg .b32 %r<6>;
  .reg .b64 %rd<5>;
  ld.param.u64 %rd1, [p];
  ld.param.u32 %r1, [v];
  mov.u32 %r2, %ctaid.x;
  mov.u32 %r3, %ntid.x;
  mov.u32 %r4, %tid.x;
  mad.lo.s32 %r5, %r2, %r3, %r4;
  mul.wide.u32 %rd3, %r5, 4;
  add.s64 %rd4, %rd1, %rd3;
  st.global.u32 [%rd4], %r1;
  ret;
}
.visible .entry count(.param .u64 p, .param .u32 v) {
  .reg .b32 %r<3>;
  .reg .b64 %rd<2>;
  ld.param.u64 %rd1, [p];
  ld.param.u32 %r1, [v];
  atom.global.add.u32 %r2, [total], %r1;
  red.global.add.u32 [%rd1], %r1;
  ret;
}
.visible .entry turn(.param .u64 p, .param .u32 v) {
  .reg .pred %p<2>;
  .reg .b32 %r<4>;
  .reg .b64 %rd<2>;
  ld.param.u64 %rd1, [p];
  ld.param.u32 %r1, [v];
  and.b32 %r1, %r1, 255;
  mov.u32 %r2, 0;
again:
  mad.lo.s32 %r2, %r2, 31, %r1;
  sub.s32 %r1, %r1, 1;
  setp.gt.s32 %p1, %r1, 0;
  @%p1 bra again;
  st.global.u32 [%rd1], %r2;
  ret;
}
.visible .entry share(.param .u64 p, .param .u32 v) {
  .reg .b32 %r<5>;
  ld.param.u32 %r1, [v];
  mov.u32 %r2, %tid.x;
  shl.b32 %r3, %r2, 2;
  mov.u32 %r4, dynamic;
  add.s32 %r4, %r4, %r3;
  st.shared.u32 [%r4], %r1;
  bar.sync 0;
  ret;
}
.visible .entry stop(.param .u64 p, .param .u32 v) {
  trap;
  ret;
}
)";

}  // namespace tessera::fuzz

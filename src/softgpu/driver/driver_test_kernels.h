// Device code for the driver's own tests.
#pragma once

namespace tessera::softgpu {

// fill(pointer, value): one thread per element. spin(flag): until *flag is not 0. set(flag). store(pointer):
// writes there. where(table): marks table[%smid] until table[8] is not 0.
inline constexpr char kTestPtx[] = R"(
.version 7.0
.target sm_70
.address_size 64
.visible .global .align 4 .u32 counter = 5;

.visible .entry fill(.param .u64 p, .param .u32 v) {
  .reg .b32 %r<6>;
  .reg .b64 %rd<5>;
  ld.param.u64 %rd1, [p];
  ld.param.u32 %r1, [v];
  mov.u32 %r2, %ctaid.x;
  mov.u32 %r3, %ntid.x;
  mov.u32 %r4, %tid.x;
  mad.lo.s32 %r5, %r2, %r3, %r4;
  cvta.to.global.u64 %rd2, %rd1;
  mul.wide.u32 %rd3, %r5, 4;
  add.s64 %rd4, %rd2, %rd3;
  st.global.u32 [%rd4], %r1;
  ret;
}
.visible .entry spin(.param .u64 p) {
  .reg .pred %p<2>;
  .reg .b32 %r<2>;
  .reg .b64 %rd<3>;
  ld.param.u64 %rd1, [p];
  cvta.to.global.u64 %rd2, %rd1;
again:
  ld.volatile.global.u32 %r1, [%rd2];
  setp.eq.s32 %p1, %r1, 0;
  @%p1 bra again;
  ret;
}
.visible .entry set(.param .u64 p) {
  .reg .b32 %r<2>;
  .reg .b64 %rd<3>;
  ld.param.u64 %rd1, [p];
  cvta.to.global.u64 %rd2, %rd1;
  mov.u32 %r1, 1;
  st.volatile.global.u32 [%rd2], %r1;
  ret;
}
.visible .entry store(.param .u64 p) {
  .reg .b32 %r<2>;
  .reg .b64 %rd<2>;
  ld.param.u64 %rd1, [p];
  mov.u32 %r1, 7;
  st.u32 [%rd1], %r1;
  ret;
}
.visible .entry where(.param .u64 p) {
  .reg .pred %p<2>;
  .reg .b32 %r<3>;
  .reg .b64 %rd<4>;
  ld.param.u64 %rd1, [p];
again:
  mov.u32 %r1, %smid;
  mul.wide.u32 %rd2, %r1, 4;
  add.s64 %rd3, %rd1, %rd2;
  mov.u32 %r2, 1;
  st.volatile.u32 [%rd3], %r2;
  ld.volatile.u32 %r2, [%rd1+32];
  setp.eq.s32 %p1, %r2, 0;
  @%p1 bra again;
  ret;
}
)";

}  // namespace tessera::softgpu

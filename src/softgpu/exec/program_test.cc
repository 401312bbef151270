// Linking, what is known of kernels, what is refused, and the device's runtime calls.
#include <gtest/gtest.h>

#include "softgpu/exec/printf_format.h"
#include "softgpu/exec/testing/test_machine.h"

namespace tessera::softgpu::exec {
namespace {

constexpr const char* kHeader = ".version 8.0\n.target sm_80\n.address_size 64\n";

Status status_of(const std::string& text, const std::string& kernel = "k") {
  TestMachine machine(kHeader + text);
  if (machine.status().ok()) machine.prepare(kernel, {}, {1}, {});
  return machine.status();
}

TEST(Program, KernelInfo) {
  TestMachine machine(std::string(kHeader) + R"(
    .shared .align 16 .b8 used[100]; .shared .align 4 .b8 unused[5000]; .extern .shared .align 16 .b8 dynamic[];
    .visible .entry k(.param .u8 a, .param .u64 b, .param .align 16 .b8 c[20], .param .u16 d) .maxntid 256, 2, 1 .minnctapersm 2 {
      .local .align 8 .b8 depot[40]; .reg .b32 %r; mov.u32 %r, used; mov.u32 %r, dynamic; ret; }
    .visible .entry other() .reqntid 32, 4 { ret; }
    .func helper() { ret; })");
  ASSERT_TRUE(machine.status().ok()) << machine.status().message();
  EXPECT_EQ(machine.program().kernel_names(), (std::vector<std::string>{"k", "other"}));
  const auto kernel = machine.program().kernel("k");
  ASSERT_TRUE(kernel.ok()) << kernel.status().message();
  const KernelInfo& info = (*kernel)->info();
  ASSERT_EQ(info.parameters.size(), 4u);
  EXPECT_EQ(info.parameters[1].offset, 8u);
  EXPECT_EQ(info.parameters[2].offset, 16u);
  EXPECT_EQ(info.parameters[3].offset, 36u);
  EXPECT_EQ(info.parameter_bytes, 38u);
  EXPECT_EQ(info.static_shared_bytes, 100u);
  EXPECT_GE(info.local_bytes_per_thread, 40u);
  EXPECT_EQ(info.max_threads_per_block, 512u);
  EXPECT_EQ(info.min_ctas_per_sm, 2u);
  EXPECT_EQ(info.binary_version, 80u);
  EXPECT_GE(info.registers_per_thread, 16u);
  const auto other = machine.program().kernel("other");
  ASSERT_TRUE(other.ok());
  EXPECT_EQ((*other)->info().required_block[1], 4u);
  EXPECT_EQ(machine.program().kernel("helper").status().code(), Code::kNotFound);
  EXPECT_EQ(machine.program().kernel("absent").status().code(), Code::kNotFound);
}

TEST(Program, Symbols) {
  TestMachine machine(std::string(kHeader) +
                      ".visible .global .align 4 .u32 a[3]; .const .u8 b = 7; .shared .u32 s;\n");
  ASSERT_TRUE(machine.status().ok()) << machine.status().message();
  const auto& symbols = machine.program().symbols();
  ASSERT_EQ(symbols.size(), 2u);
  for (const Symbol& symbol : symbols) EXPECT_EQ(symbol.size, symbol.name == "a" ? 12u : 1u);
}

TEST(Program, RefusesByName) {
  const Status unsupported =
      status_of(".visible .entry k() { .reg .b32 %r<9>; \n wgmma.wait_group.sync.aligned 0; ret; }");
  EXPECT_EQ(unsupported.code(), Code::kUnsupported);
  EXPECT_NE(unsupported.message().find("wgmma.wait_group"), std::string::npos) << unsupported.message();
  EXPECT_NE(unsupported.message().find("line 5"), std::string::npos) << unsupported.message();
  EXPECT_EQ(status_of(".extern .func absent(); .visible .entry k() { call absent, (); ret; }").code(),
            Code::kInvalidData);
  EXPECT_EQ(status_of(".extern .global .u32 absent; .visible .entry k() { ret; }").code(),
            Code::kInvalidData);
  EXPECT_EQ(
      status_of(".visible .entry k() { .reg .b32 %r<3>; add.frobnicate.s32 %r0, %r1, %r2; ret; }").code(),
      Code::kUnsupported);
  // Nothing of a malformed instruction runs either.
  EXPECT_EQ(
      status_of(".visible .entry k() { .reg .b32 %r<3>; .reg .b64 %d; add.s32 %d, %r1, %r2; ret; }").code(),
      Code::kInvalidData);
  EXPECT_EQ(status_of(".visible .entry k() { .reg .b32 %r<3>; add.s32 %r0, %r1; ret; }").code(),
            Code::kInvalidData);
  EXPECT_EQ(status_of(".visible .entry k() { .reg .b32 %r<3>; add.s32 %r0, %r1, %r2, %r2; ret; }").code(),
            Code::kInvalidData);
}

constexpr const char* kPrint = R"(
  .extern .func (.param .b32 r) vprintf(.param .b64 f, .param .b64 a);
  .global .align 1 .b8 format[23] = {116, 104, 114, 101, 97, 100, 32, 37, 100, 58, 32, 37, 46, 50, 102, 32, 37, 115, 10, 0};
  .global .align 1 .b8 word[4] = {97, 98, 99, 0};
  .visible .entry k() {
    .local .align 8 .b8 arguments[24]; .reg .b64 %l, %g, %f, %w; .reg .b32 %i, %r; .reg .f64 %x; .reg .pred %p;
    mov.u32 %i, %tid.x; setp.eq.u32 %p, %i, 1; @%p exit;
    mov.u64 %l, arguments; cvta.local.u64 %g, %l; st.local.u32 [%l], %i; mov.f64 %x, 0d3FF8000000000000; st.local.f64 [%l+8], %x; mov.u64 %w, word; st.local.u64 [%l+16], %w;
    mov.u64 %f, format;
    { .param .b64 pf; .param .b64 pa; .param .b32 pr; st.param.b64 [pf], %f; st.param.b64 [pa], %g; call.uni (pr), vprintf, (pf, pa); ld.param.b32 %r, [pr]; }
    setp.ne.s32 %p, %r, 3; @%p trap;
    ret; }
)";

TEST(DeviceRuntime, Printf) {
  TestMachine machine(std::string(kHeader) + kPrint);
  ASSERT_TRUE(machine.status().ok()) << machine.status().message();
  ASSERT_EQ(machine.run("k", {}, {3}, {}), Outcome::kFinished)
      << machine.status().message() << machine.fault().detail;
  EXPECT_EQ(machine.printed(), "thread 0: 1.50 abc\nthread 2: 1.50 abc\n");
}

constexpr const char* kHeap = R"(
  .extern .func (.param .b64 r) malloc(.param .b64 n);
  .extern .func free(.param .b64 p);
  .visible .entry take(.param .u64 out) {
    .reg .b64 %o, %n, %p; .reg .b32 %i;
    ld.param.u64 %o, [out]; mov.u32 %i, %tid.x; mul.wide.u32 %n, %i, 8; add.u64 %o, %o, %n;
    { .param .b64 r; .param .b64 n; st.param.b64 [n], %n; call.uni (r), malloc, (n); ld.param.b64 %p, [r]; }
    st.global.u64 [%o], %p; ret; }
  .visible .entry give(.param .u64 in) {
    .reg .b64 %o, %n, %p; .reg .b32 %i;
    ld.param.u64 %o, [in]; mov.u32 %i, %tid.x; mul.wide.u32 %n, %i, 8; add.u64 %o, %o, %n; ld.global.u64 %p, [%o];
    { .param .b64 p; st.param.b64 [p], %p; call.uni free, (p); }
    ret; }
  .visible .entry neither() { ret; }
)";

TEST(DeviceRuntime, HeapCallsReachTheDriver) {
  TestMachine machine(std::string(kHeader) + kHeap);
  ASSERT_TRUE(machine.status().ok()) << machine.status().message();
  std::vector<uint64_t> asked, freed;
  machine.services().heap_allocate = [&](uint64_t bytes) {
    asked.push_back(bytes);
    return bytes == 16 ? 0 : 1000 + bytes;
  };
  machine.services().heap_free = [&](uint64_t address) {
    freed.push_back(address);
    return address != 1024;
  };
  auto* pieces = machine.array<uint64_t>(4);
  Parameters parameters;
  parameters.add(pieces);
  ASSERT_EQ(machine.run("take", {}, {3}, parameters), Outcome::kFinished) << machine.fault().detail;
  EXPECT_EQ(asked, (std::vector<uint64_t>{0, 8, 16}));
  EXPECT_EQ(std::vector<uint64_t>(pieces, pieces + 3), (std::vector<uint64_t>{1000, 1008, 0}));
  ASSERT_EQ(machine.run("give", {}, {3}, parameters), Outcome::kFinished) << machine.fault().detail;
  EXPECT_EQ(freed, (std::vector<uint64_t>{1000, 1008}));  // null is not asked about
  pieces[0] = 1024;
  ASSERT_EQ(machine.run("give", {}, {1}, parameters), Outcome::kFaulted);
  EXPECT_EQ(machine.fault().kind, FaultKind::kTrap);
  EXPECT_TRUE((*machine.program().kernel("take"))->info().uses_heap);
  EXPECT_FALSE((*machine.program().kernel("neither"))->info().uses_heap);
}

TEST(Program, KernelsByPointer) {
  TestMachine machine(std::string(kHeader) + R"(
    .func helper() { ret; }
    .visible .entry other() { ret; }
    .visible .entry k(.param .u64 out) { .reg .b64 %o, %f; ld.param.u64 %o, [out]; mov.u64 %f, other;
      st.global.u64 [%o], %f; mov.u64 %f, helper; st.global.u64 [%o+8], %f; ret; })");
  ASSERT_TRUE(machine.status().ok()) << machine.status().message();
  auto* pointers = machine.array<uint64_t>(2);
  Parameters parameters;
  parameters.add(pointers);
  ASSERT_EQ(machine.run("k", {}, {1}, parameters), Outcome::kFinished);
  const auto kernel = *machine.program().kernel("k");
  const auto found = kernel->kernel_at(pointers[0]);
  ASSERT_TRUE(found.ok()) << found.status().message();
  EXPECT_EQ((*found)->info().name, "other");
  EXPECT_FALSE(kernel->kernel_at(pointers[1]).ok());  // a function is no kernel
  EXPECT_FALSE(kernel->kernel_at(pointers[0] + 1).ok());
  EXPECT_FALSE(kernel->kernel_at(0).ok());
}

TEST(DeviceRuntime, Assert) {
  TestMachine machine(std::string(kHeader) + R"(
    .extern .func __assertfail(.param .b64 m, .param .b64 f, .param .b32 l, .param .b64 n, .param .b64 s);
    .global .align 1 .b8 text[2] = {120, 0};
    .visible .entry k() { .reg .b64 %t; mov.u64 %t, text;
      { .param .b64 m; .param .b64 f; .param .b32 l; .param .b64 n; .param .b64 s;
        st.param.b64 [m], %t; st.param.b64 [f], %t; st.param.b32 [l], 42; st.param.b64 [n], %t; st.param.b64 [s], 1; call __assertfail, (m, f, l, n, s); }
      ret; })");
  ASSERT_TRUE(machine.status().ok()) << machine.status().message();
  EXPECT_EQ(machine.run("k", {}, {1}, {}), Outcome::kFaulted);
  EXPECT_EQ(machine.fault().kind, FaultKind::kAssert);
  EXPECT_EQ(machine.assertion(), "x:42: x: block: [0,0,0], thread: [0,0,0] Assertion `x` failed.");
}

constexpr const char* kDecide = R"(
  .extern .func cudaGraphSetConditional(.param .b64 h, .param .b32 v);
  .visible .entry k(.param .u64 handle) { .reg .b64 %h; .reg .b32 %v;
    ld.param.u64 %h, [handle]; mov.u32 %v, %tid.x;
    { .param .b64 h; .param .b32 v; st.param.b64 [h], %h; st.param.b32 [v], %v; call.uni cudaGraphSetConditional, (h, v); }
    ret; }
)";

TEST(DeviceRuntime, SetConditional) {
  TestMachine machine(std::string(kHeader) + kDecide);
  ASSERT_TRUE(machine.status().ok()) << machine.status().message();
  auto* value = machine.array<uint32_t>(2);
  Parameters parameters;
  parameters.add(value);
  ASSERT_EQ(machine.run("k", {}, {3}, parameters), Outcome::kFinished) << machine.fault().detail;
  EXPECT_EQ(value[0], 2u);  // the lanes' order
  EXPECT_EQ(value[1], 0u);
  const uint64_t bad[] = {0, reinterpret_cast<uintptr_t>(value) + 2, reinterpret_cast<uintptr_t>(value) + 8,
                          reinterpret_cast<uintptr_t>(machine.array<uint32_t>(1, false))};
  for (const uint64_t handle : bad) {
    EXPECT_EQ(machine.run("k", {}, {1}, Parameters().add(handle)), Outcome::kFaulted) << handle;
    EXPECT_EQ(machine.fault().kind, FaultKind::kIllegalAddress);
  }
}

std::string format(const std::string& text, std::vector<uint64_t> arguments, int* count = nullptr) {
  size_t next = 0;
  int printed = 0;
  const std::string result = format_device_printf(
      text, [&](size_t) { return next < arguments.size() ? arguments[next++] : 0; },
      [](uint64_t) { return std::string("text"); }, &printed);
  if (count != nullptr) *count = printed;
  return result;
}

TEST(Printf, Conversions) {
  int count = 0;
  EXPECT_EQ(
      format("%5d|%-5d|%05d|%+d|%x|%#X|%o|%c|%%|%u", {42, 42, 42, 42, 255, 255, 8, 'z', 0xffffffff}, &count),
      "   42|42   |00042|+42|ff|0XFF|10|z|%|4294967295");
  EXPECT_EQ(count, 9);
  EXPECT_EQ(format("%d %hhd %hd %lld %llu", {0xffffffff, 0x1ff, 0x18000, ~0ull, ~0ull}),
            "-1 -1 -32768 -1 18446744073709551615");
  EXPECT_EQ(format("[%8s|%-8s|%.2s]", {1, 1, 1}), "[    text|text    |te]");
  EXPECT_EQ(format("%*d|%.*f", {6, 7, 1, 0x4009000000000000ull}), "     7|3.1");
  EXPECT_EQ(
      format("%e %g %a %p", {0x3ff8000000000000ull, 0x4059000000000000ull, 0x3ff8000000000000ull, 0x1234}),
      "1.500000e+00 100 0x1.8p+0 0x1234");
}

TEST(Printf, WhatIsNoConversionStaysAsItIs) {
  EXPECT_EQ(format("50%, done %", {}), "50%, done %");
  EXPECT_EQ(format("%n %y", {}), "%n %y");
  EXPECT_LE(format("%99999999d", {1}).size(), 5000u);
  EXPECT_LE(format("%.99999999f", {0x3ff8000000000000ull}).size(), 5000u);
}

}  // namespace
}  // namespace tessera::softgpu::exec

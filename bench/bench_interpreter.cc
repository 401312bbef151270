// What a warp instruction costs in the interpreter, beside a scalar loop of this compiler doing the same
// work.
//
// "ns/warp_op" is the time per decoded instruction of a warp; "ns/item" compares an interpreted kernel with
// its native twin.
#include <benchmark/benchmark.h>

#include <cassert>
#include <string>
#include <vector>

#include "softgpu/exec/testing/test_machine.h"

namespace tessera::softgpu::exec {
namespace {

constexpr uint32_t kThreads = 256;

std::string entry(const std::string& parameters, const std::string& body) {
  return ".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry k(" + parameters +
         ") {\n.reg .b32 %r<40>; .reg .b64 %rd<20>; .reg .f32 %f<40>; .reg .pred %p<8>;\n" + body +
         "\nret;\n}\n";
}

// Runs blocks 0..grid-1 of a prepared launch over and over.
void run_blocks(benchmark::State& state, const Launch* launch, uint32_t grid, double items) {
  assert(launch != nullptr);
  auto block = BlockRun::create(*launch, {0, 0, 0});
  const std::atomic<bool> stop{false};
  const uint64_t before = block->warp_instructions();
  for (auto _ : state) {
    for (uint32_t i = 0; i < grid; ++i) {
      block->reset({i, 0, 0});
      Outcome outcome;
      do outcome = block->run(stop, 0);
      while (outcome == Outcome::kSpinning);
      if (outcome != Outcome::kFinished) state.SkipWithError(block->fault().detail.c_str());
    }
  }
  const double instructions = static_cast<double>(block->warp_instructions() - before);
  state.counters["ns/warp_op"] =
      benchmark::Counter(instructions * 1e-9, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  state.counters["ns/item"] = benchmark::Counter(items * static_cast<double>(state.iterations()) * 1e-9,
                                                 benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
void count_items(benchmark::State& state, double items) {
  state.counters["ns/item"] = benchmark::Counter(items * static_cast<double>(state.iterations()) * 1e-9,
                                                 benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

// --- arithmetic in registers
// ---------------------------------------------------------------------------------------

constexpr uint32_t kRounds = 1000;
void interpreted_alu(benchmark::State& state) {
  std::string body =
      "mov.u32 %r1, %tid.x; mov.u32 %r2, 0; mov.f32 %f1, 0f3F800000; cvt.rn.f32.u32 %f2, %r1;\nLOOP:\n";
  for (int i = 0; i < 4; ++i) {
    body +=
        "mad.lo.u32 %r1, %r1, 1664525, 1013904223; xor.b32 %r3, %r1, %r2; shr.u32 %r4, %r3, 5; add.u32 %r1, "
        "%r1, %r4;\n"
        "fma.rn.f32 %f1, %f1, %f2, 0f3F000000; mul.f32 %f2, %f2, 0f3F7F0000; add.f32 %f1, %f1, %f2; min.f32 "
        "%f1, %f1, 0f42C80000;\n";
  }
  body += "add.u32 %r2, %r2, 1; setp.lt.u32 %p1, %r2, " + std::to_string(kRounds) +
          "; @%p1 bra LOOP;\n"
          "cvt.rzi.u32.f32 %r5, %f1; add.u32 %r1, %r1, %r5; mov.u32 %r6, %tid.x; ld.param.u64 %rd1, [out]; "
          "mad.wide.u32 %rd2, %r6, 4, %rd1; st.global.u32 [%rd2], %r1;";
  TestMachine machine(entry(".param .u64 out", body));
  run_blocks(state, machine.prepare("k", {}, {kThreads}, Parameters().add(machine.array<uint32_t>(kThreads))),
             1, kThreads * kRounds);
}
BENCHMARK(interpreted_alu);

void native_alu(benchmark::State& state) {
  std::vector<uint32_t> out(kThreads);
  for (auto _ : state) {
    for (uint32_t t = 0; t < kThreads; ++t) {
      uint32_t a = t;
      float f = 1.0f, g = static_cast<float>(t);
      for (uint32_t round = 0; round < kRounds; ++round) {
        for (int i = 0; i < 4; ++i) {
          a = a * 1664525u + 1013904223u;
          a += (a ^ round) >> 5;
          f = f * g + 0.5f;
          g *= 0.99609375f;
          f += g;
          f = f < 100.0f ? f : 100.0f;
        }
      }
      out[t] = a + static_cast<uint32_t>(f);
    }
    benchmark::DoNotOptimize(out.data());
    benchmark::ClobberMemory();
  }
  count_items(state, kThreads * kRounds);
}
BENCHMARK(native_alu);

// --- saxpy: coalesced loads and stores
// -----------------------------------------------------------------------------

constexpr uint32_t kElements = 1 << 16;
void interpreted_saxpy(benchmark::State& state) {
  TestMachine machine(entry(".param .u64 x, .param .u64 y, .param .f32 a, .param .u32 n", R"(
    mov.u32 %r1, %ctaid.x; mov.u32 %r2, %ntid.x; mov.u32 %r3, %tid.x; mad.lo.s32 %r4, %r1, %r2, %r3; ld.param.u32 %r5, [n]; setp.ge.s32 %p1, %r4, %r5; @%p1 bra DONE;
    ld.param.u64 %rd1, [x]; cvta.to.global.u64 %rd2, %rd1; mul.wide.s32 %rd3, %r4, 4; add.s64 %rd4, %rd2, %rd3; ld.global.f32 %f1, [%rd4];
    ld.param.u64 %rd5, [y]; cvta.to.global.u64 %rd6, %rd5; add.s64 %rd7, %rd6, %rd3; ld.global.f32 %f2, [%rd7];
    ld.param.f32 %f3, [a]; fma.rn.f32 %f4, %f1, %f3, %f2; st.global.f32 [%rd7], %f4;
  DONE:)"));
  auto* x = machine.array<float>(kElements);
  auto* y = machine.array<float>(kElements);
  run_blocks(state,
             machine.prepare("k", {kElements / kThreads}, {kThreads},
                             Parameters().add(x).add(y).add(1.5f).add(kElements)),
             kElements / kThreads, kElements);
}
BENCHMARK(interpreted_saxpy);

void native_saxpy(benchmark::State& state) {
  std::vector<float> x(kElements), y(kElements);
  for (auto _ : state) {
    for (uint32_t i = 0; i < kElements; ++i) y[i] = x[i] * 1.5f + y[i];
    benchmark::DoNotOptimize(y.data());
    benchmark::ClobberMemory();
  }
  count_items(state, kElements);
}
BENCHMARK(native_saxpy);

// --- mandelbrot: divergence
// ----------------------------------------------------------------------------------------

constexpr uint32_t kSide = 64;
constexpr uint32_t kDepth = 256;
void interpreted_mandelbrot(benchmark::State& state) {
  TestMachine machine(entry(".param .u64 out", R"(
    mov.u32 %r1, %ctaid.x; mov.u32 %r2, %tid.x; mad.lo.u32 %r3, %r1, 256, %r2; and.b32 %r4, %r3, 63; shr.u32 %r5, %r3, 6;
    cvt.rn.f32.u32 %f1, %r4; cvt.rn.f32.u32 %f2, %r5; fma.rn.f32 %f1, %f1, 0f3D400000, 0fC0100000; fma.rn.f32 %f2, %f2, 0f3D200000, 0fBFA00000;
    mov.f32 %f3, 0f00000000; mov.f32 %f4, 0f00000000; mov.u32 %r6, 0;
  LOOP:
    mul.f32 %f5, %f3, %f3; mul.f32 %f6, %f4, %f4; add.f32 %f7, %f5, %f6; setp.gt.f32 %p1, %f7, 0f40800000; @%p1 bra DONE;
    sub.f32 %f8, %f5, %f6; mul.f32 %f9, %f3, %f4; add.f32 %f3, %f8, %f1; fma.rn.f32 %f4, %f9, 0f40000000, %f2;
    add.u32 %r6, %r6, 1; setp.lt.u32 %p2, %r6, 256; @%p2 bra LOOP;
  DONE:
    ld.param.u64 %rd1, [out]; mad.wide.u32 %rd2, %r3, 4, %rd1; st.global.u32 [%rd2], %r6;)"));
  auto* out = machine.array<uint32_t>(kSide * kSide);
  run_blocks(state, machine.prepare("k", {kSide * kSide / kThreads}, {kThreads}, Parameters().add(out)),
             kSide * kSide / kThreads, kSide * kSide);
}
BENCHMARK(interpreted_mandelbrot);

void native_mandelbrot(benchmark::State& state) {
  std::vector<uint32_t> out(kSide * kSide);
  for (auto _ : state) {
    for (uint32_t i = 0; i < kSide * kSide; ++i) {
      const float cx = static_cast<float>(i % kSide) * 0.046875f - 2.25f;
      const float cy = static_cast<float>(i / kSide) * 0.0390625f - 1.25f;
      float x = 0, y = 0;
      uint32_t n = 0;
      for (; n < kDepth; ++n) {
        const float xx = x * x, yy = y * y;
        if (xx + yy > 4.0f) break;
        y = x * y * 2.0f + cy;
        x = xx - yy + cx;
      }
      out[i] = n;
    }
    benchmark::DoNotOptimize(out.data());
    benchmark::ClobberMemory();
  }
  count_items(state, kSide * kSide);
}
BENCHMARK(native_mandelbrot);

// --- block reduction: shared memory and barriers
// -------------------------------------------------------------------

void interpreted_reduction(benchmark::State& state) {
  std::string body = R"(
    mov.u32 %r1, %ctaid.x; mov.u32 %r2, %tid.x; mad.lo.u32 %r3, %r1, 256, %r2; ld.param.u64 %rd1, [x]; mad.wide.u32 %rd2, %r3, 4, %rd1; ld.global.f32 %f1, [%rd2];
    mov.u32 %r4, tile; mad.lo.u32 %r5, %r2, 4, %r4; st.shared.f32 [%r5], %f1; bar.sync 0;)";
  for (uint32_t half = 128; half > 0; half /= 2) {
    const std::string s = std::to_string(half);
    body += "setp.ge.u32 %p1, %r2, " + s + "; @%p1 bra L" + s + "; ld.shared.f32 %f2, [%r5+" +
            std::to_string(half * 4) +
            "]; ld.shared.f32 %f3, [%r5]; add.f32 %f3, %f3, %f2; st.shared.f32 [%r5], %f3;\nL" + s +
            ": bar.sync 0;\n";
  }
  body +=
      "setp.ne.u32 %p1, %r2, 0; @%p1 exit; ld.shared.f32 %f4, [tile]; ld.param.u64 %rd3, [out]; mad.wide.u32 "
      "%rd4, %r1, 4, %rd3; st.global.f32 [%rd4], %f4;";
  std::string text = entry(".param .u64 x, .param .u64 out", body);
  text.insert(text.find(".visible"), ".shared .align 4 .b8 tile[1024];\n");
  TestMachine machine(text);
  auto* x = machine.array<float>(kElements);
  auto* out = machine.array<float>(kElements / kThreads);
  run_blocks(state, machine.prepare("k", {kElements / kThreads}, {kThreads}, Parameters().add(x).add(out)),
             kElements / kThreads, kElements);
}
BENCHMARK(interpreted_reduction);

void native_reduction(benchmark::State& state) {
  std::vector<float> x(kElements), out(kElements / kThreads);
  for (auto _ : state) {
    for (uint32_t block = 0; block < kElements / kThreads; ++block) {
      float sum = 0;
      for (uint32_t i = 0; i < kThreads; ++i) sum += x[block * kThreads + i];
      out[block] = sum;
    }
    benchmark::DoNotOptimize(out.data());
    benchmark::ClobberMemory();
  }
  count_items(state, kElements);
}
BENCHMARK(native_reduction);

// --- matrix product in 16 x 16 tiles
// -------------------------------------------------------------------------------

constexpr uint32_t kMatrix = 64;
void interpreted_matmul(benchmark::State& state) {
  std::string body = R"(
    mov.u32 %r1, %tid.x; and.b32 %r2, %r1, 15; shr.u32 %r3, %r1, 4; mov.u32 %r4, %ctaid.x; and.b32 %r5, %r4, 3; shr.u32 %r6, %r4, 2;
    mad.lo.u32 %r7, %r6, 16, %r3; mad.lo.u32 %r8, %r5, 16, %r2;
    ld.param.u64 %rd1, [a]; ld.param.u64 %rd2, [b]; ld.param.u64 %rd3, [c];
    mad.lo.u32 %r9, %r7, 64, %r2; mad.wide.u32 %rd4, %r9, 4, %rd1; mad.lo.u32 %r10, %r3, 64, %r8; mad.wide.u32 %rd5, %r10, 4, %rd2;
    mov.u32 %r11, sa; mov.u32 %r12, sb; mad.lo.u32 %r13, %r1, 4, %r11; mad.lo.u32 %r14, %r1, 4, %r12; mad.lo.u32 %r15, %r3, 64, %r11; mad.lo.u32 %r16, %r2, 4, %r12;
    mov.f32 %f1, 0f00000000; mov.u32 %r17, 0;
  LOOP:
    ld.global.f32 %f2, [%rd4]; st.shared.f32 [%r13], %f2; ld.global.f32 %f3, [%rd5]; st.shared.f32 [%r14], %f3; bar.sync 0;
)";
  for (int k = 0; k < 16; ++k) {
    body += "ld.shared.f32 %f4, [%r15+" + std::to_string(4 * k) + "]; ld.shared.f32 %f5, [%r16+" +
            std::to_string(64 * k) + "]; fma.rn.f32 %f1, %f4, %f5, %f1;\n";
  }
  body += R"(
    bar.sync 0; add.u64 %rd4, %rd4, 64; add.u64 %rd5, %rd5, 4096; add.u32 %r17, %r17, 1; setp.lt.u32 %p1, %r17, 4; @%p1 bra LOOP;
    mad.lo.u32 %r18, %r7, 64, %r8; mad.wide.u32 %rd6, %r18, 4, %rd3; st.global.f32 [%rd6], %f1;)";
  std::string text = entry(".param .u64 a, .param .u64 b, .param .u64 c", body);
  text.insert(text.find(".visible"), ".shared .align 4 .b8 sa[1024];\n.shared .align 4 .b8 sb[1024];\n");
  TestMachine machine(text);
  auto* a = machine.array<float>(kMatrix * kMatrix);
  auto* b = machine.array<float>(kMatrix * kMatrix);
  auto* c = machine.array<float>(kMatrix * kMatrix);
  run_blocks(state, machine.prepare("k", {16}, {kThreads}, Parameters().add(a).add(b).add(c)), 16,
             kMatrix * kMatrix * kMatrix);
}
BENCHMARK(interpreted_matmul);

void native_matmul(benchmark::State& state) {
  std::vector<float> a(kMatrix * kMatrix), b(kMatrix * kMatrix), c(kMatrix * kMatrix);
  for (auto _ : state) {
    for (uint32_t row = 0; row < kMatrix; ++row) {
      for (uint32_t column = 0; column < kMatrix; ++column) {
        float sum = 0;
        for (uint32_t k = 0; k < kMatrix; ++k) sum += a[row * kMatrix + k] * b[k * kMatrix + column];
        c[row * kMatrix + column] = sum;
      }
    }
    benchmark::DoNotOptimize(c.data());
    benchmark::ClobberMemory();
  }
  count_items(state, kMatrix * kMatrix * kMatrix);
}
BENCHMARK(native_matmul);

}  // namespace
}  // namespace tessera::softgpu::exec

BENCHMARK_MAIN();

// ldmatrix, stmatrix and movmatrix turn tiles; wmma.load and wmma.store agree about their fragments; shapes
// and fragments that do not exist are refused when the kernel is decoded.
#include <gtest/gtest.h>

#include <bit>

#include "softgpu/exec/testing/test_machine.h"

namespace tessera::softgpu::exec {
namespace {

// Runs `body` for one warp over `words` of memory at %p, %i being the lane.
std::vector<uint32_t> run_warp(const std::string& body, std::vector<uint32_t> words) {
  TestMachine machine(
      ".version 8.4\n.target sm_90\n.address_size 64\n.visible .entry k(.param .u64 p) {\n"
      " .reg .b32 %i, %n, %s, %r<40>; .reg .b64 %p, %q; .reg .f32 %f<40>; .reg .pred %c;\n"
      " .shared .align 128 .b8 tile[4096];\n ld.param.u64 %p, [p]; mov.u32 %i, %laneid;\n" +
      body + "\n ret;\n}\n");
  EXPECT_TRUE(machine.status().ok()) << machine.status().message();
  if (!machine.status().ok()) return words;
  auto* memory = machine.array<uint32_t>(words.size());
  std::copy(words.begin(), words.end(), memory);
  EXPECT_EQ(machine.run("k", {}, {32}, Parameters().add(memory)), Outcome::kFinished)
      << machine.status().message() << machine.fault().detail;
  std::copy_n(memory, words.size(), words.begin());
  return words;
}

// Words 0..31 hold rows of an 8x8 tile of 16-bit elements numbered row by row.
std::vector<uint32_t> numbered_tile() {
  std::vector<uint32_t> words(64);
  for (uint32_t i = 0; i < 32; ++i) words[i] = 2 * i | (2 * i + 1) << 16;
  return words;
}

TEST(MatrixMemory, TilesTransposeInEveryWay) {
  const std::string load = "mul.lo.u32 %n, %i, 16; cvt.u64.u32 %q, %n; add.u64 %q, %q, %p; ";
  const std::string store = " mad.wide.u32 %q, %i, 4, %p; st.global.b32 [%q+128], %r0;";
  const auto plain =
      run_warp(load + "ldmatrix.sync.aligned.m8n8.x1.b16 {%r0}, [%q];" + store, numbered_tile());
  for (uint32_t i = 0; i < 32; ++i) EXPECT_EQ(plain[32 + i], plain[i]);
  const std::string to_shared =
      "mad.wide.u32 %q, %i, 4, %p; ld.global.b32 %r1, [%q]; mov.u32 %s, tile; mad.lo.u32 %s, %i, 16, %s; ";
  for (const std::string& body :
       {load + "ldmatrix.sync.aligned.m8n8.x1.trans.b16 {%r0}, [%q];",
        to_shared + "movmatrix.sync.aligned.m8n8.trans.b16 %r0, %r1;",
        to_shared +
            "stmatrix.sync.aligned.m8n8.x1.trans.shared.b16 [%s], {%r1}; bar.warp.sync -1; mov.u32 %s, tile; "
            "mad.lo.u32 %s, %i, 4, %s; ld.shared.b32 %r0, [%s];"}) {
    const auto turned = run_warp(body + store, numbered_tile());
    for (uint32_t i = 0; i < 32; ++i) {
      const uint32_t row = i / 4, column = i % 4 * 2;
      EXPECT_EQ(turned[32 + i], (column * 8 + row) | ((column + 1) * 8 + row) << 16) << body;
    }
  }
}

TEST(MatrixMemory, WarpFragmentsKeepWhatTheyLoad) {
  // c is loaded by rows and stored by columns, with strides: a transposition, whatever the layout inside.
  std::vector<uint32_t> words(2048);
  for (uint32_t i = 0; i < 1024; ++i) words[i] = std::bit_cast<uint32_t>(static_cast<float>(i));
  const std::string list = "{%f0, %f1, %f2, %f3, %f4, %f5, %f6, %f7}";
  const auto out = run_warp("wmma.load.c.sync.aligned.row.m16n16k16.global.f32 " + list +
                                ", [%p], 20; "
                                "wmma.store.d.sync.aligned.col.m16n16k16.f32 [%p+4096], " +
                                list + ", 24;",
                            words);
  for (uint32_t row = 0; row < 16; ++row) {
    for (uint32_t column = 0; column < 16; ++column)
      EXPECT_EQ(std::bit_cast<float>(out[1024 + column * 24 + row]), static_cast<float>(row * 20 + column));
  }
}

TEST(Matrix, RefusesWhatDoesNotExist) {
  const auto status = [](const std::string& instruction) {
    TestMachine machine(
        ".version 8.4\n.target sm_90\n.address_size 64\n.visible .entry k() {\n .reg .b32 %r<40>; .reg .f32 "
        "%f<8>;\n" +
        instruction + "\n ret;\n}\n");
    EXPECT_EQ(machine.prepare("k", {}, {32}, {}), nullptr) << instruction;
    return machine.status().code();
  };
  EXPECT_EQ(status("mma.sync.aligned.m16n8k12.row.col.f32.f16.f16.f32 "
                   "{%f0,%f1,%f2,%f3},{%r0,%r1},{%r2},{%f0,%f1,%f2,%f3};"),
            Code::kUnsupported);
  EXPECT_EQ(status("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 "
                   "{%f0,%f1,%f2,%f3},{%r0},{%r2},{%f0,%f1,%f2,%f3};"),
            Code::kInvalidData);
}

}  // namespace
}  // namespace tessera::softgpu::exec

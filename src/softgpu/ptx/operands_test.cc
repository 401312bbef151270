#include "softgpu/ptx/test_util.h"

namespace tessera::softgpu::ptx {
namespace {

constexpr const char* kDeclarations =
    ".reg .b32 %r<4>; .reg .b64 %rd<4>; .reg .pred p, q; .reg .f32 %f<4>; .reg .v4 .f32 %v; .shared .b8 "
    "s[64];\n";

Instruction parse_instruction(const std::string& text) {
  Function f = parse_body(kDeclarations + text);
  return f.body.empty() ? Instruction{} : std::move(f.body[0]);
}
std::string instruction_error(const std::string& text) { return body_error(kDeclarations + text); }

TEST(Operands, OpcodeAndModifiers) {
  const Instruction load = parse_instruction("ld.global.L1::evict_last.L2::128B.v2.f32 {%f0, %f1}, [%rd1];");
  EXPECT_EQ(load.opcode, "ld");
  EXPECT_EQ(load.modifiers, (std::vector<std::string>{"global", "L1::evict_last", "L2::128B", "v2", "f32"}));
  EXPECT_EQ(load.line, 8u);
  EXPECT_TRUE(parse_instruction("exit;").operands.empty());
}

TEST(Operands, Immediates) {
  const Instruction i = parse_instruction("mov.b32 %r0, -8;");
  EXPECT_EQ(i.operands[1].kind, OperandKind::kImmediate);
  EXPECT_EQ(static_cast<int64_t>(i.operands[1].bits), -8);
  EXPECT_EQ(i.operands[1].literal, Literal::kInteger);
  const Instruction f = parse_instruction("fma.rn.f32 %f0, 0f3F800000, 1.5, 0d3FF0000000000000;");
  EXPECT_EQ(f.operands[1].literal, Literal::kF32Bits);
  EXPECT_EQ(f.operands[1].bits, 0x3F800000u);
  EXPECT_EQ(f.operands[2].literal, Literal::kF64);
  EXPECT_EQ(f.operands[3].bits, 0x3FF0000000000000u);
  EXPECT_EQ(parse_instruction("mov.b32 %r0, (1 << 4) | 0x3;").operands[1].bits, 19u);
  EXPECT_EQ(parse_instruction("mov.b32 %r0, !0;").operands[1].bits, 1u);
}

TEST(Operands, Addresses) {
  const auto address = [](const std::string& text) {
    Operand operand = parse_instruction("ld.b32 %r0, [" + text + "];").operands[1];
    EXPECT_EQ(operand.kind, OperandKind::kAddress) << text;
    return operand;
  };
  EXPECT_EQ(address("%rd1").reg, 5);
  EXPECT_EQ(address("%rd1").offset, 0);
  EXPECT_EQ(address("%rd1+16").offset, 16);
  EXPECT_EQ(address("%rd1+-8").offset, -8);
  EXPECT_EQ(address("%rd1-8").offset, -8);
  EXPECT_EQ(address("%rd1+4*2+1").offset, 9);
  EXPECT_EQ(address("s").symbol, "s");
  EXPECT_EQ(address("s+8").offset, 8);
  EXPECT_EQ(address("0x40").offset, 64);
  EXPECT_EQ(address("argument+4").symbol, "argument");
  EXPECT_EQ(address("64").reg, -1);
  EXPECT_TRUE(address("64").symbol.empty());
}

TEST(Operands, AddressesWithCoordinates) {
  const Instruction tex = parse_instruction("tex.2d.v4.f32.f32 {%f0, %f1, %f2, _}, [%rd1, {%f2, %f3}];");
  EXPECT_EQ(tex.operands[0].elements[3].kind, OperandKind::kSink);
  ASSERT_EQ(tex.operands[1].elements.size(), 1u);
  EXPECT_EQ(tex.operands[1].elements[0].kind, OperandKind::kVector);
  EXPECT_EQ(tex.operands[1].elements[0].elements.size(), 2u);
  const Instruction bulk = parse_instruction(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%r0], [%rd1, {%r1, "
      "%r2}], [%r3];");
  EXPECT_EQ(bulk.operands.size(), 3u);
  EXPECT_EQ(bulk.modifiers[4], "shared::cluster");
  EXPECT_EQ(bulk.modifiers[6], "mbarrier::complete_tx::bytes");
}

TEST(Operands, Symbols) {
  const Instruction move = parse_instruction("mov.u64 %rd0, s+8;");
  EXPECT_EQ(move.operands[1].kind, OperandKind::kSymbol);
  EXPECT_EQ(move.operands[1].symbol, "s");
  EXPECT_EQ(move.operands[1].offset, 8);
  EXPECT_EQ(parse_instruction("mov.u64 %rd0, f;").operands[1].symbol, "f");
}

TEST(Operands, PairsAndPredicates) {
  const Instruction setp = parse_instruction("setp.lt.and.s32 p|q, %r0, %r1, !p;");
  EXPECT_EQ(setp.paired_destinations, 1);
  ASSERT_EQ(setp.operands.size(), 5u);
  EXPECT_EQ(setp.operands[1].kind, OperandKind::kRegister);
  EXPECT_TRUE(setp.operands[4].negated);
  EXPECT_FALSE(setp.operands[3].negated);
  EXPECT_EQ(parse_instruction("elect.sync _|p, -1;").operands[0].kind, OperandKind::kSink);
  EXPECT_EQ(parse_instruction("shfl.sync.up.b32 %r0|p, %r1, 1, 0, -1;").operands.size(), 6u);
}

TEST(Operands, SpecialRegisters) {
  for (const std::string name :
       {"%tid.x", "%ntid.y", "%ctaid.z", "%nctaid.w", "%laneid", "%clock64", "%envreg31", "%pm7_64",
        "%lanemask_lt", "%cluster_ctarank", "%is_explicit_cluster", "WARP_SZ", "%reserved_smem_offset_1",
        "%current_graph_exec", "%globaltimer_hi"}) {
    const Instruction move = parse_instruction("mov.u32 %r0, " + name + ";");
    EXPECT_EQ(move.operands[1].kind, OperandKind::kSpecial) << name;
    EXPECT_EQ(move.operands[1].symbol, name);
  }
  EXPECT_EQ(parse_instruction("mov.u32 %r0, %tid.r;").operands[1].symbol, "%tid.x");
  EXPECT_EQ(instruction_error("mov.u32 %r0, %laneid.x;"),
            "ptx:6: this register has no such component near '.x'");
  EXPECT_EQ(instruction_error("mov.u32 %r0, %envreg32;"), "ptx:6: '%envreg32' is not declared");
  EXPECT_EQ(parse_body(".reg .u32 %laneid; mov.u32 %laneid, 1;").body[0].operands[0].kind,
            OperandKind::kRegister);
}

TEST(Operands, VectorComponents) {
  const Instruction move = parse_instruction("mov.f32 %f0, %v.w;");
  EXPECT_EQ(move.operands[1].component, 3);
  EXPECT_EQ(parse_instruction("mov.v4.f32 %v, {%f0, %f1, 1.0, %f3};").operands[0].component, -1);
  EXPECT_EQ(instruction_error("mov.f32 %f0, %f1.x;"), "ptx:6: this register has no such component near '.x'");
  EXPECT_EQ(instruction_error("vadd.s32 %r0, %r1.b0, 1;"),
            "ptx:6: sub-word selectors are not supported near '.b0'");
}

TEST(Operands, Errors) {
  EXPECT_EQ(instruction_error("mov.b32 %r0, nothing;"), "ptx:6: 'nothing' is not declared");
  EXPECT_EQ(instruction_error("mov.b32 %r0, ;"), "ptx:6: expected an operand near ';'");
  EXPECT_EQ(instruction_error("mov.b32 %r0, !%tid.x;"), "ptx:6: expected a register after '!' near ';'");
  EXPECT_EQ(instruction_error("ld.b32 %r0, [%tid];"), "ptx:6: an address begins with a register or a symbol");
  EXPECT_EQ(instruction_error("ld.b32 %r0, [1.5];"), "ptx:6: an address is an integer near ']'");
  EXPECT_EQ(instruction_error("ld.b32 %r0, [%rd1;"), "ptx:6: expected ']' near ';'");
  EXPECT_EQ(instruction_error("bra 5;"), "ptx:6: expected a label near '5'");
}

}  // namespace
}  // namespace tessera::softgpu::ptx

// Scopes, labels and calls.
#include "softgpu/ptx/body.h"

#include "softgpu/ptx/test_util.h"

namespace tessera::softgpu::ptx {
namespace {

TEST(Body, Registers) {
  const Function f =
      parse_body(".reg .b32 %r<3>, single;\n.reg .pred %p<1>;\n.reg .v4 .f32 %v;\nmov.b32 %r2, single;");
  ASSERT_EQ(f.registers.size(), 6u);
  EXPECT_EQ(f.registers[2].name, "%r2");
  EXPECT_EQ(f.registers[3].name, "single");
  EXPECT_EQ(f.registers[4].type, Type::kPred);
  EXPECT_EQ(f.registers[5].lanes, 4u);
  EXPECT_EQ(f.body[0].operands[0].reg, 2);
  EXPECT_EQ(f.body[0].operands[1].reg, 3);
}

TEST(Body, RangeNamesAreExact) {
  EXPECT_EQ(body_error(".reg .b32 %r<3>;\nmov.b32 %r0, %r3;"), "ptx:6: '%r3' is not declared");
  EXPECT_EQ(body_error(".reg .b32 %r<3>;\nmov.b32 %r0, %r01;"), "ptx:6: '%r01' is not declared");
  const Function f = parse_body(".reg .b32 x1<3>;\nmov.b32 x12, x10;");
  EXPECT_EQ(f.body[0].operands[0].reg, 2);
  EXPECT_EQ(f.body[0].operands[1].reg, 0);
}

TEST(Body, InnerScopesShadow) {
  const Function f = parse_body(R"(
    .reg .b32 a, %r<4>;
    mov.b32 a, 0;
    { .reg .b32 a; .reg .b32 %r<2>; mov.b32 a, %r1; mov.b32 a, %r3; { .reg .b64 %r1; mov.b64 %r1, 0; } }
    mov.b32 a, %r1;)");
  EXPECT_EQ(f.body[0].operands[0].reg, 0);
  EXPECT_EQ(f.body[1].operands[0].reg, 5);
  EXPECT_EQ(f.body[1].operands[1].reg, 7);
  EXPECT_EQ(f.body[2].operands[1].reg, 4) << "beyond the inner range the outer one is seen";
  EXPECT_EQ(f.body[3].operands[0].reg, 8);
  EXPECT_EQ(f.body[4].operands[0].reg, 0);
  EXPECT_EQ(f.body[4].operands[1].reg, 2);
}

TEST(Body, VariablesGetUniqueNames) {
  const Function f = parse_body(R"(
    .reg .b64 d;
    .shared .b32 s;
    { .param .b32 a; st.param.b32 [a], 1; }
    { .param .b64 a; st.param.b64 [a+0], 2; }
    .local .b8 g[16];
    mov.u64 d, g; mov.u64 d, s;)",
                                ".global .u32 g;");
  ASSERT_EQ(f.variables.size(), 4u);
  EXPECT_EQ(f.variables[1].name, "a");
  EXPECT_EQ(f.variables[2].name, "a@1");
  EXPECT_EQ(f.variables[3].name, "g@1");
  EXPECT_EQ(f.body[1].operands[0].symbol, "a@1");
  EXPECT_EQ(f.body[2].operands[1].symbol, "g@1");
  EXPECT_EQ(f.body[3].operands[1].symbol, "s");
}

TEST(Body, GlobalVariablesInAFunctionBelongToTheModule) {
  const Module module =
      parse_module(".global .u32 t = 1;\n.entry k() { .reg .u32 r; .global .u32 t = 2; ld.u32 r, [t]; }");
  ASSERT_EQ(module.variables.size(), 2u);
  EXPECT_EQ(module.variables[1].name, "t@1");
  EXPECT_EQ(module.functions[0].body[0].operands[1].symbol, "t@1");
}

TEST(Body, LabelsAndBranches) {
  const Function f = parse_body(R"(
    .reg .pred p;
    start:
    @p bra end;
    @!p bra.uni start;
    end:)");
  EXPECT_EQ(f.body[0].guard, 0);
  EXPECT_FALSE(f.body[0].guard_negated);
  EXPECT_TRUE(f.body[1].guard_negated);
  EXPECT_EQ(f.body[0].operands[0].kind, OperandKind::kLabel);
  EXPECT_EQ(f.body[0].operands[0].target, 2) << "the end of the function";
  EXPECT_EQ(f.body[1].operands[0].target, 0);
  EXPECT_EQ(f.body[1].modifiers, (std::vector<std::string>{"uni"}));
}

TEST(Body, LabelsAreScoped) {
  const Function f = parse_body("{ L: bra L; bra out; }\n{ bra L; L: ret; }\nout: ret;");
  EXPECT_EQ(f.body[0].operands[0].target, 0);
  EXPECT_EQ(f.body[1].operands[0].target, 4);
  EXPECT_EQ(f.body[2].operands[0].target, 3);
  EXPECT_EQ(body_error("{ L: ret; }\nbra L;"), "ptx:6: 'L' is not a label here");
  EXPECT_EQ(body_error("L: ret;\nL: ret;"), "ptx:6: label 'L' stands twice in one scope");
}

TEST(Body, IndexedBranches) {
  const Function f = parse_body(R"(
    .reg .u32 i;
    list: .branchtargets
      A, B, A;
    brx.idx i, list;
    brx.idx.uni i, later;
    A: ret;
    B: ret;
    later: .branchtargets B;)");
  ASSERT_EQ(f.branch_targets.size(), 2u);
  EXPECT_EQ(f.branch_targets[0], (std::vector<int32_t>{2, 3, 2}));
  EXPECT_EQ(f.body[0].operands[1].kind, OperandKind::kLabel);
  EXPECT_EQ(f.body[0].operands[1].target, 0);
  EXPECT_EQ(f.body[1].operands[1].target, 1);
  EXPECT_EQ(body_error(".reg .u32 i;\nA: ret;\nbrx.idx i, A;"),
            "ptx:7: 'A' is not a .branchtargets list here");
}

TEST(Body, DirectCalls) {
  const Function f = parse_body(R"(
    .reg .b32 r<4>;
    { .param .b32 param0; .param .b32 retval0;
      call.uni (retval0),
      g,
      (param0, 5, r1); }
    call g;
    call h, (r0);
    call (r0), g, (r1);
    call (_), g, ();)",
                                ".func (.param .b32 r) g (.param .b32 x);\n.extern .func h (.param .b32 x);");
  EXPECT_EQ(f.body[0].opcode, "call");
  EXPECT_EQ(f.body[0].operands[0].symbol, "g");
  EXPECT_EQ(f.body[0].call_results[0].symbol, "retval0");
  ASSERT_EQ(f.body[0].call_arguments.size(), 3u);
  EXPECT_EQ(f.body[0].call_arguments[0].symbol, "param0");
  EXPECT_EQ(f.body[0].call_arguments[1].bits, 5u);
  EXPECT_EQ(f.body[0].call_arguments[2].kind, OperandKind::kRegister);
  EXPECT_TRUE(f.body[1].call_arguments.empty());
  EXPECT_EQ(f.body[2].operands[0].symbol, "h");
  EXPECT_EQ(f.body[3].call_results[0].reg, 0);
  EXPECT_EQ(f.body[4].call_results[0].kind, OperandKind::kSink);
}

TEST(Body, IndirectCalls) {
  const Function f =
      parse_body(R"(
    .reg .b64 d; .reg .b32 r;
    prototype_0 : .callprototype (.param .b32 _) _ (.param .b64 _, .param .align 4 .b8 _[12]) .noreturn;
    targets: .calltargets g, h;
    none: .callprototype _;
    call (r), d, (d, r), prototype_0;
    call (r), d, (r), targets;
    call d, none;)",
                 ".func (.param .b32 r) g (.param .b32 x);\n.func (.param .b32 r) h (.param .b32 x);");
  ASSERT_EQ(f.prototypes.size(), 3u);
  EXPECT_EQ(f.prototypes[0].results.size(), 1u);
  EXPECT_EQ(f.prototypes[0].parameters[1].size, 12u);
  EXPECT_EQ(f.prototypes[1].parameters.size(), 1u);
  EXPECT_TRUE(f.prototypes[2].parameters.empty());
  EXPECT_EQ(f.body[0].prototype, 0);
  EXPECT_EQ(f.body[1].prototype, 1);
  EXPECT_EQ(f.body[2].prototype, 2);
  EXPECT_EQ(f.body[0].operands[0].kind, OperandKind::kRegister);
}

TEST(Body, FunctionsMayCallThemselves) {
  const Module module = parse_module(".func g() { call g; ret; }");
  EXPECT_EQ(module.functions[0].body[0].operands[0].symbol, "g");
}

TEST(Body, Errors) {
  EXPECT_EQ(body_error("call nowhere;"), "ptx:5: 'nowhere' is not declared");
  EXPECT_EQ(body_error("call argument;"), "ptx:5: 'argument' is not a function");
  EXPECT_EQ(body_error("ret"), "ptx:6: expected an operand near '}'");
  EXPECT_EQ(body_error("\n@argument ret;"), "ptx:6: a guard must be a predicate register");
  EXPECT_EQ(body_error(".reg .b32 a;\n.reg .b32 a;"), "ptx:6: 'a' is declared twice in one scope");
  EXPECT_EQ(body_error("+"), "ptx:5: expected an instruction near '+'");
  EXPECT_EQ(body_error("add.u32 \"text\";"), "ptx:5: expected an operand near 'text'");
  EXPECT_EQ(body_error(".u32 x;"), "ptx:5: expected a state space near 'x'");
  EXPECT_EQ(body_error(".pragma 5;"), "ptx:5: expected a string near '5'");
}

TEST(Body, Bounds) {
  EXPECT_EQ(body_error(".reg .b32 %r<1048577>;"),
            "ptx:5: a number of registers must be an integer from 0 to 1048576");
  EXPECT_EQ(body_error(".reg .b32 %r<1048576>;\n.reg .b32 x;"),
            "ptx:6: 'f' declares more than 1048576 registers");
  EXPECT_EQ(body_error(std::string(100, '{')), "ptx:5: scopes nested too deeply near '{'");
  EXPECT_EQ(body_error("add " + std::string(100, '{')), "ptx:5: operands nested too deeply near '{'");
  EXPECT_EQ(body_error("add " + std::string(100, '[')), "ptx:5: expected an operand near '['");
  std::string many;
  for (int i = 0; i < 100; ++i) many += ".entry k" + std::to_string(i) + "() { .reg .b32 %r<1000000>; }\n";
  EXPECT_NE(parse_error(many).find("too much memory"), std::string::npos);
}

}  // namespace
}  // namespace tessera::softgpu::ptx

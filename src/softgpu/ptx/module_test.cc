// Module-level directives: headers, functions and what surrounds them.
#include "softgpu/ptx/test_util.h"

namespace tessera::softgpu::ptx {
namespace {

Code code_of(const std::string& text) {
  const Result<Module> module = parse(text);
  return module.ok() ? Code::kOk : module.status().code();
}

TEST(Module, Header) {
  const Result<Module> module =
      parse("// made by hand\n.version 7.8 /* a\ncomment */ .target sm_86, texmode_independent, debug\n");
  ASSERT_TRUE(module.ok()) << module.status().message();
  EXPECT_EQ(module->version_major, 7u);
  EXPECT_EQ(module->version_minor, 8u);
  EXPECT_EQ(module->target, "sm_86");
  EXPECT_EQ(module->address_size, 64u);
}

TEST(Module, HeaderErrors) {
  EXPECT_EQ(code_of(""), Code::kInvalidData);
  EXPECT_EQ(code_of(".target sm_75"), Code::kInvalidData);
  EXPECT_EQ(code_of(".version 8"), Code::kInvalidData);
  EXPECT_EQ(code_of(".version 9.0"), Code::kOk);
  EXPECT_EQ(code_of(".version 9.1"), Code::kUnsupported);
  EXPECT_EQ(code_of(".version 8.0 .address_size 32"), Code::kUnsupported);
  EXPECT_EQ(parse_error("nonsense"), "ptx:4: expected a directive near 'nonsense'");
  EXPECT_EQ(parse_error("\n\n.nonsense"), "ptx:6: unknown qualifier in a declaration near '.nonsense'");
  EXPECT_EQ(parse_error("/* no end"), "ptx:4: expected a directive near '/*'");
  EXPECT_EQ(parse_error("\x01"), "ptx:4: expected a directive near '?'");
}

TEST(Module, EntryWithParametersAndDirectives) {
  const Module module = parse_module(R"(
.visible .entry kernel(
  .param .u64 .ptr .global .align 16 a,
  .param .align 8 .b8 s[24],
  .param .f32 x
)
.maxntid 256, 2
.minnctapersm 3
.maxnreg 64
.reqnctapercluster 2, 1, 1
.explicitcluster .maxclusterrank 8
.pragma "nounroll";
{ ret; })");
  ASSERT_EQ(module.functions.size(), 1u);
  const Function& f = module.functions[0];
  EXPECT_TRUE(f.entry);
  EXPECT_TRUE(f.defined);
  EXPECT_EQ(f.linkage, Linkage::kVisible);
  EXPECT_EQ(f.line, 5u);
  ASSERT_EQ(f.parameters.size(), 3u);
  EXPECT_EQ(f.parameters[0].type, Type::kU64);
  EXPECT_EQ(f.parameters[0].space, Space::kParam);
  EXPECT_EQ(f.parameters[1].size, 24u);
  EXPECT_EQ(f.parameters[1].align, 8u);
  EXPECT_EQ(f.parameters[2].size, 4u);
  EXPECT_EQ(f.max_ntid[0], 256u);
  EXPECT_EQ(f.max_ntid[1], 2u);
  EXPECT_EQ(f.max_ntid[2], 1u);
  EXPECT_EQ(f.required_ntid[0], 0u);
  EXPECT_EQ(f.required_cluster[0], 2u);
  EXPECT_EQ(f.min_ctas_per_sm, 3u);
  EXPECT_EQ(f.max_registers, 64u);
}

TEST(Module, FunctionsDeclaredThenDefined) {
  const Module module = parse_module(R"(
.func (.param .b32 r) g (.param .b32 x);
.extern .func (.param .b32 r) vprintf (.param .b64 f, .param .b64 a);
.weak .func stop () .noreturn;
.visible .entry k() .reqntid 32 { ret; }
.visible .func (.param .b32 result) g (.param .b32 value) .abi_preserve 8 { ret; }
)");
  ASSERT_EQ(module.functions.size(), 4u);
  EXPECT_EQ(module.functions[0].name, "g");
  EXPECT_TRUE(module.functions[0].defined);
  EXPECT_EQ(module.functions[0].parameters[0].name, "value");
  EXPECT_EQ(module.functions[0].linkage, Linkage::kVisible);
  EXPECT_FALSE(module.functions[1].defined);
  EXPECT_EQ(module.functions[1].linkage, Linkage::kExtern);
  EXPECT_TRUE(module.functions[2].noreturn);
  EXPECT_EQ(module.functions[3].required_ntid[0], 32u);
  EXPECT_EQ(module.functions[3].required_ntid[1], 1u);
}

TEST(Module, RegisterParameters) {
  const Module module = parse_module(".func (.reg .u32 r) g (.reg .u32 a) { add.u32 r, a, 1; ret; }");
  const Function& g = module.functions[0];
  EXPECT_EQ(g.results[0].space, Space::kReg);
  ASSERT_EQ(g.registers.size(), 2u);
  EXPECT_EQ(g.body[0].operands[0].reg, 0);
  EXPECT_EQ(g.body[0].operands[1].reg, 1);
}

TEST(Module, FunctionErrors) {
  EXPECT_EQ(parse_error(".entry k() { ret; }\n.entry k() { ret; }"), "ptx:5: 'k' is defined twice");
  EXPECT_EQ(parse_error(".global .u32 k;\n.entry k() { ret; }"),
            "ptx:5: 'k' is declared both as a variable and as a function");
  EXPECT_EQ(parse_error(".entry k() .wrong 5 {}"), "ptx:4: unknown directive of a function near '.wrong'");
  EXPECT_EQ(parse_error(".entry k() {\n ret;\n"),
            "ptx:6: the body of 'k' is never closed at the end of the text");
  EXPECT_EQ(parse_error(".entry k(.global .u32 x) {}"), "ptx:4: a parameter is .param or .reg near 'x'");
  EXPECT_EQ(parse_error(".entry k(.param .u32 x, .param .u32 x) {}"),
            "ptx:4: 'x' is declared twice in one scope");
}

TEST(Module, DebugDirectivesArePassedOver) {
  const Module module = parse_module(R"(
.file 1 "a.cu", 1700000000, 4096
.visible .entry k() {
  .loc 1 10 5
  .loc 1 12 3, function_name $L__info_string0+4, inlined_at 1 20 3
$L__tmp0:
  ret;
}
.file 2 "b.cu"
.section .debug_str { $L__info_string0: .b8 1,2,3 .b32 .debug_abbrev { } }
@@DWARF .section .debug_line, "", @progbits
@@DWARF .byte 1, 2
.section .debug_loc {	}
.global .u32 after;
)");
  EXPECT_EQ(module.functions[0].body.size(), 1u);
  EXPECT_EQ(module.variables.size(), 1u);
  EXPECT_EQ(parse_error(".section .debug_str { .b8 1"), "ptx:4: this '{' is never closed");
}

TEST(Module, Aliases) {
  const Module module = parse_module(".visible .func g() { ret; }\n.visible .func h();\n.alias h, g;");
  ASSERT_EQ(module.aliases.size(), 1u);
  EXPECT_EQ(module.aliases[0], (std::pair<std::string, std::string>("h", "g")));
}

}  // namespace
}  // namespace tessera::softgpu::ptx

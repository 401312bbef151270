// Several translation units in one text, and whole files from real compilers.
#include "softgpu/ptx/test_util.h"

namespace tessera::softgpu::ptx {
namespace {

const Function* find(const Module& module, const std::string& name) {
  for (const Function& function : module.functions)
    if (function.name == name) return &function;
  return nullptr;
}

const Variable* find_variable(const Module& module, const std::string& name) {
  for (const Variable& variable : module.variables)
    if (variable.name == name) return &variable;
  return nullptr;
}

TEST(Combine, ExportedNamesMeet) {
  const std::string first =
      ".extern .func g();\n.visible .global .u32 v = 3;\n.weak .func w() { ret; }\n.entry a() { call g; call "
      "w; }\n";
  const std::string second =
      ".version 8.4 .target sm_75\n.extern .global .u32 v;\n.visible .func g() { ret; }\n.weak .func w() { "
      "exit; exit; }\n";
  const Module module = parse_module(first + second);
  EXPECT_EQ(module.version_minor, 4u);
  ASSERT_EQ(module.functions.size(), 3u);
  EXPECT_TRUE(find(module, "g")->defined);
  EXPECT_EQ(find(module, "w")->body.size(), 1u) << "the first weak definition stays";
  ASSERT_EQ(module.variables.size(), 1u);
  EXPECT_EQ(module.variables[0].initial[0], 3u);
}

TEST(Combine, LocalNamesStayApart) {
  const std::string unit =
      ".global .b8 $str[2] = {65, 0};\n.global .u64 table[1] = {$str};\n"
      ".func helper() { .reg .b64 d; mov.u64 d, $str; ret; }\n";
  const Module module =
      parse_module(unit + ".entry a() { call helper; }\n" + kHeader + unit +
                   ".entry b(.param .u64 table) { .reg .b64 d; call helper; ld.param.u64 d, [table]; }\n");
  ASSERT_EQ(module.variables.size(), 4u);
  ASSERT_NE(find_variable(module, "$str@unit1"), nullptr);
  EXPECT_EQ(find_variable(module, "table")->relocations[0].symbol, "$str");
  EXPECT_EQ(find_variable(module, "table@unit1")->relocations[0].symbol, "$str@unit1");
  EXPECT_EQ(find(module, "a")->body[0].operands[0].symbol, "helper");
  EXPECT_EQ(find(module, "b")->body[0].operands[0].symbol, "helper@unit1");
  EXPECT_EQ(find(module, "b")->body[1].operands[1].symbol, "table") << "its own parameter";
  EXPECT_EQ(find(module, "helper@unit1")->body[0].operands[1].symbol, "$str@unit1");
}

TEST(Combine, LocalNamesYieldToExportedOnes) {
  const Module module = parse_module(".func g() { ret; }\n.entry a() { call g; }\n" + std::string(kHeader) +
                                     ".visible .func g() { exit; }\n.entry b() { call g; }\n");
  EXPECT_EQ(find(module, "a")->body[0].operands[0].symbol, "g@unit0");
  EXPECT_EQ(find(module, "b")->body[0].operands[0].symbol, "g");
}

TEST(Combine, TwoStrongDefinitionsAreAnError) {
  const std::string unit = ".visible .func g() { ret; }\n";
  EXPECT_EQ(parse_error(unit + kHeader + unit), "ptx:8: 'g' is defined twice");
  const std::string variable = ".visible .global .u32 v;\n";
  EXPECT_EQ(parse_error(variable + kHeader + variable), "ptx: 'v' is defined twice");
}

void expect_features(const Module& module) {
  const Function* kernel = find(module, "features");
  ASSERT_NE(kernel, nullptr);
  EXPECT_TRUE(kernel->entry);
  ASSERT_EQ(kernel->parameters.size(), 5u);
  EXPECT_EQ(kernel->parameters[3].size, 32u);
  EXPECT_FALSE(kernel->prototypes.empty());
  for (const Instruction& instruction : kernel->body)
    for (const Operand& operand : instruction.operands) {
      if (operand.kind != OperandKind::kLabel) continue;
      EXPECT_GE(operand.target, 0);
      EXPECT_LE(static_cast<size_t>(operand.target), kernel->body.size());
    }
  const Variable* rows = find_variable(module, "rows");
  ASSERT_NE(rows, nullptr);
  EXPECT_EQ(rows->size, 64u);
  EXPECT_FALSE(rows->relocations.empty());
  const Variable* scale = find_variable(module, "scale");
  ASSERT_NE(scale, nullptr);
  EXPECT_EQ(scale->initial, (std::vector<uint8_t>{0, 0, 0, 0, 0, 0, 0xF8, 0x3F}));
}

TEST(RealPtx, Nvcc) {
  const Result<Module> module = parse(read_test_file("features_nvcc.ptx"));
  ASSERT_TRUE(module.ok()) << module.status().message();
  expect_features(*module);
}

TEST(RealPtx, Clang) {
  const Result<Module> module = parse(read_test_file("features_clang.ptx"));
  ASSERT_TRUE(module.ok()) << module.status().message();
  expect_features(*module);
}

}  // namespace
}  // namespace tessera::softgpu::ptx
